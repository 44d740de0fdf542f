"""A request repeated under its key has one effect, also when both arrive at once or the answer was lost."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from .harness import Gateway, a_reference, an_authorization


@pytest.mark.parametrize(("payment_method", "status"), [("tok_approved", 201), ("tok_declined", 402)])
def test_the_same_request_gets_the_stored_answer(gateway: Gateway, payment_method: str, status: int) -> None:
    body = an_authorization(payment_method=payment_method)

    first, second = (gateway.post("/transactions", body, key=body["reference"]) for _ in range(2))

    assert first.status_code == second.status_code == status
    assert first.json() == second.json()
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert len(gateway.of_reference(body["reference"])) == 1


def test_the_answer_is_that_of_then_and_not_of_now(gateway: Gateway) -> None:
    body = an_authorization()
    hold = gateway.post("/transactions", body, key=body["reference"]).json()
    gateway.void(hold)

    assert gateway.post("/transactions", body, key=body["reference"]).json() == hold


def test_every_operation_repeated_has_one_effect(gateway: Gateway) -> None:
    hold = gateway.a_hold()
    key = a_reference("key")
    body = {"amount_minor": 100, "reference": "refund-1"}
    path = f"/transactions/{hold['id']}/refund"

    captures = [gateway.capture(hold, key=f"capture-{key}").json() for _ in range(2)]
    refunds = [gateway.post(path, body, f"refund-{key}").json() for _ in range(2)]

    assert captures[0] == captures[1]
    assert refunds[0] == refunds[1]
    assert gateway.found(hold)["refunded_minor"] == 100


@pytest.mark.parametrize("change", [{"amount_minor": 999}, {"capture": True}, {"currency": "USD"}])
def test_the_same_key_with_another_request_is_refused(gateway: Gateway, change: dict[str, object]) -> None:
    body = an_authorization()
    gateway.post("/transactions", body, key=body["reference"])

    answer = gateway.post("/transactions", body | change, key=body["reference"])

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_conflict")
    assert len(gateway.of_reference(body["reference"])) == 1


def test_a_key_of_one_operation_is_not_the_key_of_another(gateway: Gateway) -> None:
    hold = gateway.a_hold()
    key = a_reference("key")
    assert gateway.void(hold, key).status_code == 200

    assert gateway.capture(hold, key=key).status_code == 422


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_post_needs_a_key(gateway: Gateway, key: str) -> None:
    answer = gateway.http.post("/transactions", json=an_authorization(), headers={"idempotency-key": key})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_key_is_forgotten_after_a_day_of_business_time(own_gateway: Gateway) -> None:
    body = an_authorization()
    own_gateway.post("/transactions", body, key="key")
    own_gateway.move_clock(days=0.99)
    own_gateway.post("/transactions", body, key="key")
    assert len(own_gateway.of_reference(body["reference"])) == 1

    own_gateway.move_clock(days=1.01)
    own_gateway.post("/transactions", body, key="key")

    assert len(own_gateway.of_reference(body["reference"])) == 2


def test_double_load_has_single_effects(own_gateway: Gateway) -> None:
    """Two clients send every request of 150 purchases under the same keys at the same time."""
    bodies = [an_authorization(amount_minor=100 + number) for number in range(150)]

    def purchase(body: dict[str, object]) -> str:
        hold = own_gateway.post("/transactions", body, f"authorize-{body['reference']}").json()
        captured = own_gateway.capture(hold, key=f"capture-{body['reference']}")
        assert captured.status_code == 200, captured.text
        transaction_id: str = hold["id"]
        return transaction_id

    with ThreadPoolExecutor(8) as clients:
        ids = list(clients.map(purchase, [body for body in bodies for _ in range(2)]))

    assert ids[::2] == ids[1::2]
    totals = own_gateway.get("/sandbox/books")
    assert totals["transactions"] == totals["captures"] == 150
    assert totals["captures_by_reference_max"] == 1
    assert totals["captured_minor"] == sum(range(100, 250))
    assert totals["by_status"] == {"captured": 150}
    own_gateway.move_clock(days=2.1)
    assert own_gateway.feed(limit=7) == own_gateway.feed(limit=1000)
    assert sum(line["gross_minor"] for line in own_gateway.feed()) == totals["captured_minor"]
