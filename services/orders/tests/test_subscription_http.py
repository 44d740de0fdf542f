"""Subscribing over HTTP: the purchase entrance, the catalogue's offers, the end, and the purchase file (SUB, INV-4)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.identity import IdentityProvider
from caas_chassis.web import create_app
from caas_contracts.message import Message
from caas_contracts.orders import PurchasePlaced
from caas_contracts.subscriptions import SubscriptionCancelled
from caas_orders.gateway import NotCurrent
from caas_orders.http import routers
from services.orders.tests.builders import (
    NOW,
    PlayedMaintenance,
    a_vehicle,
    activation_failed,
    cancel_purchase,
    invoice_issued,
    registered,
    service_activated,
    stored,
)
from services.orders.tests.subscription_builders import subscribed, unpaid

identity = IdentityProvider()
ANA = identity.bearer("cus-1", "customer")
BEA = identity.bearer("cus-2", "customer")


@pytest.fixture
async def http(harness: Harness) -> AsyncIterator[httpx.AsyncClient]:
    await harness.move_clock(NOW - harness.clock.now())
    await registered(harness, a_vehicle(), a_vehicle("veh-2", "cus-2"))
    app = create_app(harness.runtime, routers(harness.runtime), verifier=identity.verifier())
    await harness.runtime.changes.start()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://orders", timeout=15) as client:
        yield client
    await harness.runtime.changes.stop()


async def subscribe(http: httpx.AsyncClient, *, key: str = "", wait_s: int = 0, **changes: Any) -> httpx.Response:
    request = {
        "vehicle_id": "veh-1",
        "service_code": "premium-audio",
        "kind": "subscription",
        "payment_method": "tok_approved",
        "immediate_performance_consent": True,
        **changes,
    }
    headers = {**ANA, "Idempotency-Key": key or str(new_id()), **({"Prefer": f"wait={wait_s}"} if wait_s else {})}
    return await http.post("/purchases", json=request, headers=headers)


async def subscribe_and(http: httpx.AsyncClient, harness: Harness, *facts: Any) -> httpx.Response:
    """Subscribe, wait for the outcome with the same key, and meanwhile have the others tell these facts."""
    accepted = await subscribe(http, key="k")
    waiting = asyncio.create_task(subscribe(http, key="k", wait_s=10))
    purchase = await stored(harness, UUID(accepted.json()["purchase_id"]))
    for fact in facts:
        message: Message = fact(purchase)
        await harness.receive(message)
    return await asyncio.wait_for(waiting, 12)


async def cancel(http: httpx.AsyncClient, purchase_id: object, who: dict[str, str] = ANA) -> httpx.Response:
    return await http.post(f"/purchases/{purchase_id}/cancellation", headers=who)


async def test_waiting_gives_the_active_subscription(http: httpx.AsyncClient, harness: Harness) -> None:
    answer = await subscribe_and(http, harness, service_activated)
    body = answer.json()
    assert (answer.status_code, body["status"], body["charged"]) == (201, "active", False)
    assert (body["payment_id"], body["plan_code"], body["plan_version"]) == (None, "premium-audio-month", 1)
    assert (body["price"], body["duration_days"]) == ({"amount_minor": 0, "currency": "EUR"}, None)
    assert len(await harness.published(PurchasePlaced)) == 1  # PAY-7


async def test_waiting_gives_the_failed_activation_and_the_cancellation(
    http: httpx.AsyncClient, harness: Harness
) -> None:
    failed = await subscribe_and(http, harness, activation_failed)
    assert (failed.status_code, failed.json()["code"]) == (409, "activation_failed")
    given_up = await subscribe(http, key="k2")
    waiting = asyncio.create_task(subscribe(http, key="k2", wait_s=10))
    purchase = await stored(harness, UUID(given_up.json()["purchase_id"]))
    await harness.receive(cancel_purchase(purchase))
    await harness.receive(service_activated(purchase))
    answer = await asyncio.wait_for(waiting, 12)
    assert (answer.status_code, answer.json()["code"]) == (409, "purchase_cancelled")


async def test_waiting_gives_the_closed_gate(
    http: httpx.AsyncClient, harness: Harness, maintenance: PlayedMaintenance
) -> None:
    maintenance.answer = NotCurrent()  # SVC-2
    waiting = asyncio.create_task(subscribe(http, wait_s=10, service_code="adaptive-cruise"))
    while not maintenance.asked:
        await harness.run_effects()
        await asyncio.sleep(0.01)
    answer = await asyncio.wait_for(waiting, 12)
    assert (answer.status_code, answer.json()["code"]) == (409, "maintenance_blocks")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"service_code": "power-boost"}, 422, "kind_not_offered"),
        ({"duration_days": 30}, 422, "duration_not_allowed"),
        ({"service_code": "tow-assist"}, 422, "service_not_allowed"),
        ({"service_code": "flying"}, 404, "service_unknown"),
        ({"immediate_performance_consent": False}, 422, "consent_missing"),
        ({"vehicle_id": "veh-2"}, 404, "vehicle_not_found"),
    ],
)
async def test_what_cannot_be_subscribed_says_why(
    http: httpx.AsyncClient, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = await subscribe(http, **changes)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_second_subscription_of_the_same_service_is_a_conflict(http: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*[subscribe(http) for _ in range(4)])
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
    assert {one.json()["code"] for one in answers if one.status_code == 409} == {"service_already_bought"}
    bought = await subscribe(http, kind="temporary", duration_days=30)
    assert bought.status_code == 409


async def test_the_end_by_the_customer_is_the_same_answer_twice(http: httpx.AsyncClient, harness: Harness) -> None:
    purchase = await subscribed(harness)  # SUB-7
    assert (await cancel(http, purchase.purchase_id, BEA)).status_code == 404
    first = await cancel(http, purchase.purchase_id)
    await harness.move_clock(NOW.replace(day=24) - NOW)
    second = await cancel(http, purchase.purchase_id)
    assert (first.status_code, first.json()["status"]) == (200, "ended")
    assert first.json()["cancelled_at"] == first.json()["ends_at"]
    assert (second.status_code, second.json()) == (200, first.json())
    assert len(await harness.published(SubscriptionCancelled)) == 1


async def test_what_was_not_paid_cannot_be_cancelled_any_more(http: httpx.AsyncClient, harness: Harness) -> None:
    purchase = await subscribed(harness)  # SUB-6
    await harness.receive(unpaid(purchase))
    answer = await cancel(http, purchase.purchase_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_ended")
    assert "not paid" in answer.json()["detail"]


async def test_the_catalogue_shows_what_can_be_subscribed_and_at_which_rates(
    http: httpx.AsyncClient, harness: Harness
) -> None:
    services = {
        one["service_code"]: one
        for one in (await http.get("/catalogue?vehicle_id=veh-1", headers=ANA)).json()["services"]
    }
    audio, cruise = services["premium-audio"]["subscription"], services["adaptive-cruise"]["subscription"]
    assert (audio["kind"], audio["rate"], audio["version"]) == ("flat_monthly", "899", 1)
    assert [(later["version"], later["effective_from"]) for later in audio["later_versions"]] == [(2, "2027-01")]
    assert [tier["up_to"] for tier in cruise["tiers"]] == ["500", "2000", None]
    assert cruise["unit_name"] == {"es": "km", "en": "km"}
    assert services["power-boost"]["subscription"] is None
    await subscribed(harness)
    again = (await http.get("/catalogue?vehicle_id=veh-1", headers=ANA)).json()["services"]
    assert {one["service_code"]: one["state"] for one in again}["premium-audio"] == "active"


async def test_the_purchase_file_lists_subscriptions_with_their_monthly_invoices(
    http: httpx.AsyncClient, harness: Harness
) -> None:
    purchase = await subscribed(harness)
    for number in (1, 2):
        await harness.receive(invoice_issued(purchase, f"M-2026-00000{number}"))
    await cancel(http, purchase.purchase_id)
    mine = (await http.get("/expediente", headers=ANA)).json()
    (subscription,) = mine["subscriptions"]
    assert subscription["subscription_id"] == str(purchase.purchase_id)
    assert (subscription["status"], subscription["reason"]) == ("ended", "cancelled_by_customer")
    assert subscription["started_at"] == "2026-11-22T09:00:00Z"
    assert [one["number"] for one in subscription["documents"]] == ["M-2026-000002", "M-2026-000001"]
    assert [one["number"] for one in mine["documents"]] == ["M-2026-000002", "M-2026-000001"]
    hers = (await http.get("/expediente", headers=BEA)).json()
    assert (hers["subscriptions"], hers["documents"]) == ([], [])
