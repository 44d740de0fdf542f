"""Subscribing over all services as separate processes: from the request to the car, to billing, and out again (SUB)."""

import asyncio
from typing import Any
from uuid import UUID

import httpx

from caas_local.demo.scenarios import Sale
from tests.flows.market import Market

_SUBSCRIPTION = """
SELECT s.plan_code, s.plan_version, t.status, t.ended_at FROM subscription s JOIN subscription_standing t
    USING (subscription_id) WHERE s.subscription_id = $1
"""
_DEACTIVATED = "SELECT reason, status FROM deactivation WHERE activation_id = $1"
_PLANS = "SELECT plan_code, count(*) AS versions FROM rate_plan GROUP BY plan_code"


async def subscribe(market: Market, sale: Sale) -> httpx.Response:
    body = {
        "vehicle_id": sale.vehicle_id,
        "service_code": "premium-audio",
        "kind": "subscription",
        "payment_method": f"tok_approved:{sale.customer_id}",
        "immediate_performance_consent": True,
    }
    headers = {"Idempotency-Key": f"subscribe-{sale.vehicle_id}", "Prefer": "wait=30"}
    return await market.actors.post_as("customer", sale.customer_id, "orders", "/purchases", body, headers)


async def row_of(market: Market, service: str, sql: str, key: str, **wanted: Any) -> dict[str, Any]:
    """The row, as soon as it has these values. Raises TimeoutError after two minutes."""
    async with asyncio.timeout(120):
        while True:
            for row in await market.databases.rows(service, sql, UUID(key)):
                if all(row[name] == value for name, value in wanted.items()):
                    return dict(row)
            await asyncio.sleep(0.1)


async def test_a_subscription_reaches_the_car_and_billing_and_ends_when_its_customer_wishes(market: Market) -> None:
    (sale,) = await market.register("approved")
    subscribed = await subscribe(market, sale)
    purchase = subscribed.json()
    assert (subscribed.status_code, purchase["status"], purchase["charged"]) == (201, "active", False)
    begun = await row_of(market, "billing", _SUBSCRIPTION, purchase["purchase_id"], status="active")
    assert (begun["plan_code"], begun["plan_version"]) == (purchase["plan_code"], purchase["plan_version"])
    versions = {row["plan_code"]: row["versions"] for row in await market.databases.rows("billing", _PLANS)}
    assert versions["premium-audio-month"] == 2, "every version of the catalogue is told ahead"
    path = f"/purchases/{purchase['purchase_id']}/cancellation"
    ended = await market.actors.post_as("customer", sale.customer_id, "orders", path, {})
    assert (ended.status_code, ended.json()["status"]) == (200, "ended")
    await row_of(market, "billing", _SUBSCRIPTION, purchase["purchase_id"], status="cancelled_customer")
    await row_of(market, "ota", _DEACTIVATED, purchase["activation_id"], reason="customer_cancelled", status="done")
    await market.databases.until_quiet(180)
    file = (await market.actors.get_as("customer", sale.customer_id, "orders", "/expediente")).json()
    (mine,) = [one for one in file["subscriptions"] if one["subscription_id"] == purchase["purchase_id"]]
    assert (mine["status"], mine["ended_at"]) == ("ended", ended.json()["cancelled_at"])
    told = [one["kind"] for one in file["notifications"] if one["purchase_id"] == purchase["purchase_id"]]
    assert sorted(told) == ["subscription_cancelled", "subscription_started"]  # once each (NOT-1)


async def test_a_subscription_that_the_car_cannot_apply_never_begins(market: Market) -> None:
    (sale,) = await market.register("car_incompatible")
    answer = await subscribe(market, sale)
    assert (answer.status_code, answer.json()["code"]) == (409, "activation_failed")
    mine = (await market.actors.get_as("customer", sale.customer_id, "orders", "/expediente")).json()["subscriptions"]
    (failed,) = [one for one in mine if one["vehicle_id"] == sale.vehicle_id]
    assert (failed["status"], failed["started_at"]) == ("failed", None)
    assert await market.databases.rows("billing", _SUBSCRIPTION, UUID(failed["subscription_id"])) == []
