"""The transaction that handlers write in: state, outbox, tasks and timers commit together or not at all.

Only the chassis opens and commits it. Publishing, enqueueing and scheduling are buffered and written, each
in one statement, just before COMMIT.
"""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from asyncpg import Record
from pydantic import BaseModel

from caas_chassis import outbox
from caas_chassis.cards import redact_card_data
from caas_chassis.cause import Cause
from caas_chassis.database import Connection
from caas_contracts import Message, Topic
from caas_contracts.operations import AlertKind, AlertRaised

_NO_CODE: Final = re.compile(r"[^A-Za-z0-9._:-]")
CHANGE_CHANNEL: Final = "chassis_change"

INSERT_TASKS: Final = """
INSERT INTO chassis.task (effect, key, payload, due_at, correlationid, causationid, actor, traceparent)
SELECT effect, key, payload, now() + delay, correlationid, causationid, actor, traceparent
FROM unnest($1::chassis.new_task[])
"""

UPSERT_TIMERS: Final = """
INSERT INTO chassis.timer AS t (timer, key, due_at, correlationid, causationid, actor, traceparent)
SELECT * FROM unnest($1::chassis.new_timer[]) ORDER BY timer, key
ON CONFLICT (timer, key) DO UPDATE SET due_at = excluded.due_at, attempts = 0, retry_at = '-infinity',
    correlationid = excluded.correlationid, causationid = excluded.causationid, actor = excluded.actor,
    traceparent = excluded.traceparent
"""

DELETE_TIMERS: Final = """
DELETE FROM chassis.timer WHERE (timer, key) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""

NOTIFY: Final = "SELECT pg_notify('chassis_change', key) FROM unnest($1::text[]) AS key"
"""Sent after the commit, for the reason given at `outbox.NOTIFY`."""


@dataclass(frozen=True, slots=True)
class _Task:
    effect: str
    key: str
    payload: bytes
    delay: timedelta
    cause: Cause


class Tx:
    """An open transaction. `now` is the business instant at its start, `cause` why it runs.

    A loop that found nothing to do sets `eventful` to false: nobody needs to die there.
    """

    def __init__(self, connection: Connection, *, service: str, now: datetime, cause: Cause) -> None:
        self.connection = connection
        self.service = service
        self.now = now
        self.cause = cause
        self.eventful = True
        self._entries: list[outbox.Entry] = []
        self._tasks: list[_Task] = []
        self._timers: dict[tuple[str, str], tuple[datetime, Cause] | None] = {}
        self._changes: set[str] = set()
        self._published_in_sql = False
        self._enqueued_in_sql: set[str] = set()

    async def fetch(self, sql: str, *args: object) -> list[Record]:
        """All rows of a statement."""
        return await self.connection.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: object) -> Record | None:
        """The first row, or None."""
        return await self.connection.fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: object) -> object:
        """The first value of the first row, or None."""
        return await self.connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: object) -> str:
        """The command tag, as `UPDATE 3`."""
        return await self.connection.execute(sql, *args)

    async def fetch_publishing(self, sql: str, *args: object, effects: Sequence[str] = ()) -> list[Record]:
        """The rows of a statement of `mass.publishing`, which wrote messages and tasks of these effects itself."""
        rows = await self.fetch(sql, *args)
        self._published_in_sql = True
        self._enqueued_in_sql |= set(effects)
        return rows

    def publish(self, message: Message, *, cause: Cause | None = None, topic: Topic | None = None) -> None:
        """Publish with this transaction: the message goes out if, and only if, it commits.

        Raises MessageTooLarge. `topic` overrides the message's own, for messages addressed to a service.
        """
        self._entries.append(outbox.entry_of(message, cause or self.cause, self.now, topic))

    def publish_entry(self, entry: outbox.Entry) -> None:
        """Publish bytes that are no message of ours any more, such as copies for a dead-letter topic."""
        self._entries.append(entry)

    def enqueue(
        self,
        effect: str,
        payload: BaseModel,
        *,
        key: str,
        delay: timedelta = timedelta(0),
        cause: Cause | None = None,
    ) -> None:
        """Have the named effect run after the commit, at least once, `delay` of real time later."""
        body = payload.model_dump_json().encode()
        self._tasks.append(_Task(effect, key, body, delay, cause or self.cause))

    def schedule(self, timer: str, key: str, due_at: datetime, *, cause: Cause | None = None) -> None:
        """Set the named timer of this key to a business instant; an earlier setting is replaced."""
        self._timers[timer, key] = (due_at, cause or self.cause)

    def unschedule(self, timer: str, key: str) -> None:
        """Remove the named timer of this key, if it is set."""
        self._timers[timer, key] = None

    def notify(self, key: str) -> None:
        """Wake HTTP requests, in any replica, that wait for this key."""
        self._changes.add(key)

    def alert(self, kind: AlertKind, subject: str, detail: str, *, cause: Cause | None = None) -> None:
        """Have operations look at something (NOT-2). `detail` says what to do; it holds nothing secret."""
        named = _NO_CODE.sub("_", redact_card_data(subject))[:64] or "unknown"
        words = redact_card_data(detail)[:2000]
        alert = AlertRaised(service=self.service, kind=kind, subject=named, detail=words, raised_at=self.now)
        self.publish(alert, cause=cause)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo to here when the block raises: statements and what was buffered to be published."""
        buffered = (len(self._entries), len(self._tasks), dict(self._timers), set(self._changes))
        try:
            async with self.connection.transaction():
                yield
        except BaseException:
            del self._entries[buffered[0] :], self._tasks[buffered[1] :]
            self._timers, self._changes = buffered[2], buffered[3]
            raise

    @property
    def changes(self) -> frozenset[str]:
        """The keys whose waiters are to be woken after the commit."""
        return frozenset(self._changes)

    @property
    def published(self) -> bool:
        """Whether the relay has work after the commit."""
        return bool(self._entries) or self._published_in_sql

    @property
    def enqueued(self) -> frozenset[str]:
        """The effects that this transaction gave work to."""
        return frozenset({task.effect for task in self._tasks} | self._enqueued_in_sql)

    async def flush(self) -> None:
        """Write what was buffered. Called by the chassis before COMMIT."""
        if self._timers:
            await self._write_timers()
        if self._tasks:
            await self._write_tasks(self._tasks)
        if self._entries:  # Last, so that the streams' locks are held for the shortest time.
            await outbox.write(self.connection, self._entries)

    async def _write_tasks(self, tasks: Sequence[_Task]) -> None:
        rows = [(task.effect, task.key, task.payload, task.delay, *_origin(task.cause)) for task in tasks]
        await self.connection.execute(INSERT_TASKS, rows)

    async def _write_timers(self) -> None:
        unset = [name for name, setting in self._timers.items() if setting is None]
        if unset:
            await self.connection.execute(DELETE_TIMERS, [name[0] for name in unset], [name[1] for name in unset])
        wanted = [(*name, setting[0], *_origin(setting[1])) for name, setting in self._timers.items() if setting]
        if wanted:
            await self.connection.execute(UPSERT_TIMERS, wanted)


def _origin(cause: Cause) -> tuple[str, str, str, str | None]:
    return cause.correlation_id, cause.message_id, cause.actor, cause.traceparent
