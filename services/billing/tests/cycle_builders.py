"""Plans, subscriptions and use as rows, and the reference's view of them, for tests of the cycle."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg

from caas_billing.domain.period import Period
from caas_billing.domain.rate_plan import PlanVersion, Tier
from caas_billing.store.shards import shard_of
from caas_chassis.cause import Cause
from caas_chassis.testing.harness import Harness
from caas_chassis.transaction import Tx
from caas_contracts.subscriptions import RatePlanKind

MADRID = ZoneInfo("Europe/Madrid")
OCTOBER = Period(2026, 10)
NOVEMBER = Period(2026, 11)


def a_plan(kind: RatePlanKind = RatePlanKind.PER_USE, rate: str | None = "3.5", **changes: Any) -> PlanVersion:
    """A plan of 3.5 cents a minute, in force for long."""
    values: dict[str, Any] = {
        "plan_code": "plan-1",
        "version": 1,
        "kind": kind,
        "unit": None if kind is RatePlanKind.FLAT_MONTHLY else "minute",
        "rate": None if kind is RatePlanKind.TIERED or rate is None else Decimal(rate),
        "tiers": (),
        "currency": "EUR",
        "effective_from": date(2020, 1, 1),
    }
    return PlanVersion(**values | changes)


def tiers(*steps: tuple[str | None, str]) -> tuple[Tier, ...]:
    """Steps as (up to, rate), from zero."""
    above, found = Decimal(0), []
    for up_to, rate in steps:
        found.append(Tier(above, None if up_to is None else Decimal(up_to), Decimal(rate)))
        above = above if up_to is None else Decimal(up_to)
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One subscription as its rows say it; `uses` are (period that bills it, day, quantity)."""

    subscription_id: UUID = field(default_factory=uuid4)
    customer_id: str = "customer-1"
    plan_code: str = "plan-1"
    plan_version: int = 1
    currency: str = "EUR"
    vat_rate_bp: int = 2100
    started_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    ended_at: datetime | None = None
    next_period: Period | None = OCTOBER
    status: str = "active"
    method_refused: bool = False
    uses: Sequence[tuple[Period, date, Decimal]] = ()


def a_subscription(*uses: tuple[str, str], **changes: Any) -> Subscription:
    """Uses of October 2026 as (day, quantity): `("2026-10-31", "2.5")`."""
    found = [(OCTOBER, date.fromisoformat(day), Decimal(quantity)) for day, quantity in uses]
    return Subscription(**{"uses": found, **changes})


async def add_plans(connection: asyncpg.Connection, *plans: PlanVersion) -> None:
    """Store plan versions as RatePlanPublished would."""
    for plan in plans:
        await connection.execute(
            "INSERT INTO rate_plan VALUES ($1, $2, $3, 'EUR', $4, $5, $6)",
            plan.plan_code,
            plan.version,
            plan.kind.value,
            plan.unit,
            plan.rate,
            plan.effective_from,
        )
        rows = [
            (plan.plan_code, plan.version, number, tier.above, tier.up_to, tier.rate)
            for number, tier in enumerate(plan.tiers, start=1)
        ]
        await connection.executemany("INSERT INTO rate_tier VALUES ($1, $2, $3, $4, $5, $6)", rows)


async def add_subscriptions(connection: asyncpg.Connection, *subscriptions: Subscription) -> None:
    """Store subscriptions with their standing and their use."""
    await connection.copy_records_to_table(
        "subscription",
        records=[
            (
                one.subscription_id, one.customer_id, "María Núñez", "maria@example.org", None, "es", "VIN-0001",
                "highway-pilot", 'Piloto "de autopista"', one.plan_code, one.plan_version, one.currency,
                one.vat_rate_bp, uuid4(), one.started_at,
            )
            for one in subscriptions
        ],
    )  # fmt: skip
    await connection.copy_records_to_table(
        "subscription_standing",
        records=[
            (
                one.subscription_id, shard_of(one.subscription_id), one.status,
                one.next_period.first_day if one.next_period else None, one.ended_at, "pm_card", one.method_refused,
                one.started_at,
            )
            for one in subscriptions
        ],
    )  # fmt: skip
    await connection.copy_records_to_table(
        "usage_event",
        records=[
            (one.subscription_id, uuid4(), period.first_day, day, noon(day), quantity)
            for one in subscriptions
            for period, day, quantity in one.uses
        ],
    )


def noon(day: date) -> datetime:
    """When a use of that day happened."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


async def stored(billing: Harness, *things: PlanVersion | Subscription) -> None:
    """Put plans and subscriptions into billing's database."""
    async with billing.owner() as connection:
        await add_plans(connection, *(one for one in things if isinstance(one, PlanVersion)))
        await add_subscriptions(connection, *(one for one in things if isinstance(one, Subscription)))


def a_tx(connection: asyncpg.Connection, now: datetime) -> Tx:
    """A transaction of the cycle on an open connection, at a business instant."""
    return Tx(connection, service="billing", now=now, cause=Cause.of_person("operator:test"))
