"""Vehicle orders over HTTP: bounded answers on any replica, idempotency, what is whose, input that is refused."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.identity import IdentityProvider
from caas_chassis.web import create_app
from caas_contracts.message import Message
from caas_contracts.payments import ChargePayment, PaymentPurpose
from caas_orders.app import orders_service
from caas_orders.domain.factory_event import Arrived
from caas_orders.http import routers
from services.orders.tests.builders import PlayedMailer, PlayedMaintenance
from services.orders.tests.order_builders import (
    DUE,
    VIN,
    PlayedSuppliers,
    a_wish,
    abandoned,
    charge_of,
    charges,
    confirmed,
    declined,
    factory_event,
    forfeited,
    order_of,
    ready,
    reserved,
    tell,
)

identity = IdentityProvider()
ANA = identity.bearer("cus-1", "customer")
BEA = identity.bearer("cus-2", "customer")
OPERATOR = identity.bearer("ops-1", "operator")
DEALER = identity.bearer("dealer-1", "dealer")
PLATFORM = identity.bearer("platform", "partner")
CUSTOMER = {"name": "Ana Ruiz", "email": "ana@example.com", "language": "es", "tax_id": "12345678Z"}
CONFIGURED = {"model": "caas-one", "options": ["seat-heating"], "dealership": "madrid-norte"}


@asynccontextmanager
async def answering(harness: Harness) -> AsyncIterator[httpx.AsyncClient]:
    """One replica: its HTTP side, and its ear for what other replicas commit."""
    app = create_app(harness.runtime, routers(harness.runtime), verifier=identity.verifier())
    await harness.runtime.changes.start()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://orders", timeout=20) as http:
        yield http
    await harness.runtime.changes.stop()


@pytest.fixture
async def http(harness: Harness) -> AsyncIterator[httpx.AsyncClient]:
    async with answering(harness) as client:
        yield client


@pytest.fixture
async def replica(
    database_url: str, maintenance: PlayedMaintenance, mailer: PlayedMailer, suppliers: PlayedSuppliers
) -> AsyncIterator[httpx.AsyncClient]:
    """Another replica on the same database, which receives no messages."""
    service = orders_service(maintenance, mailer, suppliers=suppliers.suppliers)
    async with Harness(service, database_url) as other, answering(other) as client:
        yield client


def a_request(**changes: Any) -> dict[str, Any]:
    request = {**CONFIGURED, "customer": CUSTOMER, "payment_method": "tok_approved", **changes}
    return {name: value for name, value in request.items() if value is not ...}


async def reserve(
    http: httpx.AsyncClient, *, who: dict[str, str] = ANA, key: str = "", wait_s: int = 0, **changes: Any
) -> httpx.Response:
    headers = {**who, "Idempotency-Key": key or str(new_id()), **({"Prefer": f"wait={wait_s}"} if wait_s else {})}
    return await http.post("/vehicle-orders", json=a_request(**changes), headers=headers)


async def pay(
    http: httpx.AsyncClient, order_id: UUID, *, who: dict[str, str] = ANA, key: str = "", wait_s: int = 0, **body: Any
) -> httpx.Response:
    headers = {**who, "Idempotency-Key": key or str(new_id()), **({"Prefer": f"wait={wait_s}"} if wait_s else {})}
    content = {"payment_method": "tok_approved", **body}
    return await http.post(f"/vehicle-orders/{order_id}/final-payment", json=content, headers=headers)


async def next_charge(harness: Harness, known: int) -> ChargePayment:
    """The first charge beyond those known, as soon as it is asked for."""
    for _ in range(500):
        asked = await charges(harness)
        if len(asked) > known:
            return asked[known]
        await asyncio.sleep(0.02)
    raise AssertionError("no charge was asked for within 10 s")


async def answered_with(
    harness: Harness, request: Awaitable[httpx.Response], fact: Callable[[ChargePayment], Message]
) -> httpx.Response:
    """Send a request that waits, and have payments answer the charge that comes of it."""
    known = len(await charges(harness))
    waiting = asyncio.ensure_future(request)
    await harness.receive(fact(await next_charge(harness, known)))
    return await asyncio.wait_for(waiting, 15)


async def test_a_reservation_is_answered_with_the_order(harness: Harness, http: httpx.AsyncClient) -> None:
    answer = await answered_with(harness, reserve(http, wait_s=10), confirmed)  # RES-1
    assert (answer.status_code, answer.json()["status"]) == (201, "reserved")
    assert answer.headers["Preference-Applied"] == "wait=10"
    assert answer.json()["total"]["amount_minor"] == 2_899_000 + 35_000
    found = await http.get(answer.headers["Location"], headers=ANA)
    assert found.json() == answer.json()


async def test_a_declined_reservation_is_explained_in_words(harness: Harness, http: httpx.AsyncClient) -> None:
    request = reserve(http, wait_s=10)
    answer = await answered_with(harness, request, lambda charge: declined(charge, "insufficient_funds"))
    body = answer.json()
    assert answer.status_code == 402
    assert answer.headers["content-type"] == "application/problem+json"
    assert (body["code"], body["reason"]) == ("payment_declined", "insufficient_funds")
    assert body["words"]["en"] == "There is not enough money available for this amount."
    listed = await http.get("/vehicle-orders", headers=ANA)
    assert listed.json()["vehicle_orders"] == []  # RES-3: no order
    found = await http.get(answer.headers["Location"], headers=ANA)
    assert found.json()["status"] == "declined"


async def test_an_unreachable_gateway_is_no_decline(harness: Harness, http: httpx.AsyncClient) -> None:
    answer = await answered_with(harness, reserve(http, wait_s=10), abandoned)
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_unavailable")


async def test_past_the_caller_s_wait_the_answer_says_where_to_look(harness: Harness, http: httpx.AsyncClient) -> None:
    key = str(new_id())
    answer = await reserve(http, key=key, wait_s=1)
    assert (answer.status_code, answer.json()["status"]) == (202, "reserving")
    await harness.receive(confirmed((await charges(harness))[0]))  # Confirmed after the caller's wait has ended.
    found = await http.get(answer.headers["Location"], headers=ANA)
    assert found.json()["status"] == "reserved"
    again = await reserve(http, key=key, wait_s=1)
    assert (again.status_code, again.json()["order_id"]) == (201, answer.json()["order_id"])
    assert len(await charges(harness)) == 1


async def test_any_replica_answers(harness: Harness, replica: httpx.AsyncClient) -> None:
    answer = await answered_with(harness, reserve(replica, wait_s=10), confirmed)
    assert answer.status_code == 201
    order_id = UUID(answer.json()["order_id"])
    await tell(harness, factory_event(await order_of(harness, order_id), Arrived(VIN)))
    paid = await answered_with(harness, pay(replica, order_id, wait_s=10), confirmed)
    assert (paid.status_code, paid.json()["status"]) == (201, "paid")


async def test_the_same_key_is_the_same_order(harness: Harness, http: httpx.AsyncClient) -> None:
    key = str(new_id())  # PAY-7
    answers = await asyncio.gather(*[reserve(http, key=key) for _ in range(5)])
    assert len({answer.json()["order_id"] for answer in answers}) == 1
    assert len(await charges(harness)) == 1
    other = await reserve(http, key=key, options=[])
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    missing = await http.post("/vehicle-orders", json=a_request(), headers=ANA)
    assert missing.json()["code"] == "idempotency_key_missing"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"model": "caas-boat"}, 422, "model_unknown"),
        ({"options": ["rocket"]}, 422, "option_unknown"),
        ({"options": ["tow-bar"]}, 422, "option_not_allowed"),
        ({"dealership": "moon"}, 422, "dealership_unknown"),
        ({"customer": ...}, 422, "customer_not_found"),
        ({"model": ..., "options": ..., "dealership": ..., "vehicle_id": "NO-SUCH"}, 404, "vehicle_not_found"),
        ({"vehicle_id": VIN}, 400, "invalid_request"),
        ({"model": ...}, 400, "invalid_request"),
        ({"payment_method": "4111111111111111"}, 400, "card_number_refused"),
        ({"total": 1}, 400, "invalid_request"),
        ({"customer": {**CUSTOMER, "email": "ana"}}, 400, "invalid_request"),
    ],
)
async def test_what_is_not_offered_is_refused_before_any_charge(
    harness: Harness, http: httpx.AsyncClient, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = await reserve(http, **changes)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await charges(harness) == []


async def test_a_registered_customer_sends_no_data(harness: Harness, http: httpx.AsyncClient) -> None:
    await reserved(harness)
    assert (await reserve(http, customer=...)).status_code == 202


async def test_the_final_payment_is_answered_like_the_reservation(harness: Harness, http: httpx.AsyncClient) -> None:
    order = await ready(harness)  # FIN-2
    first = str(new_id())
    unavailable = await answered_with(harness, pay(http, order.order_id, key=first, wait_s=10), abandoned)
    assert (unavailable.status_code, unavailable.json()["code"]) == (409, "payment_unavailable")  # FIN-5
    key = str(new_id())
    request = pay(http, order.order_id, key=key, wait_s=10, amount={"amount_minor": 2_899_000, "currency": "EUR"})
    paid = await answered_with(harness, request, confirmed)
    assert (paid.status_code, paid.json()["status"], paid.json()["paid_in_full"]) == (201, "paid", True)
    again = await pay(http, order.order_id, key=key, wait_s=1, amount={"amount_minor": 2_899_000, "currency": "EUR"})
    assert again.status_code == 201
    assert len(await charges(harness, PaymentPurpose.FINAL)) == 2
    other = await pay(http, order.order_id)
    assert (other.status_code, other.json()["code"]) == (409, "order_already_paid")
    replayed = await pay(http, order.order_id, key=first, wait_s=1)  # The answer of that attempt, for ever.
    assert (replayed.status_code, replayed.json()["code"]) == (409, "payment_unavailable")


async def test_a_declined_final_payment_says_that_the_order_has_ended(
    harness: Harness, http: httpx.AsyncClient
) -> None:
    order = await ready(harness)  # FIN-4
    answer = await answered_with(harness, pay(http, order.order_id, wait_s=10), declined)
    assert (answer.status_code, answer.json()["vehicle_order"]["status"]) == (402, "payment_failed")
    stock = await http.get("/stock", headers=BEA)  # On sale at once.
    assert [vehicle["vehicle_id"] for vehicle in stock.json()["vehicles"]] == [VIN]
    assert "customer" not in stock.text
    assert (await pay(http, order.order_id)).json()["code"] == "order_forfeited"


async def test_a_final_payment_that_is_wrong_or_somebody_else_s_is_refused(
    harness: Harness, http: httpx.AsyncClient
) -> None:
    order = await ready(harness)
    one_cent_less = {"amount_minor": DUE.amount_minor - 1, "currency": "EUR"}
    in_dollars = {"amount_minor": DUE.amount_minor, "currency": "USD"}
    for amount in (one_cent_less, in_dollars):
        wrong = await pay(http, order.order_id, amount=amount)
        assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_amount")
    for response in (
        await pay(http, order.order_id, who=BEA),
        await pay(http, new_id()),
        await http.get(f"/vehicle-orders/{order.order_id}", headers=BEA),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "order_not_found")
    assert (await pay(http, order.order_id, who=OPERATOR)).status_code == 403
    assert await charges(harness, PaymentPurpose.FINAL) == []


async def test_a_stock_vehicle_is_reserved_by_the_first_and_refused_to_the_second(
    harness: Harness, http: httpx.AsyncClient
) -> None:
    await forfeited(harness, a_wish(customer_id="cus-9"))  # RES-6
    stock_wish: dict[str, Any] = {"model": ..., "options": ..., "dealership": ..., "vehicle_id": VIN}
    first, second = await asyncio.gather(reserve(http, **stock_wish), reserve(http, who=BEA, **stock_wish))
    assert sorted((first.status_code, second.status_code)) == [202, 409]
    loser = first if first.status_code == 409 else second
    assert loser.json()["code"] == "vehicle_not_available"
    winner = second if first.status_code == 409 else first
    charge = (await charges(harness))[-1]
    assert str(charge.subject_id) == winner.json()["order_id"]
    await harness.receive(confirmed(charge))
    found = await http.get(winner.headers["Location"], headers=BEA if winner is second else ANA)
    assert found.json()["status"] == "ready"
    assert (await http.get("/stock", headers=ANA)).json()["vehicles"] == []


async def test_dealers_see_who_had_a_vehicle(harness: Harness, http: httpx.AsyncClient) -> None:
    order = await forfeited(harness)
    history = await http.get(f"/stock/{VIN}/assignments", headers=DEALER)
    entries = [(one["status"], one["order_id"]) for one in history.json()["assignments"]]
    assert entries == [("assigned", str(order.order_id)), ("sin_asignar", None), ("available_stock", None)]
    assert (await http.get(f"/stock/{VIN}/assignments", headers=ANA)).status_code == 403
    assert (await http.get("/stock/NO-SUCH/assignments", headers=DEALER)).status_code == 404


async def test_the_catalogue_of_vehicles_can_be_read(http: httpx.AsyncClient) -> None:
    catalogue = (await http.get("/vehicle-catalogue", headers=ANA)).json()
    assert {model["model"] for model in catalogue["models"]} == {"caas-one", "caas-cross", "caas-van"}
    assert all(model["reservation"]["amount_minor"] > 0 for model in catalogue["models"])
    assert (await http.get("/vehicle-catalogue")).status_code == 401


async def test_the_purchase_file_holds_the_order_and_what_was_told(harness: Harness, http: httpx.AsyncClient) -> None:
    order = await reserved(harness)
    await harness.run_effects()
    expediente = (await http.get("/expediente", headers=ANA)).json()
    assert [one["order_id"] for one in expediente["vehicle_orders"]] == [str(order.order_id)]
    told = {(one["kind"], one["order_id"]) for one in expediente["notifications"]}
    assert told == {(kind, str(order.order_id)) for kind in ("order_reserved", "order_invited", "order_ordered")}
    assert "#" not in next(one for one in expediente["notifications"] if one["kind"] == "order_invited")["text"]


async def test_an_invitation_works_once_and_in_time(
    harness: Harness, http: httpx.AsyncClient, mailer: PlayedMailer
) -> None:
    await reserved(harness)  # RES-2
    await reserved(harness)
    await harness.run_effects()
    tokens = [mail.text.split("/invitations#")[1].split()[0] for mail in mailer.sent if "/invitations#" in mail.text]

    async def accept(token: str) -> httpx.Response:
        return await http.post("/invitations/acceptances", json={"token": token}, headers=PLATFORM)

    assert (await http.post("/invitations/acceptances", json={"token": tokens[0]})).status_code == 401
    assert (await http.post("/invitations/acceptances", json={"token": tokens[0]}, headers=ANA)).status_code == 403
    answers = await asyncio.gather(*[accept(tokens[0]) for _ in range(5)])
    assert sorted(answer.status_code for answer in answers) == [200, 410, 410, 410, 410]
    assert next(answer for answer in answers if answer.status_code == 200).json()["customer_id"] == "cus-1"
    harness.clock.move((await _expiry(harness)) - harness.clock.now())
    late = await accept(tokens[1])
    assert (late.status_code, late.json()["code"]) == (410, "invitation_invalid")
    assert (await accept("x" * 43)).status_code == 410


async def test_operators_send_again_what_a_partner_refused(
    harness: Harness, http: httpx.AsyncClient, suppliers: PlayedSuppliers
) -> None:
    order = await reserved(harness)
    path = f"/vehicle-orders/{order.order_id}/resubmission"
    assert (await http.post(path, headers=ANA)).status_code == 403
    nothing = await http.post(path, headers=OPERATOR)
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_resubmit")
    unknown = await http.post(f"/vehicle-orders/{new_id()}/resubmission", headers=OPERATOR)
    assert unknown.status_code == 404
    assert (await http.get(f"/vehicle-orders/{order.order_id}", headers=OPERATOR)).status_code == 200
    assert len((await http.get("/vehicle-orders?customer_id=cus-1", headers=OPERATOR)).json()["vehicle_orders"]) == 1


async def _expiry(harness: Harness) -> Any:
    async with harness.transaction() as tx:
        return await tx.fetchval("SELECT max(expires_at) FROM invitations")


async def test_the_outcome_of_a_charge_is_that_of_its_own_order(harness: Harness, http: httpx.AsyncClient) -> None:
    await asyncio.gather(reserve(http), reserve(http, who=BEA))
    first, second = await charges(harness)
    await harness.receive(confirmed(first), declined(second))
    assert (await order_of(harness, first.subject_id)).status.value == "reserved"
    assert (await order_of(harness, second.subject_id)).status.value == "declined"
    assert await charge_of(harness, await order_of(harness, first.subject_id)) == first
