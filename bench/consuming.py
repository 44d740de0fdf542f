"""How fast messages are applied: deduplication, state change, outbox; against the same writes by bare asyncpg.

Ours starts from raw records and ends with a commit: it decodes, checks, numbers and builds. The bare side has
every value ready and only writes: the same rows into the same tables. Beside it, `plain_writes` is what the least
possible writes reach: one deduplication row, one update, one outbox row, in tables with nothing but a key.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from bench.machine import Machine
from bench.measure import Aim, Comparison, Measure
from bench.sample import a_capture, an_activation
from caas_chassis import inbox, outbox
from caas_chassis.cause import Cause, new_traceparent
from caas_chassis.clock import BusinessClock
from caas_chassis.database import Connection
from caas_chassis.handling import Received
from caas_chassis.ids import new_id
from caas_chassis.outbox import entry_of
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


type _Write = tuple[str, Sequence[object]]
"""A statement and its arguments."""


@asynccontextmanager
async def consumer_against_transactions(machine: Machine) -> AsyncIterator[Comparison]:
    """Both apply the same number of messages in batches of 500, one transaction each, on one connection."""
    plain: list[float] = []

    async def ours() -> float:
        async with asyncio.timeout(DEADLINE_S), machine.database("consume") as url:
            return await _consume(machine, url)

    async def limit() -> float:
        async with asyncio.timeout(DEADLINE_S), machine.database("plain") as url:
            plain.append(await _write(machine, url, _plain_writes))
        async with asyncio.timeout(DEADLINE_S), machine.database("write") as url:
            return await _write(machine, url, _same_writes)

    yield Comparison(ours, limit, {"messages": BATCH * BATCHES, "batch": BATCH, "plain_writes": plain})


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


async def _write(machine: Machine, url: str, writes: Callable[[Sequence[ActivateService]], list[_Write]]) -> float:
    runtime = Runtime(Service("ota", "bench.migrations", {}), ServiceSettings(database_url=url))
    commands = _activations((WARM_UP_BATCHES + BATCHES) * BATCH)
    try:
        await runtime.migrate()
        batches = [writes(batch) for batch in _batches(commands)]
        async with runtime.database.connection() as connection:
            await connection.execute(INSERT_STATE, [command.purchase_id for command in commands])
        await machine.checkpoint()
        async with runtime.database.connection() as connection:
            await _write_batches(connection, batches[:WARM_UP_BATCHES])
            began = time.perf_counter()
            await _write_batches(connection, batches[WARM_UP_BATCHES:])
            return BATCHES * BATCH / (time.perf_counter() - began)
    finally:
        await runtime.database.close()


async def _write_batches(connection: Connection, batches: Sequence[list[_Write]]) -> None:
    for batch in batches:
        async with connection.transaction():
            for statement, arguments in batch:
                await connection.execute(statement, *arguments)


def _same_writes(commands: Sequence[ActivateService]) -> list[_Write]:
    """What the chassis writes for these commands, with all that it has to work out for them."""
    number, topic = len(commands), ActivateService.TOPIC.name
    events = [a_capture(command.requested_at) for command in commands]
    entries = [entry_of(event, Cause.of_person("bench"), event.occurred_at) for event in events]
    return [
        (inbox.INSERT_POSITIONS, [["orders"] * number, [topic] * number, [c.key for c in commands], [1] * number]),
        (UPDATE_STATE, [[command.purchase_id for command in commands]]),
        (inbox.UPSERT_OFFSETS, [[topic], [0], [number]]),
        (outbox.INSERT, [outbox.rows_of(entries)]),
    ]


def _plain_writes(commands: Sequence[ActivateService]) -> list[_Write]:
    events = [a_capture(command.requested_at) for command in commands]
    columns = [
        [new_id() for _ in events],
        [event.TOPIC.name for event in events],
        [event.key for event in events],
        [event.TYPE for event in events],
        [event.to_json() for event in events],
        [new_traceparent() for _ in events],
    ]
    return [
        (INSERT_SEEN, [[new_id() for _ in commands]]),
        (UPDATE_STATE, [[command.purchase_id for command in commands]]),
        (INSERT_OUTBOX, columns),
    ]


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


MEASURE: Final = Measure(
    name="consume_vs_bare_transactions",
    unit="messages/s",
    aim=Aim(0.5, at_least=True),
    says="messages decoded, deduplicated, applied and published, against the same writes by bare asyncpg",
    open=consumer_against_transactions,
)
