"""The life of a transaction: captures, voids, refunds, expiry, and what each state forbids."""

from itertools import product
from typing import Any

import httpx
import pytest

from .harness import Gateway, WebhookReceiver, a_reference, an_authorization


def test_a_part_of_a_hold_is_captured_once(gateway: Gateway, receiver: WebhookReceiver) -> None:
    hold = gateway.a_hold()

    captured = gateway.capture(hold, 400).json()

    assert hold["held_minor"] == 1000
    assert (captured["status"], captured["captured_minor"], captured["held_minor"]) == ("captured", 400, 0)
    assert gateway.found(hold) == captured
    assert _refusal(gateway.capture(hold, 100)) == (409, "already_captured")
    assert _refusal(gateway.void(hold)) == (409, "already_captured")
    assert receiver.wait_for("transaction.captured", hold["reference"]) == captured


def test_more_than_the_hold_is_not_captured(gateway: Gateway) -> None:
    hold = gateway.a_hold()

    assert _refusal(gateway.capture(hold, 1001)) == (409, "amount_too_large")
    assert gateway.found(hold)["status"] == "authorized"


def test_a_voided_hold_is_not_captured(gateway: Gateway, receiver: WebhookReceiver) -> None:
    hold = gateway.a_hold()

    assert gateway.void(hold).json()["status"] == "voided"

    assert _refusal(gateway.capture(hold)) == (409, "already_voided")
    assert _refusal(gateway.void(hold)) == (409, "already_voided")
    assert _refusal(gateway.refund(hold, 1)) == (409, "not_captured")
    receiver.wait_for("transaction.voided", hold["reference"])


def test_partial_refunds_never_pass_what_was_captured(gateway: Gateway, receiver: WebhookReceiver) -> None:
    captured = gateway.a_captured()

    assert gateway.refund(captured, 300).json()["status"] == "partially_refunded"
    assert _refusal(gateway.refund(captured, 701)) == (409, "amount_too_large")
    assert gateway.refund(captured, 700).json()["status"] == "refunded"
    assert _refusal(gateway.refund(captured, 1)) == (409, "amount_too_large")
    assert gateway.found(captured)["refunded_minor"] == 1000
    receiver.wait_for("transaction.refunded", captured["reference"])


def test_a_hold_expires_by_the_business_clock(own_gateway: Gateway, own_receiver: WebhookReceiver) -> None:
    hold = own_gateway.a_hold()

    # Seven business days are at most eleven days.
    own_gateway.move_clock(days=11)

    assert _refusal(own_gateway.capture(hold)) == (409, "hold_expired")
    assert _refusal(own_gateway.void(hold)) == (409, "hold_expired")
    assert own_gateway.found(hold)["status"] == "expired"
    assert own_receiver.wait_for("transaction.expired", hold["reference"])["status"] == "expired"
    assert [effect["operation"] for effect in own_gateway.books()[0]["effects"]] == ["authorize", "expire"]


def test_a_hold_that_nobody_asks_about_expires_too(own_gateway: Gateway, own_receiver: WebhookReceiver) -> None:
    hold = own_gateway.a_hold()

    own_gateway.move_clock(days=11)

    told = own_receiver.wait_for("transaction.expired", hold["reference"])
    assert (told["id"], told["status"]) == (hold["id"], "expired")
    assert own_gateway.get("/sandbox/books")["by_status"] == {"expired": 1}


def test_refunds_and_captures_settle_two_days_later_in_a_stable_feed(own_gateway: Gateway) -> None:
    captured = [own_gateway.a_captured(amount_minor=amount) for amount in (1000, 10_036, 250)]
    own_gateway.refund(captured[0], 250)
    assert own_gateway.feed() == []

    own_gateway.move_clock(days=2.1)
    lines = own_gateway.feed()

    # 1.4 % of 10036 is 140.504 and of 250 exactly 3.5; both are rounded up.
    assert [(line["kind"], line["gross_minor"], line["fee_minor"]) for line in lines] == [
        ("capture", 1000, 39),
        ("capture", 10_036, 166),
        ("capture", 250, 29),
        ("refund", -250, 0),
    ]
    assert all(line["net_minor"] == line["gross_minor"] - line["fee_minor"] for line in lines)
    assert lines[3]["reference"] == captured[0]["reference"]
    assert lines[3]["operation_reference"].startswith("refund-")
    own_gateway.kill()
    own_gateway.start()
    assert own_gateway.feed(limit=1) == lines
    assert own_gateway.get("/settlements", cursor="4")["next_cursor"] == "4"
    day = lines[0]["settled_on"]
    assert own_gateway.get("/settlements", **{"from": day})["lines"] == lines
    assert own_gateway.get("/settlements", **{"from": "2100-01-01"})["lines"] == []


def test_a_reference_finds_all_its_transactions(gateway: Gateway) -> None:
    reference = a_reference()
    made = [gateway.a_hold(reference=reference)["id"] for _ in range(2)]

    assert [found["id"] for found in gateway.of_reference(reference)] == made
    assert gateway.of_reference(a_reference()) == []


@pytest.mark.parametrize("operation", ["capture", "void", "refund"])
def test_an_unknown_transaction_is_404(gateway: Gateway, operation: str) -> None:
    bodies: dict[str, object] = {
        "capture": {"amount_minor": 1},
        "void": {},
        "refund": {"amount_minor": 1, "reference": "r"},
    }

    assert _refusal(gateway.post(f"/transactions/txn_none/{operation}", bodies[operation])) == (
        404,
        "transaction_not_found",
    )
    assert _refusal(gateway.http.get("/transactions/txn_none")) == (404, "transaction_not_found")


@pytest.mark.parametrize("headers", [{"authorization": "Bearer wrong"}, {"authorization": ""}])
def test_without_the_api_key_nothing_is_answered(gateway: Gateway, headers: dict[str, str]) -> None:
    for method, path in (("GET", "/settlements"), ("POST", "/transactions")):
        answer = gateway.http.request(method, path, json=an_authorization(), headers=headers)
        assert _refusal(answer) == (401, "unauthorized")


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": 0},
        {"amount_minor": -1},
        {"amount_minor": 10**15},
        {"amount_minor": "1000"},
        {"amount_minor": 10.5},
        {"amount_minor": True},
        {"currency": "eur"},
        {"reference": ""},
        {"reference": None},
        {"capture": 1},
        {"unknown_field": 1},
    ],
)
def test_an_invalid_request_is_400_and_has_no_effect(gateway: Gateway, change: dict[str, Any]) -> None:
    reference = a_reference()

    answer = gateway.post("/transactions", an_authorization(reference=reference) | change)

    assert _refusal(answer) == (400, "invalid_request")
    assert next(iter(change)) in answer.json()["errors"][0]["field"]
    assert gateway.of_reference(reference) == []


def test_a_body_that_is_no_json_is_400(gateway: Gateway) -> None:
    answer = gateway.http.post("/transactions", content=b"{", headers={"idempotency-key": "k"})

    assert _refusal(answer) == (400, "invalid_request")


def test_a_card_number_is_refused_without_being_echoed_or_stored(own_gateway: Gateway) -> None:  # GW-6
    reference = a_reference()
    numbers = ("4242424242424242", "4242 4242-4242 4242", "tok_approved:4000056655665556")
    digits = [number.removeprefix("tok_approved:") for number in numbers]

    for member, number in product(("payment_method", "description"), numbers):
        body = an_authorization(reference=reference) | {member: number}
        answer = own_gateway.post("/transactions", body)
        assert _refusal(answer) == (400, "card_number")
        assert not any(digit in answer.text for digit in digits)
    named_so = own_gateway.post("/transactions", an_authorization() | {numbers[0]: 1})
    assert _refusal(named_so) == (400, "invalid_request")
    assert numbers[0] not in named_so.text

    assert own_gateway.of_reference(reference) == []
    own_gateway.kill()
    stored = b"".join(file.read_bytes() for file in own_gateway.clock_file.parent.glob("gateway.sqlite3*"))
    assert stored
    assert not any(digit.encode() in stored for digit in digits)


def test_a_token_with_a_uuid_of_digits_is_no_card_number(gateway: Gateway) -> None:
    uuid = "42424242-4242-4242-8242-424242424242"

    assert gateway.authorize(f"tok_approved:{uuid}").status_code == 201


def _refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    return answer.status_code, problem["code"]
