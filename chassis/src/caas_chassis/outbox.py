"""The outbox: messages become rows of the publishing transaction, numbered densely per stream.

Invariant: the counter row of a stream is locked from numbering to commit, so commit order is sequence order.
`horizon` is the highest transaction id of all writers of the stream so far; a row whose horizon lies below
`pg_snapshot_xmin` was written by a finished transaction and so were all its predecessors. Reading in the
order (horizon, position) therefore loses nothing and keeps every stream in order (docs/decisions/0002).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from caas_chassis.cause import Cause, child_traceparent
from caas_chassis.database import Connection
from caas_chassis.errors import MessageTooLarge
from caas_chassis.ids import new_id
from caas_contracts import Message, Topic
from caas_contracts.message import MAX_MESSAGE_BYTES

NOTIFY_CHANNEL: Final = "chassis_outbox"
NOTIFY: Final = "SELECT pg_notify('chassis_outbox', '')"
"""Sent after the commit, never in it: a transaction that notifies holds a lock of the whole database cluster
while its commit is flushed to disk, so that commits would be flushed one by one instead of together."""

INSERT: Final = """
WITH entry AS (
    SELECT * FROM unnest($1::chassis.new_message[]) WITH ORDINALITY AS e(id, topic, key, type, payload,
        behind, correlationid, causationid, traceparent, occurred_at, n)
), stream AS (
    INSERT INTO chassis.outbox_stream AS s (topic, key, last_sequence, horizon)
    SELECT topic, key, count(*), pg_current_xact_id()::text::bigint FROM entry GROUP BY topic, key ORDER BY topic, key
    ON CONFLICT (topic, key) DO UPDATE SET
        last_sequence = s.last_sequence + excluded.last_sequence, horizon = greatest(s.horizon, excluded.horizon)
    RETURNING topic, key, last_sequence, horizon
), written AS (
    INSERT INTO chassis.outbox (horizon, id, aggregatetype, aggregateid, type, payload, sequence,
        correlationid, causationid, traceparent, occurred_at)
    SELECT stream.horizon, entry.id, topic, key, entry.type, entry.payload, stream.last_sequence - entry.behind,
        entry.correlationid, entry.causationid, entry.traceparent, entry.occurred_at
    FROM entry JOIN stream USING (topic, key) ORDER BY entry.n
    RETURNING 1
)
SELECT count(*) FROM written
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message waiting to be written: `topic` is its own but for resend requests, which go to a producer."""

    id: UUID
    topic: str
    key: str
    type: str
    payload: bytes
    cause: Cause
    occurred_at: datetime


def entry_of(message: Message, cause: Cause, now: datetime, topic: Topic | None = None) -> Entry:
    """Raises MessageTooLarge when the body exceeds what the contracts allow."""
    payload = message.to_json()
    if len(payload) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(f"{message.TYPE} {message.key} has {len(payload)} bytes, {MAX_MESSAGE_BYTES} are allowed")
    name = topic.name if topic else message.TOPIC.name
    return Entry(new_id(), name, message.key, message.TYPE, payload, cause, now)


async def write(connection: Connection, entries: Sequence[Entry]) -> None:
    """Number and insert the entries in one statement; streams are locked in order, so no deadlock."""
    await connection.execute(INSERT, rows_of(entries))


def rows_of(entries: Sequence[Entry]) -> list[tuple[object, ...]]:
    """The argument of INSERT: a `chassis.new_message` for each entry."""
    return [
        (
            entry.id,
            entry.topic,
            entry.key,
            entry.type,
            entry.payload,
            behind,
            entry.cause.correlation_id,
            entry.cause.message_id,
            child_traceparent(entry.cause.traceparent),
            entry.occurred_at,
        )
        for entry, behind in zip(entries, _behind(entries), strict=True)
    ]


def _behind(entries: Sequence[Entry]) -> list[int]:
    """How many later entries of its own stream follow each entry."""
    following: dict[tuple[str, str], int] = {}
    behind = []
    for entry in reversed(entries):
        stream = (entry.topic, entry.key)
        behind.append(following.get(stream, 0))
        following[stream] = behind[-1] + 1
    behind.reverse()
    return behind
