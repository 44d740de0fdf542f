"""A service under test: the real handlers, consumer path and tables on a real PostgreSQL, without a broker.

What Kafka would deliver is given to `receive`; what would be published is read from the outbox. Business
time stands under the test's control, and delayed tasks become due when the test says so.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from types import TracebackType
from typing import Self

import asyncpg
from asyncpg import Record

from caas_chassis.cause import Cause
from caas_chassis.clock import MovableClock
from caas_chassis.ids import new_id
from caas_chassis.records import RawRecord
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.settings import ServiceSettings
from caas_chassis.testing.databases import serving_url
from caas_chassis.transaction import Tx
from caas_contracts import Envelope, Message, decode
from caas_contracts.envelope import rfc3339

_SELECT_OUTBOX = """
SELECT position, type, payload FROM chassis.outbox
WHERE position > $1 AND aggregatetype NOT LIKE '%.dlt' ORDER BY position
"""
_SELECT_PARKED = "SELECT * FROM chassis.parked WHERE state IN ('retrying', 'parked') ORDER BY parked_at, sequence"


class Harness:
    """One service on one database, serving with a role that may not do more than in production.

    `database_url` is for the owner, who migrates it when it is opened. `clock` is for services that are built with one.
    """

    def __init__(self, service: Service, database_url: str, clock: MovableClock | None = None) -> None:
        self.clock = clock or MovableClock()
        self.owner_url = database_url
        settings = ServiceSettings(database_url=serving_url(database_url), migration_database_url=database_url)
        self.runtime = Runtime(service, settings, self.clock)
        self._sequences: dict[tuple[str, str, str], int] = {}
        self._sent: dict[int, RawRecord] = {}
        self._offset = 0
        self._taken = 0

    async def __aenter__(self) -> Self:
        await self.runtime.migrate()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.runtime.database.close()

    async def receive(self, *messages: Message, source: str = "") -> None:
        """Deliver messages in one batch, numbered by stream; `source` defaults to a producer of the topic."""
        await self.runtime.processor.process([self.record(message, source) for message in messages])

    async def receive_again(self, *messages: Message) -> None:
        """Deliver messages that were delivered before, with the same numbers."""
        await self.runtime.processor.process([self._sent[id(message)] for message in messages])

    async def receive_records(self, *records: RawRecord) -> None:
        """Deliver raw records, for malformed ones."""
        await self.runtime.processor.process(records)

    def record(self, message: Message, source: str = "") -> RawRecord:
        """The record as its producer's relay would send it, with the next number of its stream."""
        producer = source or message.TOPIC.producers[0]
        stream = (producer, message.TOPIC.name, message.key)
        self._sequences[stream] = self._sequences.get(stream, 0) + 1
        name = str(new_id())
        envelope = Envelope(
            name,
            producer,
            message.TYPE,
            rfc3339(self.clock.now()),
            message.key,
            name,
            "",
            self._sequences[stream],
        )
        self._offset += 1
        record = RawRecord(
            message.TOPIC.name,
            0,
            self._offset,
            message.key.encode(),
            message.to_json(),
            envelope.to_headers(),
        )
        self._sent[id(message)] = record
        return record

    async def published[M: Message](self, kind: type[M]) -> list[M]:
        """Everything of one type that was published so far."""
        return [message for message in await self._outbox(0) if isinstance(message, kind)]

    async def take(self) -> list[Message]:
        """What was published since the last call."""
        return await self._outbox(self._taken)

    async def run_effects(self) -> None:
        """Run every task that is due, and those that they make due."""
        for _ in range(1000):
            ran = [await worker.run_until_idle() for worker in self.runtime.effects.values()]
            if not any(ran):
                return
        raise AssertionError("effects keep giving each other work: 1000 rounds did not end")

    async def skip_delays(self) -> None:
        """Make delayed tasks and parked retries due now."""
        async with self.runtime.database.connection() as connection:
            await connection.execute("UPDATE chassis.task SET due_at = now()")
            await connection.execute("UPDATE chassis.parked SET next_try_at = now() WHERE state = 'retrying'")

    async def retry_parked(self) -> None:
        """Try parked messages that are due."""
        while await self.runtime.processor.retry_one():
            pass

    async def move_clock(self, by: timedelta) -> None:
        """Move business time forward and fire the timers that become due."""
        self.clock.move(by)
        await self.runtime.timers.run_until_idle()

    async def parked(self) -> Sequence[Record]:
        """Messages that are parked now."""
        async with self.transaction() as tx:
            return await tx.fetch(_SELECT_PARKED)

    @asynccontextmanager
    async def transaction(self, actor: str = "operator:test") -> AsyncIterator[Tx]:
        """A transaction as an HTTP request opens it."""
        async with self.runtime.transaction(Cause.of_person(actor)) as tx:
            yield tx

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the owner, who may do what the service may not."""
        connection = await asyncpg.connect(self.owner_url, timeout=20, command_timeout=60)
        try:
            yield connection
        finally:
            await connection.close(timeout=20)

    async def _outbox(self, after: int) -> list[Message]:
        async with self.runtime.database.connection() as connection:
            rows = await connection.fetch(_SELECT_OUTBOX, after)
        if rows:
            self._taken = max(self._taken, rows[-1]["position"])
        decoded = [decode(row["type"], row["payload"]) for row in rows]
        return [message for message in decoded if message is not None]
