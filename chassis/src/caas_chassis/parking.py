"""Parked messages: what could not be applied is kept with its raw bytes, origin and reason until it is.

Invariant: a message is applied, parked, or a duplicate; none is dropped. A parked head holds only its own
stream up. What operators decide (replay, discard) is recorded with their name and reason.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis import outbox
from caas_chassis.cause import Cause
from caas_chassis.ids import new_id
from caas_chassis.planning import Parking
from caas_chassis.records import Decoded, RawRecord, Stream, decode_record
from caas_chassis.transaction import Tx
from caas_contracts.message import MAX_MESSAGE_BYTES
from caas_contracts.topics import dead_letter_topic

INSERT: Final = """
INSERT INTO chassis.parked (id, topic, partition, record_offset, key, header_names, header_values, value, type,
    producer, stream_key, sequence, digest, reason, detail, state, attempts, next_try_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
    now() + make_interval(secs => $18))
ON CONFLICT DO NOTHING
"""

KICK: Final = """
UPDATE chassis.parked k SET state = 'retrying', next_try_at = now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS s(producer, topic, key, sequence)
WHERE k.producer = s.producer AND k.topic = s.topic AND k.stream_key = s.key AND k.sequence = s.sequence
    AND k.state = 'parked' AND k.reason IN ('gap', 'waiting')
"""

CLAIM: Final = """
SELECT * FROM chassis.parked WHERE state = 'retrying' AND next_try_at <= now()
ORDER BY next_try_at, sequence LIMIT 1 FOR UPDATE SKIP LOCKED
"""

CLAIM_ALIKE: Final = """
SELECT * FROM chassis.parked WHERE state = 'retrying' AND next_try_at <= now() AND type = $1 AND id <> $2
ORDER BY next_try_at LIMIT $3 FOR UPDATE SKIP LOCKED
"""

CLOSE_MANY: Final = """
UPDATE chassis.parked SET state = 'replayed', decided_by = coalesce(decided_by, $2), decided_reason = 'applied',
    decided_at = now() WHERE id = ANY($1::uuid[])
"""

CLOSE: Final = """
UPDATE chassis.parked SET state = $2, decided_by = $3, decided_reason = $4, decided_at = now() WHERE id = $1
"""

POSTPONE: Final = """
UPDATE chassis.parked SET attempts = attempts + 1, state = $2, detail = $3,
    next_try_at = now() + make_interval(secs => $4), reason = $5 WHERE id = $1
"""

PUT_BACK: Final = "UPDATE chassis.parked SET state = 'parked', reason = 'gap' WHERE id = $1"

LIST: Final = """
SELECT id, topic, partition, record_offset, type, producer, stream_key, sequence, reason, detail, state, attempts,
    parked_at, decided_by, decided_reason, decided_at
FROM chassis.parked WHERE state = ANY($1::text[]) ORDER BY parked_at, id LIMIT $2
"""

SELECT_OPEN: Final = "SELECT * FROM chassis.parked WHERE id = $1 AND state IN ('retrying', 'parked') FOR UPDATE"

COUNT_OPEN: Final = "SELECT count(*) FROM chassis.parked WHERE state IN ('retrying', 'parked')"

SELECT_GAPS: Final = """
SELECT k.producer, k.topic, k.stream_key, coalesce(p.sequence, 0) + 1 AS missing_from, min(k.sequence) - 1 AS missing_to
FROM chassis.parked k
LEFT JOIN chassis.inbox_position p ON (p.producer, p.topic, p.key) = (k.producer, k.topic, k.stream_key)
WHERE k.state IN ('retrying', 'parked') AND k.sequence > coalesce(p.sequence, 0)
GROUP BY 1, 2, 3, 4 HAVING min(k.sequence) > coalesce(p.sequence, 0) + 1 LIMIT 100
"""


async def park(tx: Tx, parkings: Sequence[Parking]) -> None:
    """Keep the records; the same one parked twice is kept once."""
    if parkings:
        await tx.connection.executemany(INSERT, [_row(parking) for parking in parkings])


def _row(parking: Parking) -> tuple[object, ...]:
    record, decoded = parking.decoded.record, parking.decoded
    producer, _, key = decoded.stream or (None, None, None)
    return (
        new_id(),
        record.topic,
        record.partition,
        record.offset,
        record.key,
        [name.replace("\x00", "") for name, _ in record.headers],
        [value for _, value in record.headers],
        record.value,
        decoded.envelope.type if decoded.envelope else "",
        producer,
        key,
        decoded.sequence or None,
        record.digest,
        parking.reason,
        parking.detail[:2000],
        "retrying" if parking.retry_s is not None else "parked",
        1 if parking.retry_s is not None else 0,
        parking.retry_s or 0.0,
    )


async def kick(tx: Tx, heads: Sequence[tuple[Stream, int]]) -> None:
    """Have the waiting message of each stream that is now the next one be tried."""
    if heads:
        streams, numbers = [stream for stream, _ in heads], [number for _, number in heads]
        await tx.execute(KICK, [s[0] for s in streams], [s[1] for s in streams], [s[2] for s in streams], numbers)


def decoded_of(row: Record) -> Decoded:
    """A parked row as what it was decoded to; one that was parked outside any stream stays so."""
    decoded = decode_record(raw_of(row))
    if row["sequence"] is None and decoded.envelope is not None:
        return replace(decoded, envelope=replace(decoded.envelope, sequence=None))
    return decoded


def raw_of(row: Record) -> RawRecord:
    """A parked row as the record it was."""
    headers = list(zip(row["header_names"], row["header_values"], strict=True))
    return RawRecord(row["topic"], row["partition"], row["record_offset"], row["key"], row["value"], headers)


async def close_applied(tx: Tx, parked_ids: Sequence[UUID], by: str) -> None:
    """Record that parked messages were applied; `by` names who had them tried, unless an operator did."""
    await tx.execute(CLOSE_MANY, parked_ids, by)


def copy_to_dead_letters(tx: Tx, decoded: Decoded) -> None:
    """Publish a copy for other tools, unless the body is larger than any message of ours."""
    record = decoded.record
    if len(record.value) <= MAX_MESSAGE_BYTES:
        kind = decoded.envelope.type if decoded.envelope else "caas.deadletter.Undecodable.v1"
        topic = dead_letter_topic(record.topic, tx.service).name
        key = (record.key or b"").decode(errors="replace")[:255].replace("\x00", "") or "none"
        cause = decoded.cause if decoded.envelope else Cause(str(new_id()), str(new_id()), tx.service)
        tx.publish_entry(outbox.Entry(new_id(), topic, key, kind[:255], record.value, cause, tx.now))


async def list_parked(tx: Tx, *, states: Sequence[str] = ("retrying", "parked"), limit: int = 100) -> list[Record]:
    """The parked messages in these states, oldest first, without their bodies (they may be personal)."""
    return await tx.fetch(LIST, list(states), limit)


async def close(tx: Tx, parked_id: UUID, state: str, by: str, reason: str) -> None:
    """Record the end of a parked message: `replayed` or `discarded`, by whom and why."""
    await tx.execute(CLOSE, parked_id, state, by, reason)
