"""What is stored about consumed streams: positions, ids of unnumbered messages, offsets of the logs.

Invariant: a position is advanced in the transaction that applied the message, by compare-and-set.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from caas_chassis.errors import PositionConflict
from caas_chassis.planning import StreamState
from caas_chassis.records import Decoded, RawRecord, Stream
from caas_chassis.transaction import Tx

SELECT_STATES: Final = """
SELECT s.n, coalesce(p.sequence, 0) AS position,
    (SELECT array_agg(k.sequence) FROM chassis.parked k WHERE k.producer = s.producer AND k.topic = s.topic
        AND k.stream_key = s.key AND k.sequence > coalesce(p.sequence, 0)
        AND k.state IN ('retrying', 'parked')) AS parked
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS s(producer, topic, key, n)
LEFT JOIN chassis.inbox_position p USING (producer, topic, key)
"""

UPDATE_POSITIONS: Final = """
WITH n AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
        AS n(producer, topic, key, before, after)
), locked AS (
    SELECT producer, topic, key, n.after FROM chassis.inbox_position JOIN n USING (producer, topic, key)
    WHERE sequence = n.before ORDER BY producer, topic, key FOR UPDATE
)
UPDATE chassis.inbox_position p SET sequence = locked.after FROM locked
WHERE (p.producer, p.topic, p.key) = (locked.producer, locked.topic, locked.key)
"""

INSERT_POSITIONS: Final = """
INSERT INTO chassis.inbox_position (producer, topic, key, sequence)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) ORDER BY 1, 2, 3
ON CONFLICT (producer, topic, key) DO UPDATE SET sequence = excluded.sequence
    WHERE inbox_position.sequence = 0
"""

INSERT_FIRST_POSITIONS: Final = """
INSERT INTO chassis.inbox_position (producer, topic, key, sequence)
SELECT producer, topic, key, 0 FROM unnest($1::text[], $2::text[], $3::text[]) AS n(producer, topic, key)
ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING
"""

LOCK_STREAMS: Final = """
SELECT 1 FROM chassis.inbox_position JOIN unnest($1::text[], $2::text[], $3::text[]) AS n(producer, topic, key)
    USING (producer, topic, key)
ORDER BY producer, topic, key FOR UPDATE OF inbox_position
"""

LOCK_POSITIONS: Final = """
SELECT p.sequence FROM chassis.inbox_position p
JOIN unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS n(producer, topic, key, before)
    USING (producer, topic, key)
WHERE p.sequence = n.before ORDER BY producer, topic, key FOR UPDATE OF p
"""

SELECT_SEEN: Final = """
SELECT source, id FROM chassis.inbox_seen WHERE (source, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""

INSERT_SEEN: Final = """
INSERT INTO chassis.inbox_seen (source, id) SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS s(source, id)
ORDER BY 1, 2 ON CONFLICT DO NOTHING
"""

DELETE_SEEN: Final = "DELETE FROM chassis.inbox_seen WHERE seen_on < current_date - 90"

UPSERT_OFFSETS: Final = """
INSERT INTO chassis.inbox_offset AS o (topic, partition, next_offset)
SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[]) AS n(topic, partition, next_offset) ORDER BY 1, 2
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = greatest(o.next_offset, excluded.next_offset),
    updated_at = now()
"""


async def read_states(tx: Tx, streams: Sequence[Stream]) -> dict[Stream, StreamState]:
    """The stored state of each stream; unknown streams start at position 0."""
    if not streams:
        return {}
    rows = await tx.fetch(SELECT_STATES, *_columns(streams))
    return {streams[row["n"] - 1]: StreamState(row["position"], set(row["parked"] or ())) for row in rows}


async def advance(tx: Tx, before: Mapping[Stream, int], after: Mapping[Stream, int]) -> None:
    """Move positions. Raises PositionConflict when another consumer moved one meanwhile."""
    new = [stream for stream in after if before[stream] == 0]
    known = [stream for stream in after if before[stream] > 0]
    moved = 0
    if new:
        moved += _count(await tx.execute(INSERT_POSITIONS, *_columns(new), [after[s] for s in new]))
    if known:
        old, further = [before[s] for s in known], [after[s] for s in known]
        moved += _count(await tx.execute(UPDATE_POSITIONS, *_columns(known), old, further))
    if moved != len(after):
        raise PositionConflict(f"another consumer moved {len(after) - moved} of {len(after)} positions meanwhile")


async def lock(tx: Tx, streams: Sequence[Stream]) -> None:
    """Have other consumers wait until the commit before they move these streams."""
    if streams:
        await tx.execute(INSERT_FIRST_POSITIONS, *_columns(streams))
        await tx.fetch(LOCK_STREAMS, *_columns(streams))


async def hold(tx: Tx, positions: Mapping[Stream, int]) -> None:
    """Keep positions where they are until the commit. Raises PositionConflict when one has moved.

    Whoever parks a message behind another one needs it: otherwise the one in front could be applied just
    now, find nobody waiting, and leave the stream standing.
    """
    if not positions:
        return
    streams = list(positions)
    first = [stream for stream in streams if positions[stream] == 0]
    if first:
        await tx.execute(INSERT_FIRST_POSITIONS, *_columns(first))
    held = await tx.fetch(LOCK_POSITIONS, *_columns(streams), list(positions.values()))
    if len(held) != len(streams):
        raise PositionConflict(f"another consumer moved {len(streams) - len(held)} of {len(streams)} positions")


async def read_seen(tx: Tx, batch: Sequence[Decoded]) -> list[tuple[str, str]]:
    """The (source, id) among the unnumbered messages of the batch that were applied before."""
    ids = [(d.envelope.source, d.envelope.id) for d in batch if d.envelope and d.stream is None and d.message]
    if not ids:
        return []
    rows = await tx.fetch(SELECT_SEEN, [source for source, _ in ids], [id_ for _, id_ in ids])
    return [(row["source"], row["id"]) for row in rows]


async def remember_seen(tx: Tx, unnumbered: Sequence[Decoded]) -> None:
    """Remember unnumbered messages. Raises PositionConflict when another consumer has just applied one."""
    ids = {(d.envelope.source, d.envelope.id) for d in unnumbered if d.envelope}
    if not ids:
        return
    tag = await tx.execute(INSERT_SEEN, [source for source, _ in ids], [id_ for _, id_ in ids])
    if _count(tag) != len(ids):
        raise PositionConflict("another consumer has just applied one of these messages")


async def record_offsets(tx: Tx, records: Sequence[RawRecord]) -> None:
    """Remember how far each log was read."""
    following: dict[tuple[str, int], int] = {}
    for record in records:
        log = (record.topic, record.partition)
        following[log] = max(following.get(log, 0), record.offset + 1)
    topics, partitions = [topic for topic, _ in following], [partition for _, partition in following]
    await tx.execute(UPSERT_OFFSETS, topics, partitions, list(following.values()))


def _columns(streams: Sequence[Stream]) -> tuple[list[str], list[str], list[str]]:
    return [s[0] for s in streams], [s[1] for s in streams], [s[2] for s in streams]


def _count(command_tag: str) -> int:
    return int(command_tag.rsplit(" ", 1)[1])
