"""Streams of the outbox that the broker refuses: they wait, others do not, and they go on by themselves.

Invariant: a blocked stream's rows from `from_sequence` on are not sent; the relay's cursor passes them, so
whoever unblocks the stream asks for them to be sent again in the same transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from asyncpg import Record

from caas_chassis import outbox
from caas_chassis.cause import Cause
from caas_chassis.database import Connection
from caas_contracts.operations import AlertKind, AlertRaised

type OutboxStream = tuple[str, str]
"""(topic, key)."""

SELECT_BLOCKED: Final = "SELECT topic, key, whole_topic FROM chassis.outbox_blocked"
BLOCK: Final = """
INSERT INTO chassis.outbox_blocked (topic, key, from_sequence, reason, whole_topic)
SELECT topic, key, from_sequence, $4, $5
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS b(topic, key, from_sequence)
ON CONFLICT DO NOTHING
"""
CANDIDATES: Final = """
SELECT topic, key, from_sequence, whole_topic FROM (
    SELECT *, row_number() OVER (PARTITION BY topic, whole_topic ORDER BY tried_at, key) AS n
    FROM chassis.outbox_blocked) AS b
WHERE n <= CASE WHEN whole_topic THEN 1 ELSE 5 END ORDER BY tried_at LIMIT 20
"""
STILL_BLOCKED: Final = "UPDATE chassis.outbox_blocked SET tried_at = now() WHERE topic = $1 AND key = $2"
UNBLOCK: Final = """
WITH freed AS (
    DELETE FROM chassis.outbox_blocked WHERE topic = $1 AND (key = $2 OR (whole_topic AND $3))
    RETURNING topic, key, from_sequence
)
INSERT INTO chassis.outbox_resend (topic, key, from_sequence, requested_by)
SELECT topic, key, from_sequence, $4 FROM freed
"""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The blocked streams, and the topics to which nothing can be sent at all."""

    streams: set[OutboxStream]
    topics: set[str]


async def read_blocked(connection: Connection) -> Blocked:
    """What is blocked now."""
    rows = await connection.fetch(SELECT_BLOCKED)
    return Blocked({(row["topic"], row["key"]) for row in rows}, {row["topic"] for row in rows if row["whole_topic"]})


async def block(
    connection: Connection, rows: Iterable[Record], reason: str, *, whole_topic: bool
) -> list[OutboxStream]:
    """Block the streams of these outbox rows, each from its first row on; returns the streams."""
    first: dict[OutboxStream, int] = {}
    for row in rows:
        first.setdefault((row["aggregatetype"], row["aggregateid"]), row["sequence"])
    streams = list(first)
    topics, keys = [topic for topic, _ in streams], [key for _, key in streams]
    await connection.execute(BLOCK, topics, keys, list(first.values()), reason, whole_topic)
    return streams


async def alert_blocked(connection: Connection, service: str, streams: Sequence[OutboxStream], reason: str) -> None:
    """Have operations look: through the outbox itself, in the caller's transaction (NOT-2)."""
    topic, key = streams[0]
    alert = AlertRaised(
        service=service,
        kind=AlertKind.STREAM_BLOCKED,
        subject=topic[:64],
        detail=f"{reason}: {len(streams)} streams wait, {key[:100]} first; they go on when the broker takes them.",
        raised_at=await connection.fetchval("SELECT now()"),
    )
    entry = outbox.entry_of(alert, Cause.of_person(service), alert.raised_at)
    await outbox.write(connection, [entry])


async def unblock(connection: Connection, stream: OutboxStream, *, whole_topic: bool, by: str) -> bool:
    """Let a stream go on from the refused row, and with `whole_topic` all that wait for the topic too."""
    tag = await connection.execute(UNBLOCK, *stream, whole_topic, by)
    return not tag.endswith(" 0")
