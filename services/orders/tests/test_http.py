"""The HTTP interface with real tokens: waiting, idempotency, what is whose, and input that is refused."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from caas_chassis.auth import TokenVerifier
from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_chassis.web import create_app
from caas_contracts.message import Message
from caas_contracts.orders import VehicleRegistered
from caas_contracts.payments import AuthorizePayment
from caas_orders.gateway import NotCurrent
from caas_orders.http import routers
from services.orders.tests.builders import (
    EQUIPMENT,
    NOW,
    PUBLIC_KEY,
    PlayedMaintenance,
    a_vehicle,
    invoice_issued,
    payment_abandoned,
    payment_authorized,
    payment_captured,
    payment_failed,
    payment_voided,
    registered,
    stored,
)
from services.orders.tests.partners import partner

ANA, BEA, OPERATOR, DEALER = "cus-1", "cus-2", "ops-1", "dealer-1"
ISSUER = "https://identity.example"
ROLES = {ANA: "customer", BEA: "customer", OPERATOR: "operator", DEALER: "dealer"}


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with partner("identity", tmp_path_factory.mktemp("identity"), "--issuer", ISSUER) as client:
        yield client


@pytest.fixture(scope="module")
def tokens(identity: httpx.Client) -> dict[str, str]:
    return {
        subject: identity.post("/token", json={"subject": subject, "roles": [role]}).json()["access_token"]
        for subject, role in ROLES.items()
    }


class Client:
    """A caller of the service, who names herself in each request."""

    def __init__(self, http: httpx.AsyncClient, tokens: dict[str, str], harness: Harness) -> None:
        self._http = http
        self._tokens = tokens
        self.harness = harness

    async def get(self, path: str, who: str) -> httpx.Response:
        return await self._http.get(path, headers=self._headers(who))

    async def put(self, path: str, body: dict[str, Any], who: str = OPERATOR) -> httpx.Response:
        return await self._http.put(path, json=body, headers=self._headers(who))

    async def post(self, path: str, body: dict[str, Any], who: str = ANA, **headers: str) -> httpx.Response:
        return await self._http.post(path, json=body, headers={**self._headers(who), **headers})

    async def buy(self, *, key: str = "", wait_s: int = 0, who: str = ANA, **changes: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key or str(new_id())}
        if wait_s:
            headers["Prefer"] = f"wait={wait_s}"
        return await self.post("/purchases", a_request(**changes), who, **headers)

    async def buy_and(self, *facts: Any, **changes: Any) -> httpx.Response:
        """Buy, wait for the outcome with the same key, and meanwhile have payments tell these facts."""
        key = str(new_id())
        accepted = await self.buy(key=key, **changes)
        waiting = asyncio.create_task(self.buy(key=key, wait_s=10, **changes))
        purchase = await stored(self.harness, UUID(accepted.json()["purchase_id"]))
        for fact in facts:
            message: Message = fact(purchase)
            await self.harness.receive(message)
        return await asyncio.wait_for(waiting, 10)

    def _headers(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._tokens[who]}"} if who else {}


@pytest.fixture
async def client(harness: Harness, identity: httpx.Client, tokens: dict[str, str]) -> AsyncIterator[Client]:
    verifier = TokenVerifier(str(identity.base_url.join("/jwks.json")), ISSUER, "caas")
    app = create_app(harness.runtime, routers(harness.runtime), verifier=verifier)
    transport = httpx.ASGITransport(app)
    await harness.runtime.changes.start()
    async with httpx.AsyncClient(transport=transport, base_url="http://orders", timeout=15) as http:
        await registered(harness, a_vehicle(), a_vehicle("veh-2", BEA))
        yield Client(http, tokens, harness)
    await harness.runtime.changes.stop()
    await verifier.close()


def a_request(**changes: Any) -> dict[str, Any]:
    request = {
        "vehicle_id": "veh-1",
        "service_code": "premium-audio",
        "kind": "temporary",
        "duration_days": 30,
        "payment_method": "tok_approved",
        "immediate_performance_consent": True,
    }
    return {name: value for name, value in (request | changes).items() if value is not ...}


async def test_a_purchase_is_accepted_with_where_to_look(client: Client) -> None:
    answer = await client.buy()
    assert answer.status_code == 202
    found = await client.get(answer.headers["Location"], ANA)
    assert found.json() == answer.json()
    assert found.json()["status"] == "authorizing"
    assert (found.json()["charged"], found.json()["being_confirmed"]) == (None, True)


async def test_waiting_gives_the_active_purchase(client: Client) -> None:
    answer = await client.buy_and(payment_authorized, lambda purchase: payment_captured(purchase, NOW))
    assert (answer.status_code, answer.json()["status"], answer.json()["charged"]) == (201, "active", True)
    assert answer.headers["Preference-Applied"] == "wait=10"


async def test_waiting_gives_the_decline(client: Client) -> None:
    answer = await client.buy_and(lambda purchase: payment_failed(purchase, "insufficient_funds"))
    body = answer.json()
    assert answer.status_code == 402
    assert answer.headers["content-type"] == "application/problem+json"
    assert (body["code"], body["reason"]) == ("payment_declined", "insufficient_funds")
    assert body["purchase"]["charged"] is False


async def test_waiting_tells_an_unreachable_gateway_from_a_decline(client: Client) -> None:
    answer = await client.buy_and(payment_abandoned)
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_unavailable")


async def test_waiting_gives_the_failed_activation(client: Client) -> None:
    answer = await client.buy_and(payment_authorized, payment_voided)
    assert (answer.status_code, answer.json()["code"]) == (409, "activation_failed")


async def test_waiting_gives_the_closed_gate(client: Client, maintenance: PlayedMaintenance) -> None:
    maintenance.answer = NotCurrent()
    await client.buy(key="k-gate", service_code="adaptive-cruise")
    waiting = asyncio.create_task(client.buy(key="k-gate", wait_s=10, service_code="adaptive-cruise"))
    await client.harness.run_effects()
    answer = await waiting
    assert (answer.status_code, answer.json()["code"]) == (409, "maintenance_blocks")
    assert answer.json()["reason"] == "maintenance_overdue"


async def test_a_wait_that_is_over_says_accepted(client: Client) -> None:
    answer = await client.buy(wait_s=1)
    assert (answer.status_code, answer.json()["status"]) == (202, "authorizing")


async def test_the_same_key_is_one_purchase_and_then_its_outcome(client: Client) -> None:
    first = await client.buy(key="k-1")  # PAY-7
    second = await client.buy(key="k-1")
    assert second.json() == first.json()
    assert len(await client.harness.published(AuthorizePayment)) == 1
    purchase = await stored(client.harness, UUID(first.json()["purchase_id"]))
    await client.harness.receive(payment_failed(purchase))
    third = await client.buy(key="k-1", wait_s=1)
    assert (third.status_code, third.json()["code"]) == (402, "payment_declined")


async def test_two_requests_with_one_key_at_once_are_one_purchase(client: Client) -> None:
    answers = await asyncio.gather(*[client.buy(key="k-2") for _ in range(4)])
    assert len({answer.json()["purchase_id"] for answer in answers}) == 1
    assert len(await client.harness.published(AuthorizePayment)) == 1


async def test_the_same_key_with_another_body_is_refused(client: Client) -> None:
    await client.buy(key="k-3")
    answer = await client.buy(key="k-3", duration_days=1)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    missing = await client.post("/purchases", a_request())
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_missing")


async def test_keys_of_different_customers_are_different(client: Client) -> None:
    mine = await client.buy(key="k-4")
    hers = await client.buy(key="k-4", who=BEA, vehicle_id="veh-2")
    assert mine.json()["purchase_id"] != hers.json()["purchase_id"]


async def test_somebody_elses_purchase_does_not_exist(client: Client) -> None:
    purchase = (await client.buy()).json()["purchase_id"]
    for answer in (
        await client.get(f"/purchases/{purchase}", BEA),
        await client.post(f"/purchases/{purchase}/cancellation", {}, BEA),
        await client.get(f"/purchases/{new_id()}", ANA),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "purchase_not_found")
    assert (await client.get("/purchases", BEA)).json()["purchases"] == []
    assert (await client.get("/purchases?customer_id=cus-1", BEA)).json()["purchases"] == []
    listed = (await client.get("/purchases?customer_id=cus-1", OPERATOR)).json()["purchases"]
    assert [one["purchase_id"] for one in listed] == [purchase]


async def test_somebody_elses_vehicle_cannot_be_bought_for_or_looked_at(client: Client) -> None:
    for answer in (await client.buy(vehicle_id="veh-2"), await client.get("/catalogue?vehicle_id=veh-2", ANA)):
        assert (answer.status_code, answer.json()["code"]) == (404, "vehicle_not_found")


async def test_the_customer_cancels_what_is_pending(client: Client) -> None:
    answer = await client.buy()  # SVC-11
    path = f"{answer.headers['Location']}/cancellation"
    first = await client.post(path, {})
    assert (first.status_code, first.json()["status"]) == (202, "cancelling")
    again = await client.post(path, {})
    assert (again.status_code, again.json()["status"]) == (202, "cancelling")
    purchase = await stored(client.harness, UUID(answer.json()["purchase_id"]))
    await client.harness.receive(payment_failed(purchase))
    ended = await client.post(path, {})
    assert (ended.status_code, ended.json()["status"]) == (200, "cancelled")


async def test_what_is_active_or_ended_is_not_cancelled(client: Client) -> None:
    active = await client.buy_and(payment_authorized, lambda purchase: payment_captured(purchase, NOW))
    refused = await client.post(f"{active.headers['Location']}/cancellation", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "already_active")
    again = await client.buy()
    assert (again.status_code, again.json()["code"]) == (409, "service_already_bought")


async def test_the_catalogue_shows_what_fits_and_what_is_active(client: Client) -> None:
    await client.buy_and(payment_authorized, lambda purchase: payment_captured(purchase, NOW))  # SVC-1
    services = (await client.get("/catalogue?vehicle_id=veh-1", ANA)).json()["services"]
    states = {service["service_code"]: service["state"] for service in services}
    assert states["premium-audio"] == "active"
    assert states["seat-heating"] == "available"
    assert "tow-assist" not in states, "it needs another model and equipment"
    audio = next(service for service in services if service["service_code"] == "premium-audio")
    assert {
        "kind": "permanent",
        "duration_days": None,
        "period_months": None,
        "price": {"amount_minor": 14900, "currency": "EUR"},
    } in audio["prices"]


async def test_the_purchase_file_has_purchases_notifications_and_invoices(client: Client) -> None:
    answer = await client.buy_and(payment_authorized, lambda purchase: payment_captured(purchase, NOW))
    purchase = await stored(client.harness, UUID(answer.json()["purchase_id"]))
    await client.harness.receive(invoice_issued(purchase))
    await client.harness.run_effects()
    file = (await client.get("/expediente", ANA)).json()  # NOT-1, INV-4
    assert [one["status"] for one in file["purchases"]] == ["active"]
    assert {one["kind"]: one["mail"] for one in file["notifications"]} == {
        "activated": "sent",
        "invoice_issued": "listed",
    }
    assert [one["number"] for one in file["documents"]] == ["S-2026-000001"]
    assert (await client.get("/expediente?customer_id=cus-1", BEA)).json()["purchases"] == []


async def test_dealers_register_and_a_change_is_published_once(client: Client) -> None:
    customer = {"name": "Iñaki Gómez", "email": "inaki@example.com", "language": "es", "tax_id": "12345678Z"}
    vehicle = {
        "customer_id": "cus-9",
        "model": "caas-one",
        "equipment": sorted(EQUIPMENT),
        "public_key": PUBLIC_KEY,
    }
    unknown = await client.put("/vehicles/veh-9", vehicle, DEALER)
    assert (unknown.status_code, unknown.json()["code"]) == (422, "customer_not_found")
    assert (await client.put("/customers/cus-9", customer, DEALER)).status_code == 201
    assert (await client.put("/customers/cus-9", customer, DEALER)).status_code == 200
    for _ in range(2):
        assert (await client.put("/vehicles/veh-9", vehicle, DEALER)).status_code == 200
    (event,) = await client.harness.published(VehicleRegistered)
    assert (event.vehicle_id, event.customer_id, event.public_key) == ("veh-9", "cus-9", PUBLIC_KEY)
    assert (await client.put("/vehicles/veh-9", vehicle, ANA)).status_code == 403


BAD_REQUESTS: list[tuple[dict[str, Any], int, str]] = [
    ({"duration_days": "30"}, 400, "invalid_request"),
    ({"duration_days": -1}, 400, "invalid_request"),
    ({"duration_days": 10**9}, 400, "invalid_request"),
    ({"duration_days": 31}, 422, "duration_not_offered"),
    ({"duration_days": ...}, 422, "duration_not_offered"),
    ({"kind": "permanent"}, 422, "duration_not_allowed"),
    ({"kind": "permanent", "duration_days": ..., "service_code": "power-boost"}, 422, "kind_not_offered"),
    ({"kind": "monthly"}, 400, "invalid_request"),
    ({"vehicle_id": ...}, 400, "invalid_request"),
    ({"vehicle_id": "no spaces allowed"}, 400, "invalid_request"),
    ({"vehicle_id": "veh-404"}, 404, "vehicle_not_found"),
    ({"service_code": "teleport"}, 404, "service_unknown"),
    ({"service_code": "tow-assist"}, 422, "service_not_allowed"),
    ({"price": 1}, 400, "invalid_request"),
    ({"immediate_performance_consent": "yes"}, 400, "invalid_request"),
    ({"immediate_performance_consent": False}, 422, "consent_missing"),
    ({"payment_method": "4111 1111 1111 1111"}, 400, "card_number_refused"),
    ({"payment_method": ""}, 400, "invalid_request"),
    ({"payment_method": "t" * 70_000}, 413, "payload_too_large"),
    ({"vehicle_id": "veh\u0000"}, 400, "invalid_request"),
]


async def test_bad_input_is_refused_with_a_clear_problem_and_no_effect(client: Client) -> None:
    for changes, status, code in BAD_REQUESTS:
        answer = await client.buy(**changes)
        assert (answer.status_code, answer.json()["code"]) == (status, code), (changes, answer.text)
        assert "4111" not in answer.text
    assert await client.harness.take() == []


async def test_bad_registrations_are_refused(client: Client) -> None:
    customer = {"name": "Ana", "email": "ana@example.com", "language": "es"}
    bad_customers: list[dict[str, Any]] = [
        {"email": "ana@example.com\r\nBcc: all@example.com"},
        {"email": "a\u0000@example.com"},
        {"email": "no-address"},
        {"name": "Ana\nSubject: hello"},
        {"name": "  "},
        {"language": "fr"},
        {"tax_id": "'; DROP TABLE customers"},
        {"is_admin": True},
    ]
    for change in bad_customers:
        answer = await client.put("/customers/cus-8", customer | change)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), change
    vehicle = {"customer_id": ANA, "model": "caas-one", "equipment": [], "public_key": PUBLIC_KEY}
    bad_vehicles: list[dict[str, Any]] = [
        {"public_key": "é" * 44},
        {"public_key": "A" * 48},
        {"equipment": "front-radar"},
        {"equipment": ["x"] * 101},
        {"model": ""},
    ]
    for change in bad_vehicles:
        answer = await client.put("/vehicles/veh-8", vehicle | change)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), change
    assert await client.harness.take() == []


async def test_without_a_token_or_the_role_nothing_is_answered(client: Client) -> None:
    assert (await client.get("/purchases", "")).status_code == 401
    assert (await client.buy(who=OPERATOR)).status_code == 403
    assert (await client.get("/expediente", DEALER)).status_code == 403
