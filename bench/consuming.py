"""How fast messages are applied: deduplication, state change, outbox; against the same writes by bare asyncpg.

Ours starts from raw records and ends with a commit: it decodes, checks and numbers. The bare side has its
values ready and only writes them: one deduplication row, one update and one outbox row per message.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from bench.machine import Machine
from bench.measure import Aim, Comparison, Measure
from bench.sample import a_capture, an_activation
from caas_chassis.cause import new_traceparent
from caas_chassis.clock import BusinessClock
from caas_chassis.handling import Received
from caas_chassis.ids import new_id
from caas_chassis.records import RawRecord
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.settings import ServiceSettings
from caas_chassis.transaction import Tx
from caas_contracts import Envelope
from caas_contracts.envelope import rfc3339
from caas_contracts.ota import ActivateService

BATCH: Final = 500
BATCHES: Final = 40
WARM_UP_BATCHES: Final = 2
DEADLINE_S: Final = 120.0

INSERT_STATE: Final = (
    "INSERT INTO purchase (purchase_id, status, version) SELECT id, 'NEW', 1 FROM unnest($1::uuid[]) id"
)
UPDATE_STATE: Final = "UPDATE purchase SET status = 'ACTIVE', version = version + 1 WHERE purchase_id = ANY($1::uuid[])"
INSERT_SEEN: Final = "INSERT INTO bare_seen SELECT * FROM unnest($1::uuid[]) ON CONFLICT DO NOTHING"
INSERT_OUTBOX: Final = """
INSERT INTO bare_outbox (id, topic, key, type, payload, traceparent)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[])
"""


@dataclass(frozen=True, slots=True)
class _BareBatch:
    message_ids: list[UUID]
    purchase_ids: list[UUID]
    outbox: tuple[list[UUID], list[str], list[str], list[str], list[bytes], list[str]]


@asynccontextmanager
async def consumer_against_transactions(machine: Machine) -> AsyncIterator[Comparison]:
    """Both apply the same number of messages in batches of 500, one transaction each, on one connection."""

    async def ours() -> float:
        async with asyncio.timeout(DEADLINE_S), machine.database("consume") as url:
            return await _consume(machine, url)

    async def limit() -> float:
        async with asyncio.timeout(DEADLINE_S), machine.database("write") as url:
            return await _write(machine, url)

    yield Comparison(ours, limit, {"messages": BATCH * BATCHES, "batch": BATCH})


async def activate(received: Sequence[Received[ActivateService]], /, *, tx: Tx) -> None:
    """One statement for the state of all, one message for each."""
    await tx.execute(UPDATE_STATE, [one.message.purchase_id for one in received])
    for one in received:
        tx.publish(a_capture(tx.now), cause=one.cause)


async def _consume(machine: Machine, url: str) -> float:
    service = Service("ota", "bench.migrations", {ActivateService: activate})
    runtime = Runtime(service, ServiceSettings(database_url=url))
    commands = _activations((WARM_UP_BATCHES + BATCHES) * BATCH)
    try:
        await runtime.migrate()
        async with runtime.database.connection() as connection:
            await connection.execute(INSERT_STATE, [command.purchase_id for command in commands])
        records = _batches([_record(command, offset) for offset, command in enumerate(commands)])
        await machine.checkpoint()
        for batch in records[:WARM_UP_BATCHES]:
            await runtime.processor.process(batch)
        began = time.perf_counter()
        for batch in records[WARM_UP_BATCHES:]:
            await runtime.processor.process(batch)
        return BATCHES * BATCH / (time.perf_counter() - began)
    finally:
        await runtime.database.close()


async def _write(machine: Machine, url: str) -> float:
    runtime = Runtime(Service("ota", "bench.migrations", {}), ServiceSettings(database_url=url))
    try:
        await runtime.migrate()
        async with runtime.database.connection() as connection:
            batches = [_bare(batch) for batch in _batches(_activations((WARM_UP_BATCHES + BATCHES) * BATCH))]
            await connection.execute(INSERT_STATE, [id_ for batch in batches for id_ in batch.purchase_ids])
        await machine.checkpoint()
        bare = await asyncpg.connect(url, timeout=DEADLINE_S, command_timeout=DEADLINE_S)
        try:
            for batch in batches[:WARM_UP_BATCHES]:
                await _write_batch(bare, batch)
            began = time.perf_counter()
            for batch in batches[WARM_UP_BATCHES:]:
                await _write_batch(bare, batch)
            return BATCHES * BATCH / (time.perf_counter() - began)
        finally:
            await bare.close(timeout=DEADLINE_S)
    finally:
        await runtime.database.close()


async def _write_batch(connection: asyncpg.Connection, batch: _BareBatch) -> None:
    async with connection.transaction():
        await connection.execute(INSERT_SEEN, batch.message_ids)
        await connection.execute(UPDATE_STATE, batch.purchase_ids)
        await connection.execute(INSERT_OUTBOX, *batch.outbox)


def _activations(number: int) -> list[ActivateService]:
    now = BusinessClock().now()
    return [an_activation(now, vehicle) for vehicle in range(number)]


def _batches[T](items: Sequence[T]) -> list[Sequence[T]]:
    return [items[start : start + BATCH] for start in range(0, len(items), BATCH)]


def _record(command: ActivateService, offset: int) -> RawRecord:
    """As the relay of orders sends the first message of this vehicle's stream."""
    name, trace = str(new_id()), new_traceparent()
    envelope = Envelope(name, "orders", command.TYPE, rfc3339(command.requested_at), command.key, name, name, 1, trace)
    return RawRecord(command.TOPIC.name, 0, offset, command.key.encode(), command.to_json(), envelope.to_headers())


def _bare(commands: Sequence[ActivateService]) -> _BareBatch:
    events = [a_capture(command.requested_at) for command in commands]
    outbox = (
        [new_id() for _ in events],
        [event.TOPIC.name for event in events],
        [event.key for event in events],
        [event.TYPE for event in events],
        [event.to_json() for event in events],
        [new_traceparent() for _ in events],
    )
    return _BareBatch([new_id() for _ in commands], [command.purchase_id for command in commands], outbox)


MEASURE: Final = Measure(
    name="consume_vs_bare_transactions",
    unit="messages/s",
    aim=Aim(0.5, at_least=True),
    says="messages decoded, deduplicated, applied and published, against only the writes by bare asyncpg",
    open=consumer_against_transactions,
)
