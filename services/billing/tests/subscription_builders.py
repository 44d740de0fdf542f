"""Facts about subscriptions for billing's tests; every argument has a sensible default."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from caas_contracts.subscriptions import (
    RatePlan,
    RatePlanKind,
    RatePlanPublished,
    RateTier,
    SubscriptionCancelled,
    SubscriptionStarted,
)

A_START = datetime(2026, 10, 3, 17, 20, tzinfo=UTC)


def a_plan(**changes: Any) -> RatePlan:
    """3.5 cents a kilometre."""
    values: dict[str, Any] = {
        "plan_code": "lane-keeping-per-km",
        "version": 1,
        "kind": RatePlanKind.PER_USE,
        "currency": "EUR",
        "unit": "km",
        "rate": "3.5",
        "effective_from": "2026-01",
    }
    return RatePlan(**values | changes)


def a_tiered_plan(*tiers: tuple[str | None, str], **changes: Any) -> RatePlan:
    """Up to 500 km at 2.5 cents, the rest at 1.25."""
    steps = [RateTier(up_to=up_to, rate=rate) for up_to, rate in tiers or (("500", "2.5"), (None, "1.25"))]
    return a_plan(**{"plan_code": "tiered-per-km", "kind": RatePlanKind.TIERED, "rate": None, "tiers": steps} | changes)


def published(plan: RatePlan) -> RatePlanPublished:
    return RatePlanPublished(plan_code=plan.plan_code, plan=plan, occurred_at=A_START)


def a_start(**changes: Any) -> SubscriptionStarted:
    """María subscribes to lane keeping on 3 October."""
    values: dict[str, Any] = {
        "subscription_id": uuid4(),
        "customer_id": "customer-1",
        "customer_name": "María Núñez",
        "customer_email": "maria@example.org",
        "customer_tax_id": "12345678Z",
        "vehicle_id": "VIN-0001",
        "service_code": "lane-keeping",
        "service_name": "Mantenimiento de carril",
        "plan": a_plan(),
        "vat_rate_bp": 2100,
        "payment_method": "pm_ok",
        "activation_id": uuid4(),
        "started_at": A_START,
        "occurred_at": A_START,
    }
    return SubscriptionStarted(**values | changes)


def a_cancellation(started: SubscriptionStarted, after: timedelta = timedelta(days=10)) -> SubscriptionCancelled:
    """Its customer gives it up."""
    return SubscriptionCancelled(
        subscription_id=started.subscription_id,
        customer_id=started.customer_id,
        vehicle_id=started.vehicle_id,
        service_code=started.service_code,
        cancelled_at=started.started_at + after,
        occurred_at=started.started_at + after,
    )


def ids_of_shard(shard: int, number: int) -> list[UUID]:
    """New ids whose last byte is `shard`."""
    return [UUID(int=(uuid4().int & ~0xFF) | shard) for _ in range(number)]
