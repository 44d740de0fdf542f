"""Planned and recurring purchases over HTTP: asking, waiting, looking, and giving later periods up (PLN, REC)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.identity import IdentityProvider
from caas_chassis.web import create_app
from caas_contracts.payments import DeliveryDecision
from caas_contracts.purchase_life import ChargeRenewal
from caas_orders.http import routers
from services.orders.tests.builders import (
    activation_failed,
    payment_authorized,
    payment_captured,
    registered,
    service_activated,
    stored,
)
from services.orders.tests.life_builders import (
    BEGINNING,
    clock_at,
    payment_confirmed,
    payment_refunded,
    payment_settled,
)

identity = IdentityProvider()
ANA = identity.bearer("cus-1", "customer")
PLANNED = {"kind": "planned", "duration_days": 30, "starts_on": "2026-12-01"}
RECURRING = {"kind": "recurring", "period_months": 1}


@pytest.fixture
async def http(harness: Harness) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(harness.runtime, routers(harness.runtime), verifier=identity.verifier())
    harness.clock.move(BEGINNING - harness.clock.now())
    await registered(harness)
    await harness.runtime.changes.start()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://orders", timeout=15) as client:
        yield client
    await harness.runtime.changes.stop()


async def buy(http: httpx.AsyncClient, wish: dict[str, Any], *, key: str = "", wait_s: int = 0) -> httpx.Response:
    body = {
        "vehicle_id": "veh-1",
        "service_code": "premium-audio",
        "payment_method": "tok_approved",
        "immediate_performance_consent": True,
    }
    headers = {**ANA, "Idempotency-Key": key or str(new_id()), "Prefer": f"wait={wait_s}"}
    return await http.post("/purchases", json=body | wish, headers=headers)


async def look(http: httpx.AsyncClient, accepted: httpx.Response) -> dict[str, Any]:
    answer = await http.get(accepted.headers["Location"], headers=ANA)
    body: dict[str, Any] = answer.json()
    return body


async def test_who_waits_for_a_planned_purchase_is_answered_when_it_is_paid(
    harness: Harness, http: httpx.AsyncClient
) -> None:
    accepted = await buy(http, PLANNED, key="plan")  # PLN-1
    assert (accepted.status_code, accepted.json()["starts_at"]) == (202, "2026-11-30T23:00:00Z")
    waiting = asyncio.create_task(buy(http, PLANNED, key="plan", wait_s=10))
    purchase = await stored(harness, UUID(accepted.json()["purchase_id"]))
    await harness.receive(payment_confirmed(purchase))
    answer = await asyncio.wait_for(waiting, 10)
    body = answer.json()
    assert (answer.status_code, body["status"], body["charged"], body["money"]) == (201, "scheduled", True, "captured")
    cancelled = await http.post(f"{accepted.headers['Location']}/cancellation", headers=ANA)
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelling")
    await harness.receive(payment_refunded(purchase))
    body = await look(http, accepted)
    assert (body["status"], body["charged"], body["money"]) == ("cancelled", False, "refunded")


async def test_delivery_after_settlement_is_accepted_until_it_is_active(
    harness: Harness, http: httpx.AsyncClient
) -> None:
    wish = {"kind": "temporary", "duration_days": 30}
    accepted = await buy(http, wish, key="later")  # RSK-2
    purchase = await stored(harness, UUID(accepted.json()["purchase_id"]))
    await harness.receive(payment_confirmed(purchase, DeliveryDecision.AFTER_SETTLEMENT))
    answer = await buy(http, wish, key="later", wait_s=1)
    assert answer.status_code == 202
    assert (await look(http, accepted))["status"] == "settling"
    await harness.receive(payment_settled(purchase))
    await harness.receive(service_activated(purchase))
    assert (await buy(http, wish, key="later", wait_s=1)).status_code == 201


async def test_a_failed_activation_says_that_the_money_is_back(harness: Harness, http: httpx.AsyncClient) -> None:
    wish = {"kind": "temporary", "duration_days": 30}
    accepted = await buy(http, wish, key="fails")
    purchase = await stored(harness, UUID(accepted.json()["purchase_id"]))
    await harness.receive(payment_confirmed(purchase))
    await harness.receive(activation_failed(purchase), payment_refunded(purchase))
    answer = await buy(http, wish, key="fails", wait_s=1)
    assert (answer.status_code, answer.json()["code"]) == (409, "activation_failed")
    assert "has been paid back" in answer.json()["detail"]


async def test_a_recurring_purchase_shows_what_it_renews_and_stops_when_asked(
    harness: Harness, http: httpx.AsyncClient
) -> None:
    accepted = await buy(http, RECURRING)  # REC-1, REC-2
    assert accepted.json()["recurrence"] is None
    purchase = await stored(harness, UUID(accepted.json()["purchase_id"]))
    await harness.receive(payment_authorized(purchase))
    await harness.receive(payment_captured(purchase), service_activated(purchase, applied_at=BEGINNING))
    assert (await look(http, accepted))["recurrence"] == {
        "status": "running",
        "reason": "",
        "current_period": 1,
        "next_renewal_at": "2026-12-21T09:00:00Z",
    }
    await clock_at(harness, BEGINNING + timedelta(days=29))
    assert len(await harness.published(ChargeRenewal)) == 1
    assert (await look(http, accepted))["recurrence"]["status"] == "renewing"
    stopped = await http.post(f"{accepted.headers['Location']}/cancellation", headers=ANA)
    body = stopped.json()
    assert (stopped.status_code, body["status"], body["ends_at"]) == (200, "active", "2026-12-22T09:00:00Z")
    assert (body["recurrence"]["status"], body["recurrence"]["next_renewal_at"]) == ("ended", None)
    (listed,) = (await http.get("/purchases", headers=ANA)).json()["purchases"]
    (filed,) = (await http.get("/expediente", headers=ANA)).json()["purchases"]
    assert listed == filed == body


async def test_the_catalogue_names_the_price_of_a_period(http: httpx.AsyncClient) -> None:
    services = (await http.get("/catalogue?vehicle_id=veh-1", headers=ANA)).json()["services"]
    (audio,) = [service for service in services if service["service_code"] == "premium-audio"]
    price = {"amount_minor": 8990, "currency": "EUR"}
    assert {"kind": "recurring", "duration_days": None, "period_months": 12, "price": price} in audio["prices"]


BAD: list[tuple[dict[str, Any], int, str]] = [
    (PLANNED | {"starts_on": "1 December"}, 400, "invalid_request"),
    (PLANNED | {"starts_on": "2026-11-22"}, 422, "start_not_allowed"),
    (PLANNED | {"starts_on": None}, 422, "start_not_allowed"),
    (PLANNED | {"time_zone": "Europe/Atlantis"}, 422, "time_zone_unknown"),
    (PLANNED | {"time_zone": "../../etc/passwd"}, 400, "invalid_request"),
    (PLANNED | {"period_months": 1}, 422, "period_not_allowed"),
    (RECURRING | {"period_months": 13}, 400, "invalid_request"),
    (RECURRING | {"period_months": 5}, 422, "period_not_offered"),
    (RECURRING | {"period_months": None}, 422, "period_not_offered"),
    (RECURRING | {"duration_days": 30}, 422, "duration_not_allowed"),
    (RECURRING | {"starts_on": "2026-12-01"}, 422, "start_not_allowed"),
    ({"kind": "permanent", "period_months": 1}, 422, "period_not_allowed"),
]


@pytest.mark.parametrize(("wish", "status", "code"), BAD)
async def test_what_cannot_be_bought_so_is_refused_with_its_reason(
    harness: Harness, http: httpx.AsyncClient, wish: dict[str, Any], status: int, code: str
) -> None:
    answer = await buy(http, wish)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert await harness.take() == []
