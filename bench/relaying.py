"""How fast the relay sends committed outbox rows, against a bare idempotent producer with the same records."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaProducer

from bench.machine import PARTITIONS, Machine
from bench.measure import Aim, Comparison, Measure
from bench.sample import a_capture
from caas_chassis.cause import Cause
from caas_chassis.clock import BusinessClock
from caas_chassis.database import Database
from caas_chassis.migrate import apply_migrations
from caas_chassis.outbox import Entry, entry_of, write
from caas_chassis.producing import MAX_BATCH_BYTES, RecordSender
from caas_chassis.relay import BATCH, Relay
from caas_chassis.runtime import CHASSIS_MIGRATIONS
from caas_contracts import Envelope, Topic
from caas_contracts.envelope import rfc3339

ROWS: Final = 40_000
WARM_UP_ROWS: Final = BATCH
WRITTEN_TOGETHER: Final = 500
DEADLINE_S: Final = 120.0
SERVICE: Final = "payments"


@asynccontextmanager
async def relay_against_producer(machine: Machine) -> AsyncIterator[Comparison]:
    """Both send records that are there already: the relay's as rows, the producer's in memory."""

    async def ours() -> float:
        [topic] = await machine.topics("relay")
        async with asyncio.timeout(DEADLINE_S), machine.database("relay") as url:
            return await _relay_rows(machine, url, _entries(topic, WARM_UP_ROWS + ROWS))

    async def limit() -> float:
        [topic] = await machine.topics("producer")
        async with asyncio.timeout(DEADLINE_S):
            return await _produce(machine, _entries(topic, WARM_UP_ROWS + ROWS))

    yield Comparison(ours, limit, {"rows": ROWS})


async def _relay_rows(machine: Machine, url: str, entries: Sequence[Entry]) -> float:
    database = Database(url, application="bench-relay")
    relay = Relay(SERVICE, database, RecordSender(machine.bootstrap_servers, client_id="bench-relay"))
    try:
        await _write(database, entries)
        await machine.checkpoint()
        await relay.run_once()
        left = len(entries) - WARM_UP_ROWS
        began = time.perf_counter()
        while await relay.run_once():
            pass
        return left / (time.perf_counter() - began)
    finally:
        await relay.stop()
        await database.close()


async def _write(database: Database, entries: Sequence[Entry]) -> None:
    connection = await database.dedicated()
    try:
        await apply_migrations(connection, [CHASSIS_MIGRATIONS])
        for start in range(0, len(entries), WRITTEN_TOGETHER):
            async with connection.transaction():
                await write(connection, entries[start : start + WRITTEN_TOGETHER])
    finally:
        await connection.close()


async def _produce(machine: Machine, entries: Sequence[Entry]) -> float:
    """Everything is handed to the producer at once; it pipelines as fast as the broker acknowledges."""
    records = [(entry.topic, entry.key.encode(), entry.payload, _headers(entry)) for entry in entries]
    producer = AIOKafkaProducer(
        bootstrap_servers=machine.bootstrap_servers,
        enable_idempotence=True,
        acks="all",
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=1024 * 1024,
    )
    await producer.start()
    try:
        await _send(producer, records[:WARM_UP_ROWS])
        began = time.perf_counter()
        await _send(producer, records[WARM_UP_ROWS:])
        return (len(records) - WARM_UP_ROWS) / (time.perf_counter() - began)
    finally:
        await producer.stop()


async def _send(
    producer: AIOKafkaProducer, records: Sequence[tuple[str, bytes, bytes, list[tuple[str, bytes]]]]
) -> None:
    sent = [await producer.send(topic, value, key=key, headers=headers) for topic, key, value, headers in records]
    await asyncio.gather(*sent)


def _entries(topic: str, number: int) -> list[Entry]:
    now = BusinessClock().now()
    declared = Topic(topic, "payment_id", SERVICE, (SERVICE,), (), PARTITIONS)
    return [entry_of(a_capture(now), Cause.of_person("bench"), now, declared) for _ in range(number)]


def _headers(entry: Entry) -> list[tuple[str, bytes]]:
    return Envelope(
        id=str(entry.id),
        source=SERVICE,
        type=entry.type,
        time=rfc3339(entry.occurred_at),
        subject=entry.key,
        correlation_id=entry.cause.correlation_id,
        causation_id=entry.cause.message_id,
        sequence=1,
        traceparent=entry.cause.traceparent,
    ).to_headers()


MEASURE: Final = Measure(
    name="relay_vs_bare_producer",
    unit="rows/s",
    aim=Aim(0.5, at_least=True),
    says="outbox rows sent by the relay, against a bare pipelined idempotent producer",
    open=relay_against_producer,
)
