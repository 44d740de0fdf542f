"""Subscriptions as billing stores them, and reported use of them as vehicles send it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

from asyncpg import Connection, Record

from caas_billing.store.shards import shard_of
from caas_chassis.records import RawRecord
from caas_chassis.testing.harness import Harness
from caas_chassis.transaction import Tx
from caas_contracts import Message
from caas_contracts.subscriptions import UsageReported

OCTOBER = date(2026, 10, 1)
NOVEMBER = date(2026, 11, 1)
TODAY = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)

INSERT_PLAN = """
INSERT INTO rate_plan (plan_code, version, kind, currency, unit, rate, effective_from)
VALUES ($1, $2, $3, 'EUR', $4, 1, $5) ON CONFLICT DO NOTHING
"""
INSERT_SUBSCRIPTION = """
INSERT INTO subscription (subscription_id, customer_id, customer_name, customer_email, customer_language, vehicle_id,
    service_code, service_name, plan_code, plan_version, currency, vat_rate_bp, activation_id, started_at)
VALUES ($1, $2, 'María Núñez', 'maria@example.org', 'es', $3, $4, 'Autopista', $5, $6, 'EUR', 2100, $7, $8)
"""
INSERT_STANDING = """
INSERT INTO subscription_standing (subscription_id, shard, status, next_period, ended_at, payment_method, changed_at)
VALUES ($1, $2, 'active', $3, $4, 'tok_approved', $5)
"""


@dataclass(frozen=True, slots=True)
class ASubscription:
    """A subscription; by default of one plan per kilometre, started in October and open since."""

    subscription_id: UUID
    customer_id: str = "customer-1"
    vehicle_id: str = "VIN-0001"
    service_code: str = "highway-pilot"
    plan_code: str = "per-km"
    plan_version: int = 1
    started_at: datetime = datetime(2026, 10, 1, tzinfo=UTC)
    next_period: date | None = OCTOBER
    ended_at: datetime | None = None

    async def store(self, tx: Tx | Connection) -> None:
        """As the start of a subscription is stored."""
        await tx.execute(INSERT_PLAN, self.plan_code, 1, "per_use", "km", date(2020, 1, 1))
        await tx.execute(
            INSERT_SUBSCRIPTION,
            self.subscription_id,
            self.customer_id,
            self.vehicle_id,
            self.service_code,
            self.plan_code,
            self.plan_version,
            uuid4(),
            self.started_at,
        )
        shard = shard_of(self.subscription_id)
        await tx.execute(INSERT_STANDING, self.subscription_id, shard, self.next_period, self.ended_at, TODAY)


async def a_subscription(billing: Harness, **changes: Any) -> ASubscription:
    """A stored subscription."""
    subscription = ASubscription(**{"subscription_id": uuid4(), **changes})
    async with billing.transaction() as tx:
        await subscription.store(tx)
    return subscription


async def a_plan(billing: Harness, code: str, version: int, kind: str, unit: str | None, since: date) -> None:
    """A stored version of a plan."""
    async with billing.transaction() as tx:
        await tx.execute(INSERT_PLAN, code, version, kind, unit, since)


def a_use(subscription: ASubscription | UUID | str, **changes: Any) -> UsageReported:
    """Use of a subscription: 12.5 km on an October day."""
    subject = subscription.subscription_id if isinstance(subscription, ASubscription) else subscription
    values: dict[str, Any] = {
        "usage_id": uuid4(),
        "subject_id": str(subject),
        "occurred_at": datetime(2026, 10, 15, 12, 0, tzinfo=UTC),
        "quantity": "12.5",
        "unit": "km",
    }
    return UsageReported(**values | changes)


class Log:
    """A partition of the topic of use: gives records their offsets."""

    def __init__(self) -> None:
        self._next = 0

    def record(self, message: Message, **headers: str) -> RawRecord:
        """An unnumbered CloudEvent from outside; `headers` adds to its attributes or replaces them."""
        context = {
            "ce_specversion": "1.0",
            "ce_id": str(uuid4()),
            "ce_source": "vehicles",
            "ce_type": message.TYPE,
            "content-type": "application/json",
        } | headers
        self._next += 1
        fields = [(name, text.encode()) for name, text in context.items()]
        return RawRecord(message.TOPIC.name, 0, self._next, message.key.encode(), message.to_json(), fields)

    def records(self, *messages: Message) -> list[RawRecord]:
        """Records of messages, in their order."""
        return [self.record(message) for message in messages]


async def charged(billing: Harness) -> list[Record]:
    """All use that is charged."""
    async with billing.transaction() as tx:
        return await tx.fetch("SELECT * FROM usage_event ORDER BY subscription_id, usage_id")


async def uncharged(billing: Harness) -> list[Record]:
    """All use that nobody pays."""
    async with billing.transaction() as tx:
        return await tx.fetch("SELECT * FROM uncharged_usage ORDER BY subscription_id, usage_id")
