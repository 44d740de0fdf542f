"""Each test token does what its name says."""

import httpx
import pytest

from .harness import DAY_S, HANG_S, Gateway, WebhookReceiver, a_reference, wait_until


def test_an_approved_token_is_held_for_seven_business_days(gateway: Gateway) -> None:
    hold = gateway.a_hold()

    assert hold["status"] == "authorized"
    assert hold["captured_minor"] == 0
    assert hold["capture_before"] > hold["authorized_at"] >= hold["created_at"]


def test_a_sale_is_captured_at_once(gateway: Gateway) -> None:
    sale = gateway.a_hold(capture=True)

    assert (sale["status"], sale["captured_minor"]) == ("captured", 1000)


@pytest.mark.parametrize(
    ("payment_method", "code"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_invalid_card", "invalid_card"),
        ("tok_nobody_knows", "invalid_payment_method"),
        ("tok_declined:customer-7", "card_declined"),
    ],
)
def test_a_decline_is_402_with_the_declined_transaction(gateway: Gateway, payment_method: str, code: str) -> None:
    answer = gateway.authorize(payment_method)

    assert answer.status_code == 402
    assert (answer.json()["status"], answer.json()["decline_code"]) == ("declined", code)
    assert gateway.capture(answer.json()).json()["code"] == "not_authorized"


def test_a_suffix_only_tells_customers_apart(gateway: Gateway) -> None:
    assert gateway.a_hold("tok_approved:customer-7")["status"] == "authorized"


def test_timeout_before_has_no_effect_and_no_answer_the_first_time(gateway: Gateway) -> None:
    reference = a_reference()

    with pytest.raises(httpx.RemoteProtocolError) as no_answer:
        gateway.authorize("tok_timeout_before", reference=reference)
    assert gateway.of_reference(reference) == []

    assert gateway.authorize("tok_timeout_before", reference=reference).status_code == 201
    assert len(gateway.of_reference(reference)) == 1
    assert "disconnected" in str(no_answer.value)


def test_timeout_after_is_booked_and_its_repetition_answered(gateway: Gateway) -> None:
    reference = a_reference()

    with pytest.raises(httpx.RemoteProtocolError):
        gateway.authorize("tok_timeout_after", reference=reference, key=reference)
    (booked,) = gateway.of_reference(reference)

    again = gateway.authorize("tok_timeout_after", reference=reference, key=reference)
    assert (again.status_code, again.json()) == (201, booked)


def test_a_timeout_keeps_the_connection_open_for_a_while(gateway: Gateway) -> None:
    with pytest.raises(httpx.ReadTimeout):
        gateway.http.post(
            "/transactions",
            json={
                "reference": a_reference(),
                "amount_minor": 1,
                "currency": "EUR",
                "payment_method": "tok_timeout_after",
                "capture": False,
            },
            headers={"idempotency-key": a_reference("key")},
            timeout=HANG_S / 2,
        )


def test_503_twice_works_the_third_time(gateway: Gateway) -> None:
    reference = a_reference()

    statuses = [gateway.authorize("tok_503_twice", reference=reference, key=reference).status_code for _ in range(4)]

    assert statuses == [503, 503, 201, 201]
    assert len(gateway.of_reference(reference)) == 1


def test_pending_is_authorized_later_with_a_webhook(gateway: Gateway, receiver: WebhookReceiver) -> None:
    pending = gateway.a_hold("tok_pending")
    assert (pending["status"], pending["authorized_at"]) == ("pending", None)
    assert gateway.void(pending).json()["code"] == "not_authorized"

    told = receiver.wait_for("transaction.authorized", pending["reference"])

    assert told == gateway.found(pending)
    assert told["status"] == "authorized"


def test_the_rest_of_a_partial_capture_can_stay_held(gateway: Gateway) -> None:
    captured = gateway.capture(gateway.a_hold("tok_keeps_rest"), 400).json()

    assert (captured["captured_minor"], captured["held_minor"]) == (400, 600)


def test_a_pending_sale_is_captured_later(gateway: Gateway, receiver: WebhookReceiver) -> None:
    pending = gateway.a_hold("tok_pending", capture=True)

    told = receiver.wait_for("transaction.captured", pending["reference"])

    assert (told["status"], told["captured_minor"]) == ("captured", 1000)


def test_pending_declined_is_declined_later_with_a_webhook(gateway: Gateway, receiver: WebhookReceiver) -> None:
    pending = gateway.a_hold("tok_pending_declined")

    told = receiver.wait_for("transaction.declined", pending["reference"])

    assert (told["status"], told["decline_code"]) == ("declined", "card_declined")


def test_a_capture_that_fails_fails_for_good_and_can_be_voided(gateway: Gateway, receiver: WebhookReceiver) -> None:
    hold = gateway.a_hold("tok_capture_fails")

    answers = [gateway.capture(hold) for _ in range(2)]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (402, "capture_failed"),
        (402, "capture_failed"),
    ]
    found = gateway.found(hold)
    assert (found["status"], found["capture_failure"]) == ("authorized", "capture_failed")
    receiver.wait_for("transaction.capture_failed", hold["reference"])
    assert gateway.void(hold).json()["status"] == "voided"


def test_a_sale_whose_capture_fails_is_declined(gateway: Gateway) -> None:
    answer = gateway.authorize("tok_capture_fails", capture=True)

    assert answer.status_code == 402
    assert (answer.json()["status"], answer.json()["decline_code"]) == ("declined", "capture_failed")


def test_tokens_settle_whole_half_late_or_are_charged_back(own_gateway: Gateway, own_receiver: WebhookReceiver) -> None:
    whole = own_gateway.a_captured()
    half = own_gateway.a_captured("tok_settles_partially", amount_minor=2001)
    late = own_gateway.a_captured("tok_settles_late")
    disputed = own_gateway.a_captured("tok_chargeback")

    own_gateway.move_clock(days=2 + 60 / DAY_S)
    first = {line["reference"]: line for line in own_gateway.feed()}
    assert set(first) == {whole["reference"], half["reference"], disputed["reference"]}
    # 1.4 % of 1000 is 14, of 1000 again for the half of 2001; and 25 each.
    assert _amounts(first[whole["reference"]]) == ("capture", 1000, 39, 961)
    assert _amounts(first[half["reference"]]) == ("capture", 1000, 39, 961)

    # Four days, as the business day after the settlement may be a Monday.
    own_gateway.move_clock(days=6)
    lines = own_gateway.feed()
    assert [_amounts(line) for line in lines[3:]] == [
        ("chargeback", -1000, 0, -1000),
        ("chargeback_fee", 0, 1500, -1500),
    ]
    told = own_receiver.wait_for("chargeback.opened", disputed["reference"])
    assert (told["transaction_id"], told["amount_minor"]) == (disputed["id"], 1000)
    summaries = wait_until(lambda: _summaries(own_receiver, 2), "two settlement summaries")
    assert sum(summary["net_minor"] for summary in summaries) == sum(line["net_minor"] for line in lines)

    own_gateway.move_clock(days=12.1)
    (last,) = own_gateway.feed()[5:]
    assert (last["reference"], *_amounts(last)) == (late["reference"], "capture", 1000, 39, 961)
    assert last["settled_on"] > first[whole["reference"]]["settled_on"]


def _amounts(line: dict[str, object]) -> tuple[object, ...]:
    return line["kind"], line["gross_minor"], line["fee_minor"], line["net_minor"]


def _summaries(receiver: WebhookReceiver, at_least: int) -> list[dict[str, int]]:
    messages = [delivery.message for delivery in list(receiver.deliveries)]
    found = [message["data"] for message in messages if message["type"] == "settlement.created"]
    return found if len(found) >= at_least else []


def test_a_refund_is_refused_twice_under_one_key_and_made_the_third_time(gateway: Gateway) -> None:
    sale = gateway.a_hold("tok_refund_refused_twice", capture=True)
    refund = a_reference("refund")

    answers = [gateway.refund(sale, 400, reference=refund, key=refund) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [402, 402, 200, 200]
    assert answers[0].json()["code"] == "refund_refused"
    assert gateway.found(sale)["refunded_minor"] == 400


def test_a_refund_without_an_answer_is_made_once(gateway: Gateway) -> None:
    sale = gateway.a_hold("tok_refund_timeout_after", capture=True)
    refund = a_reference("refund")

    with pytest.raises(httpx.RemoteProtocolError):
        gateway.refund(sale, 400, reference=refund, key=refund)
    assert gateway.refund(sale, 400, reference=refund, key=refund).status_code == 200
    assert gateway.found(sale)["refunded_minor"] == 400


def test_a_refund_is_unavailable_twice_and_counted_by_its_own_reference(gateway: Gateway) -> None:
    sale = gateway.a_hold("tok_refund_503_twice", capture=True)
    first, second = a_reference("refund"), a_reference("refund")

    statuses = [gateway.refund(sale, 100, reference=each, key=each).status_code for each in [first] * 3 + [second]]

    assert statuses == [503, 503, 200, 503]
    assert gateway.found(sale)["refunded_minor"] == 100


def test_a_method_that_fails_alone_pays_with_its_customer_only(gateway: Gateway) -> None:
    assert gateway.a_hold("tok_fails_alone", capture=True)["status"] == "captured"
    declined = gateway.authorize("tok_fails_alone", merchant_initiated=True)
    assert (declined.status_code, declined.json()["decline_code"]) == (402, "insufficient_funds")
