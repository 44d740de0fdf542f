"""How fast reported use gets from its topic to committed rows of billing, against bare COPY of the same rows.

Ours is billing's own process: it reads from Kafka, decodes, validates, looks for card data, judges each use by its
subscription and plan, deduplicates for ever, and commits in parts. The limit copies ready rows, in one statement,
into an empty table with the same columns and key.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Final
from uuid import UUID

import asyncpg

from bench.machine import Machine
from bench.measure import Aim, Comparison, Measure
from bench.platform import environment_of
from bench.processes import Child, child
from bench.sending import KeyedRecord, bare_producer, send_all
from caas_billing.app import MIGRATIONS, NAME
from caas_chassis.embedded.ports import free_port
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.settings import ServiceSettings
from caas_chassis.topicadmin import all_topics, create_topics
from caas_contracts.subscriptions import UsageReported

EVENTS: Final = 100_000
EVENTS_PER_SUBSCRIPTION: Final = 10
GROWTH: Final = (10_000, 1_000_000)
"""Sizes beside `EVENTS` that are measured once, to see how the rate changes with them."""
SENT_TOGETHER: Final = 50_000
LOOK_EVERY_S: Final = 0.01
DEADLINE_S: Final = 300.0
SEED: Final = 20_261_001
MONTH: Final = datetime(2026, 10, 1, tzinfo=UTC)

BARE_TABLE: Final = """
CREATE TABLE bare_usage (
    subscription_id uuid NOT NULL, usage_id uuid NOT NULL, period date NOT NULL, used_on date NOT NULL,
    occurred_at timestamptz NOT NULL, quantity numeric(18, 6) NOT NULL CHECK (quantity >= 0),
    PRIMARY KEY (subscription_id, usage_id)
)
"""
INSERT_PLAN: Final = """
INSERT INTO rate_plan (plan_code, version, kind, currency, unit, rate, effective_from)
VALUES ('per-km', 1, 'per_use', 'EUR', 'km', 3.5, '2026-01-01')
"""
INSERT_SUBSCRIPTIONS: Final = """
INSERT INTO subscription (subscription_id, customer_id, customer_name, customer_email, customer_language, vehicle_id,
    service_code, service_name, plan_code, plan_version, currency, vat_rate_bp, activation_id, started_at)
SELECT id, 'C-' || n, 'Customer', 'c@customers.example', 'es', 'V-' || n, 'highway-pilot', 'Autopista', 'per-km', 1,
    'EUR', 2100, gen_random_uuid(), '2026-09-01Z'
FROM unnest($1::uuid[]) WITH ORDINALITY AS s(id, n)
"""
INSERT_STANDINGS: Final = """
INSERT INTO subscription_standing (subscription_id, shard, status, next_period, payment_method, changed_at)
SELECT subscription_id, get_byte(uuid_send(subscription_id), 15), 'active', '2026-10-01', 'tok_approved', now()
FROM subscription
"""
READ_SO_FAR: Final = """
SELECT coalesce(sum(next_offset), 0)::bigint FROM chassis.inbox_offset WHERE topic = $1
"""
COUNT_USAGE: Final = "SELECT count(*) FROM usage_event"


@dataclass(frozen=True, slots=True)
class Use:
    """One use, as a record and as a row."""

    subscription_id: UUID
    usage_id: UUID
    occurred_at: datetime
    quantity: str

    @property
    def record(self) -> KeyedRecord:
        """An unnumbered CloudEvent, as vehicles send it."""
        body = {
            "usage_id": str(self.usage_id),
            "subject_id": str(self.subscription_id),
            "occurred_at": self.occurred_at.isoformat().replace("+00:00", "Z"),
            "quantity": self.quantity,
            "unit": "km",
        }
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", str(self.usage_id).encode()),
            ("ce_source", b"vehicles"),
            ("ce_type", UsageReported.TYPE.encode()),
            ("content-type", b"application/json"),
        ]
        return str(self.subscription_id).encode(), json.dumps(body).encode(), headers

    @property
    def row(self) -> str:
        """A line for COPY."""
        at = self.occurred_at
        return f"{self.subscription_id}\t{self.usage_id}\t2026-10-01\t{at.date()}\t{at.isoformat()}\t{self.quantity}\n"


@asynccontextmanager
async def ingesting_against_copy(machine: Machine) -> AsyncIterator[Comparison]:
    """The same use for both, in an order of its own for each event."""
    rates: dict[str, float] = {}
    peaks: list[float] = []

    async def ours() -> float:
        return await _ingest(machine, _month_of_use(EVENTS), peaks)

    async def limit() -> float:
        return await _copy(machine, _month_of_use(EVENTS))

    yield Comparison(ours, limit, {"events": EVENTS, "rss_mb": peaks, "rate_by_events": rates})
    for events in GROWTH:
        rates[str(events)] = await _ingest(machine, _month_of_use(events), peaks)


def _month_of_use(events: int) -> list[Use]:
    """Seeded use in October, unordered."""
    chance = random.Random(SEED)
    subscriptions = [UUID(int=chance.getrandbits(128), version=4) for _ in range(events // EVENTS_PER_SUBSCRIPTION)]
    return [
        Use(
            chance.choice(subscriptions),
            UUID(int=chance.getrandbits(128), version=4),
            MONTH + timedelta(seconds=chance.randrange(30 * 86_400), microseconds=chance.randrange(1_000_000)),
            f"{chance.randrange(200)}.{chance.randrange(1_000):03d}",
        )
        for _ in range(events)
    ]


async def _ingest(machine: Machine, usage: Sequence[Use], peaks: list[float]) -> float:
    """Everything is in the topic before billing starts; the time runs from its first commit to its last."""
    async with asyncio.timeout(DEADLINE_S), AsyncExitStack() as stack:
        await create_topics(machine.bootstrap_servers, all_topics())
        stack.push_async_callback(machine.delete_topics, [topic.name for topic in all_topics()])
        url = await stack.enter_async_context(machine.database("usage"))
        connection = await _prepared(url, usage)
        stack.push_async_callback(connection.close)
        async with bare_producer(machine.bootstrap_servers) as producer:
            for part in _parts(usage):
                await send_all(producer, UsageReported.TOPIC.name, [use.record for use in part])
        await machine.checkpoint()
        environment = environment_of(machine, NAME, url, free_port())
        billing = await stack.enter_async_context(child(NAME, ["-m", "bench.serving.billing"], environment))
        rate = await _rate(connection, billing, len(usage))
        peaks.append(round(billing.rss_mb, 1))
        assert await connection.fetchval(COUNT_USAGE) == len(usage)
        return rate


async def _prepared(url: str, usage: Sequence[Use]) -> asyncpg.Connection:
    runtime = Runtime(Service(NAME, MIGRATIONS, {}), ServiceSettings(database_url=url))
    try:
        await runtime.migrate()
    finally:
        await runtime.database.close()
    connection = await asyncpg.connect(url, timeout=DEADLINE_S, command_timeout=DEADLINE_S)
    await connection.execute(INSERT_PLAN)
    await connection.execute(INSERT_SUBSCRIPTIONS, list({use.subscription_id for use in usage}))
    await connection.execute(INSERT_STANDINGS)
    await connection.execute("ANALYZE")
    return connection


async def _rate(connection: asyncpg.Connection, billing: Child, total: int) -> float:
    first, began = 0, 0.0
    while True:
        read = await connection.fetchval(READ_SO_FAR, UsageReported.TOPIC.name)
        if read and not first:
            first, began = read, time.perf_counter()
        if read >= total:
            return (total - first) / (time.perf_counter() - began)
        billing.check()
        await asyncio.sleep(LOOK_EVERY_S)


async def _copy(machine: Machine, usage: Sequence[Use]) -> float:
    async with asyncio.timeout(DEADLINE_S), machine.database("copy") as url:
        connection = await asyncpg.connect(url, timeout=DEADLINE_S, command_timeout=DEADLINE_S)
        try:
            await connection.execute(BARE_TABLE)
            rows = BytesIO("".join(use.row for use in usage).encode())
            await machine.checkpoint()
            began = time.perf_counter()
            await connection.copy_to_table("bare_usage", source=rows, format="text")
            return len(usage) / (time.perf_counter() - began)
        finally:
            await connection.close()


def _parts(usage: Sequence[Use]) -> Iterator[Sequence[Use]]:
    return (usage[start : start + SENT_TOGETHER] for start in range(0, len(usage), SENT_TOGETHER))


MEASURE: Final = Measure(
    name="usage_ingest_vs_copy",
    unit="events/s",
    aim=Aim(0.6, at_least=True),
    says="reported use from its topic to committed, against bare COPY of the same rows",
    open=ingesting_against_copy,
)
