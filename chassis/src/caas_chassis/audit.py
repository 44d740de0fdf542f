"""Compares a producer's outbox with a consumer's positions, stream by stream (promise 4).

Invariant: nothing is written; both sides are read in the transactions that are given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asyncpg import Record

from caas_chassis.transaction import Tx

PUBLISHED: Final = "SELECT topic, key, last_sequence FROM chassis.outbox_stream WHERE topic = ANY($1::text[])"
APPLIED: Final = """
SELECT topic, key, sequence FROM chassis.inbox_position WHERE producer = $1 AND topic = ANY($2::text[])
"""
PARKED: Final = """
SELECT topic, stream_key AS key, count(*) AS waiting FROM chassis.parked
WHERE producer = $1 AND topic = ANY($2::text[]) AND state IN ('retrying', 'parked') GROUP BY 1, 2
"""


class DifferenceKind(StrEnum):
    """What is wrong with a stream."""

    BEHIND = "behind"
    """The consumer has not applied all that was published: it is on its way, parked, or lost."""
    AHEAD = "ahead"
    """The consumer has applied more than was published: the producer's database lost its newest rows."""


@dataclass(frozen=True, slots=True)
class StreamDifference:
    """A stream whose two ends differ. `parked` of the difference are kept by the consumer, waiting."""

    topic: str
    key: str
    kind: DifferenceKind
    published: int
    applied: int
    parked: int


async def audit_streams(
    producer_tx: Tx, consumer_tx: Tx, *, producer: str, topics: Sequence[str]
) -> list[StreamDifference]:
    """The streams of these topics, in order, in which what was published and what was applied differ.

    Run it when the system is at rest, or twice: what is merely under way is gone the second time.
    """
    published = _by_stream(await producer_tx.fetch(PUBLISHED, list(topics)), "last_sequence")
    applied = _by_stream(await consumer_tx.fetch(APPLIED, producer, list(topics)), "sequence")
    parked = _by_stream(await consumer_tx.fetch(PARKED, producer, list(topics)), "waiting")
    return [
        _difference(stream, published.get(stream, 0), applied.get(stream, 0), parked.get(stream, 0))
        for stream in sorted(published.keys() | applied.keys())
        if published.get(stream, 0) != applied.get(stream, 0)
    ]


def _by_stream(rows: Sequence[Record], column: str) -> dict[tuple[str, str], int]:
    return {(row["topic"], row["key"]): row[column] for row in rows}


def _difference(stream: tuple[str, str], published: int, applied: int, parked: int) -> StreamDifference:
    kind = DifferenceKind.BEHIND if applied < published else DifferenceKind.AHEAD
    return StreamDifference(*stream, kind, published, applied, parked)
