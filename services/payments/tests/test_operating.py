"""What operators ask of payments by hand, over HTTP and as commands (PAY-6)."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.payments import (
    PaymentConfirmed,
    PaymentInitiated,
    PaymentSettled,
    PaymentStatusReported,
    QueryPaymentStatus,
)
from services.payments.tests.builders import NOW, a_charge, a_settlement, an_authorization
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import payment_of, rows_of, status_of
from services.payments.tests.web import a_token, serving
from services.payments.tests.working import settle

OPERATOR = a_token("ops-1", "operator")
CUSTOMER = a_token("customer-1", "customer")
EUROS = {"amount_minor": 1999, "currency": "EUR"}


@pytest.fixture
async def api(payments: Harness, gateway: InProcessGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(payments.runtime.settings.database_url, gateway) as client:
        yield client


def a_wish(purpose: str = "reservation", **changes: Any) -> dict[str, Any]:
    wish: dict[str, Any] = {
        "purpose": purpose,
        "customer_id": "customer-1",
        "subject_id": str(new_id()),
        "amount": EUROS,
        "payment_method": "tok_approved",
    }
    if purpose == "service":
        wish |= {"activation_id": str(new_id()), "vehicle_id": "vehicle-1", "service_code": "heated-seats"}
    return wish | changes


async def begin(api: httpx.AsyncClient, wish: dict[str, Any], key: str | None = "order-1") -> httpx.Response:
    headers = OPERATOR | ({"Idempotency-Key": key} if key else {})
    return await api.post("/payments", json=wish, headers=headers)


@pytest.mark.parametrize(
    ("purpose", "status"),
    [("reservation", "CONFIRMED"), ("final", "CONFIRMED"), ("subscription", "CONFIRMED"), ("service", "AUTHORIZED")],
)
async def test_an_operator_begins_a_payment_of_each_purpose(
    payments: Harness, api: httpx.AsyncClient, purpose: str, status: str
) -> None:
    answer = await begin(api, a_wish(purpose))
    assert (answer.status_code, answer.json()["status"]) == (202, "PROCESSING"), answer.text
    await settle(payments)
    shown = await api.get(answer.headers["Location"], headers=OPERATOR)
    assert (shown.json()["status"], shown.json()["purpose"]) == (status, purpose)


async def test_the_same_key_is_the_same_payment_and_with_other_content_a_conflict(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    wish = a_wish()
    first, again = await begin(api, wish), await begin(api, wish)
    assert again.json()["payment_id"] == first.json()["payment_id"]
    for other in (wish | {"amount": EUROS | {"amount_minor": 1}}, wish | {"purpose": "final"}, a_wish("service")):
        answer = await begin(api, other)
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")
    assert (await begin(api, a_wish(), key=None)).json()["code"] == "idempotency_key_missing"
    await settle(payments)
    assert gateway.calls["sale"] == 1
    assert len(await payments.published(PaymentInitiated)) == 1


async def test_a_key_that_a_service_used_is_the_same_intent_for_an_operator(
    payments: Harness, api: httpx.AsyncClient
) -> None:
    command = a_charge(idempotency_key="order-9")
    await payments.receive(command)
    same = a_wish(customer_id=command.customer_id, subject_id=str(command.subject_id))
    assert (await begin(api, same, key="order-9")).json()["payment_id"] == str(command.payment_id)


async def test_an_activation_is_paid_once_whatever_the_key(payments: Harness, api: httpx.AsyncClient) -> None:
    wish = a_wish("service")
    assert (await begin(api, wish, key="purchase-1")).status_code == 202
    answer = await begin(api, wish | {"amount": EUROS | {"amount_minor": 1}}, key="purchase-2")
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")


BAD_WISHES: list[Any] = [
    {},
    a_wish("gift"),
    a_wish("service", activation_id=None),
    a_wish("service", vehicle_id=None),
    a_wish("final", activation_id=str(new_id())),
    a_wish(amount={"amount_minor": 5.5, "currency": "EUR"}),
    a_wish(amount={"amount_minor": -5, "currency": "EUR"}),
    a_wish(customer_id=""),
    a_wish(subject_id="order-1"),
    a_wish(unknown=1),
]


async def test_a_malformed_wish_is_a_clear_problem_without_an_effect(
    payments: Harness, api: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for wish in BAD_WISHES:
        with subtests.test(f"{wish}"):
            answer = await begin(api, wish)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), answer.text
    assert await payments.published(PaymentInitiated) == []


async def test_a_card_number_is_no_payment_method(payments: Harness, api: httpx.AsyncClient) -> None:
    answer = await begin(api, a_wish(payment_method="4111111111111111"))
    assert (answer.status_code, "4111" in answer.text) == (400, False)
    assert await payments.published(PaymentInitiated) == []


async def test_an_operator_asks_the_gateway_at_once(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    gateway.script("sale", TIMEOUT, booked=True)
    gateway.script("look_up", TIMEOUT)
    command = a_charge()
    await payments.receive(command)
    await payments.run_effects()
    waiting = await api.get(f"/payments/{command.payment_id}", headers=CUSTOMER)
    assert (waiting.json()["status"], waiting.json()["being_confirmed"]) == ("RETRY", True)
    answer = await api.post(f"/payments/{command.payment_id}/look-up", headers=OPERATOR)
    assert answer.status_code == 202
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "CONFIRMED"
    known = await api.get(f"/payments/{command.payment_id}", headers=CUSTOMER)
    assert known.json()["being_confirmed"] is False


async def settle_by_hand(
    api: httpx.AsyncClient, payment_id: object, line_id: str = "bank-1", gross_minor: int = 1999
) -> httpx.Response:
    body = {
        "settlement_line_id": line_id,
        "gross": EUROS | {"amount_minor": gross_minor},
        "fee": EUROS | {"amount_minor": 53},
        "settled_on": "2026-11-24",
    }
    return await api.post(f"/payments/{payment_id}/settlements", json=body, headers=OPERATOR)


async def test_a_settlement_is_recorded_by_hand_once_per_line(payments: Harness, api: httpx.AsyncClient) -> None:
    command = a_charge()
    await payments.receive(command)
    await settle(payments)
    first = await settle_by_hand(api, command.payment_id, gross_minor=1000)
    assert (first.status_code, first.json()["status"]) == (200, "SETTLED"), first.text
    assert (await settle_by_hand(api, command.payment_id, gross_minor=1000)).status_code == 200
    other = await settle_by_hand(api, command.payment_id, gross_minor=999)
    assert (other.status_code, other.json()["code"]) == (409, "settlement_refused")
    assert (await settle_by_hand(api, command.payment_id, "bank-2", 1000)).status_code == 409
    assert (await settle_by_hand(api, command.payment_id, "bank-2", 999)).status_code == 200
    assert (await payment_of(payments, command.payment_id)).settled_minor == 1999
    assert len(await payments.published(PaymentSettled)) == 2
    assert len(await rows_of(payments, "settlement_lines", command.payment_id)) == 2


async def test_nothing_is_settled_by_hand_that_was_not_captured(payments: Harness, api: httpx.AsyncClient) -> None:
    command = an_authorization()
    await payments.receive(command)
    await settle(payments)
    assert (await settle_by_hand(api, command.payment_id)).json()["code"] == "settlement_refused"
    assert (await settle_by_hand(api, new_id())).status_code == 404


async def test_a_query_is_answered_with_where_the_payment_stands(payments: Harness, gateway: InProcessGateway) -> None:
    command = a_charge()
    gateway.script("sale", TIMEOUT, booked=True)
    gateway.script("look_up", TIMEOUT)
    await payments.receive(command)
    await payments.run_effects()
    queries = [QueryPaymentStatus(payment_id=command.payment_id, query_id=new_id(), requested_at=NOW) for _ in range(2)]
    await payments.receive(queries[0])
    await settle(payments)
    await payments.receive(a_settlement(command), queries[1])
    unknown, settled = await payments.published(PaymentStatusReported)
    assert (unknown.query_id, unknown.status, unknown.being_confirmed) == (queries[0].query_id, "RETRY", True)
    assert (settled.status, settled.being_confirmed, settled.captured) == ("SETTLED", False, command.amount)
    assert len(await payments.published(PaymentConfirmed)) == 1


ROUTES = [
    "/payments",
    f"/payments/{new_id()}/look-up",
    f"/payments/{new_id()}/settlements",
]


async def test_every_wish_needs_an_operator(api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for path in ROUTES:
        with subtests.test(path):
            assert (await api.post(path, json={})).status_code == 401
            assert (await api.post(path, json={}, headers=CUSTOMER)).status_code == 403
