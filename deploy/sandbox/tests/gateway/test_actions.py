"""Payments that wait for the customer, merchant-initiated ones, and methods that fail at first (PAY-9, SUB-6)."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from .harness import Gateway, WebhookReceiver


@pytest.mark.parametrize(
    "code",
    [
        "lost_card",
        "stolen_card",
        "closed_account",
        "expired_card",
        "invalid_account",
        "insufficient_funds",
        "do_not_honor",
        "try_again_later",
    ],
)
def test_each_decline_has_its_token(gateway: Gateway, code: str) -> None:
    answer = gateway.authorize(f"tok_{code}:customer-1", capture=True)

    assert (answer.status_code, answer.json()["decline_code"]) == (402, code)


@pytest.mark.parametrize(
    ("token", "declines"), [("tok_fails_once", 1), ("tok_fails_twice", 2), ("tok_fails_three_times", 3)]
)
def test_a_method_that_fails_at_first_is_counted_over_all_its_payments(
    gateway: Gateway, token: str, declines: int
) -> None:
    method = f"{token}:{uuid4()}"

    answers = [gateway.authorize(method, capture=True).status_code for _ in range(declines + 2)]

    assert answers == [402] * declines + [201, 201]


def test_a_repeated_request_counts_no_second_decline(gateway: Gateway) -> None:
    method, key = f"tok_fails_once:{uuid4()}", str(uuid4())
    first = gateway.authorize(method, key=key, reference="bill-1")
    again = gateway.authorize(method, key=key, reference="bill-1")

    assert (first.json(), again.status_code) == (again.json(), 402)
    assert gateway.authorize(method).status_code == 201


def test_a_sale_that_needs_the_customer_is_taken_when_the_customer_approves(
    gateway: Gateway, receiver: WebhookReceiver
) -> None:
    waiting = gateway.a_hold("tok_requires_action", capture=True)
    assert (waiting["status"], waiting["captured_minor"]) == ("requires_action", 0)
    assert receiver.wait_for("transaction.requires_action", waiting["reference"])["action_url"] == waiting["action_url"]
    assert "10" in gateway.http.get(waiting["action_url"], headers={"authorization": ""}).text

    assert gateway.http.post(f"{waiting['action_url']}/approve").status_code == 200

    assert (gateway.found(waiting)["status"], gateway.found(waiting)["action_url"]) == ("captured", None)
    receiver.wait_for("transaction.captured", waiting["reference"])


@pytest.mark.parametrize(
    ("token", "choice", "code"),
    [
        ("tok_requires_action", "refuse", "authentication_failed"),
        ("tok_requires_action_declined", "approve", "card_declined"),
    ],
)
def test_what_the_customer_refuses_or_cannot_pay_is_declined(
    gateway: Gateway, receiver: WebhookReceiver, token: str, choice: str, code: str
) -> None:
    waiting = gateway.a_hold(token)

    gateway.http.post(f"{waiting['action_url']}/{choice}")

    assert receiver.wait_for("transaction.declined", waiting["reference"])["decline_code"] == code


def test_what_nobody_has_confirmed_can_be_voided_and_is_over_then(gateway: Gateway) -> None:
    waiting = gateway.a_hold("tok_requires_action")

    assert gateway.void(waiting).json()["status"] == "voided"

    assert gateway.http.get(waiting["action_url"]).json()["code"] == "action_over"
    assert gateway.http.post(f"{waiting['action_url']}/approve").status_code == 409
    assert gateway.found(waiting)["status"] == "voided"


def test_an_approval_and_a_void_at_once_have_one_winner(gateway: Gateway) -> None:
    for _ in range(10):
        waiting = gateway.a_hold("tok_requires_action", capture=True)
        with ThreadPoolExecutor(2) as both:
            approval = both.submit(gateway.http.post, f"{waiting['action_url']}/approve")
            void = both.submit(gateway.void, waiting)
            statuses = [approval.result().status_code, void.result().status_code]
        final = gateway.found(waiting)
        assert sorted(statuses) == [200, 409]
        assert final["status"] == ("captured" if statuses[0] == 200 else "voided")


def test_a_link_that_never_was_is_not_found(gateway: Gateway) -> None:
    assert gateway.http.get("/actions/nothing").status_code == 404


def test_the_books_say_which_charges_the_merchant_initiated(gateway: Gateway) -> None:
    bill = gateway.a_hold(capture=True, merchant_initiated=True)
    first = gateway.a_hold(capture=True)

    booked = {one["id"]: one["merchant_initiated"] for one in gateway.books()}
    assert (booked[bill["id"]], booked[first["id"]]) == (True, False)


def test_a_bill_that_needs_authentication_is_declined_while_the_customer_is_away(gateway: Gateway) -> None:
    bill = gateway.authorize("tok_authentication_required", capture=True, merchant_initiated=True)
    present = gateway.a_hold("tok_authentication_required", capture=True)

    assert (bill.status_code, bill.json()["decline_code"]) == (402, "authentication_required")
    assert present["status"] == "requires_action"
