"""The audit log (PAY-4): appended behind a locked head, one lock and one insert per transaction's entries."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_payments.domain.audit import ANCHOR_AFTER, Anchor, AuditEntry, ChainCheck, SealedEntry, seal_all

LOCK_HEAD: Final = "SELECT sequence, hash, anchored_sequence FROM audit_head FOR UPDATE"

READ_HEAD: Final = "SELECT sequence, hash FROM audit_head"

APPEND: Final = """
WITH head AS (UPDATE audit_head SET sequence = $2, hash = $3, anchored_sequence = $4)
INSERT INTO audit_log (sequence, payment_id, at, kind, source, target, reason, cause_id, correlation_id, actor,
    previous, hash)
SELECT * FROM unnest($1::new_audit_entry[])
"""

ANCHOR: Final = """
WITH head AS (SELECT * FROM audit_head WHERE anchored_sequence < sequence FOR UPDATE),
moved AS (UPDATE audit_head h SET anchored_sequence = head.sequence FROM head)
SELECT sequence, hash, sequence - anchored_sequence AS entries FROM head
"""

READ_PAGE: Final = """
SELECT *, ctid FROM audit_log WHERE (sequence, ctid) > ($1, $2::tid) ORDER BY sequence, ctid LIMIT $3
"""
"""By place, too: whoever drops the primary key can have two entries with one number, also across two pages."""

READ_OF_PAYMENT: Final = "SELECT * FROM audit_log WHERE payment_id = $1 ORDER BY sequence LIMIT 1000"

_PAGE: Final = 5_000
_NO_INSTANT: Final = datetime(1, 1, 2, tzinfo=UTC)


async def lock_audit_head(tx: Tx) -> None:
    """Put this transaction behind every other that writes the audit log.

    Taken before any payment's lock: a transaction that runs several handlers would otherwise hold the head
    while it waits for a payment whose owner waits for the head.
    """
    await tx.execute(LOCK_HEAD)


async def append_audit(tx: Tx, entries: Sequence[AuditEntry]) -> Anchor | None:
    """Seal and append; the head must be locked by this transaction. Returns an anchor that is to be published now."""
    head = await tx.fetchrow(LOCK_HEAD)
    assert head is not None, "the migration creates the head"
    sealed = seal_all(head["sequence"], head["hash"], entries)
    rows = [(one.sequence, *_fields(one.entry), one.previous, one.hash) for one in sealed]
    last, anchored = sealed[-1], head["anchored_sequence"]
    due = last.sequence - anchored >= ANCHOR_AFTER
    await tx.execute(APPEND, rows, last.sequence, last.hash, last.sequence if due else anchored)
    return Anchor(last.sequence, last.hash, entries=last.sequence - anchored) if due else None


async def anchor_head(tx: Tx) -> Anchor | None:
    """The head as an anchor that is to be published now; None when nothing was appended since the last one."""
    row = await tx.fetchrow(ANCHOR)
    return Anchor(row["sequence"], row["hash"], entries=row["entries"]) if row else None


def _fields(entry: AuditEntry) -> tuple[object, ...]:
    return (
        entry.payment_id,
        entry.at,
        entry.kind,
        entry.source,
        entry.target,
        entry.reason,
        entry.cause_id,
        entry.correlation_id,
        entry.actor,
    )


async def read_audit_of(tx: Tx, payment_id: UUID) -> list[AuditEntry]:
    """What happened to one payment, oldest first, at most 1,000 entries."""
    return [_sealed(row).entry for row in await tx.fetch(READ_OF_PAYMENT, payment_id)]


async def verify_audit_log(
    tx: Tx, anchors: Iterable[Anchor] = (), progress: Callable[[int, int], None] | None = None
) -> ChainCheck:
    """Compare the whole log, in pages, with its chain, its head and the anchors; `broken` is empty when it is whole.

    Needs one snapshot, younger than the anchors, or what is appended meanwhile looks broken. `progress` is told how
    many entries were read, and of how many.
    """
    head = await tx.fetchrow(READ_HEAD)
    assert head is not None, "the migration creates the head"
    check = ChainCheck(anchors)
    place: tuple[int, tuple[int, int]] = (-1, (0, 0))
    while rows := await tx.fetch(READ_PAGE, *place, _PAGE):
        check.read(_sealed(row) for row in rows)
        place = rows[-1]["sequence"], rows[-1]["ctid"]
        if progress is not None:
            progress(check.entries, max(head["sequence"], check.entries))
    check.finish(head["sequence"], head["hash"])
    return check


def _sealed(row: Record) -> SealedEntry:
    """A row as it is now, whatever somebody made of it: values that no entry can have are read as empty ones."""
    at = row["at"] or _NO_INSTANT
    entry = AuditEntry(
        payment_id=row["payment_id"],
        at=at if at.tzinfo else at.replace(tzinfo=UTC),
        kind=row["kind"] or "",
        source=row["source"] or "",
        target=row["target"] or "",
        reason=row["reason"] or "",
        cause_id=row["cause_id"] or "",
        correlation_id=row["correlation_id"] or "",
        actor=row["actor"] or "",
    )
    return SealedEntry(row["sequence"], entry, row["previous"] or b"", row["hash"] or b"")
