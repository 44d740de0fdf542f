"""The audit log (PAY-4): appended behind a locked head, one lock and one insert per transaction's entries."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_payments.domain.audit import (
    GENESIS,
    AuditEntry,
    AuditKind,
    BrokenEntry,
    SealedEntry,
    broken_entries,
    seal_all,
)

LOCK_HEAD: Final = "SELECT sequence, hash FROM audit_head FOR UPDATE"

READ_HEAD: Final = "SELECT sequence, hash FROM audit_head"

APPEND: Final = """
WITH head AS (UPDATE audit_head SET sequence = $2, hash = $3)
INSERT INTO audit_log (sequence, payment_id, at, kind, source, target, reason, cause_id, correlation_id, actor,
    previous, hash)
SELECT * FROM unnest($1::new_audit_entry[])
"""

READ_PAGE: Final = "SELECT * FROM audit_log WHERE sequence > $1 ORDER BY sequence LIMIT $2"

READ_OF_PAYMENT: Final = "SELECT * FROM audit_log WHERE payment_id = $1 ORDER BY sequence LIMIT 1000"

_PAGE: Final = 5_000


async def lock_audit_head(tx: Tx) -> None:
    """Put this transaction behind every other that writes the audit log.

    Taken before any payment's lock: a transaction that runs several handlers would otherwise hold the head
    while it waits for a payment whose owner waits for the head.
    """
    await tx.execute(LOCK_HEAD)


async def append_audit(tx: Tx, entries: Sequence[AuditEntry]) -> None:
    """Seal and append; the head must be locked by this transaction."""
    head = await tx.fetchrow(LOCK_HEAD)
    assert head is not None, "the migration creates the head"
    sealed = seal_all(head["sequence"], head["hash"], entries)
    rows = [(one.sequence, *_fields(one.entry), one.previous, one.hash) for one in sealed]
    await tx.execute(APPEND, rows, sealed[-1].sequence, sealed[-1].hash)


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


async def verify_audit_log(tx: Tx) -> list[BrokenEntry]:
    """Every place where the log is not what was written; empty when it is whole.

    Reads the whole log in pages; needs one snapshot, or what is appended meanwhile looks broken.
    """
    head = await tx.fetchrow(READ_HEAD)
    assert head is not None, "the migration creates the head"
    broken: list[BrokenEntry] = []
    sequence, sealed_hash = 0, GENESIS
    while page := await _page(tx, sequence):
        broken += broken_entries(sequence, sealed_hash, page)
        sequence, sealed_hash = page[-1].sequence, page[-1].hash
    if (sequence, sealed_hash) != (head["sequence"], head["hash"]):
        broken.append(BrokenEntry(sequence + 1, f"the log ends at {sequence}, its head says {head['sequence']}"))
    return broken


async def _page(tx: Tx, after: int) -> list[SealedEntry]:
    return [_sealed(row) for row in await tx.fetch(READ_PAGE, after, _PAGE)]


def _sealed(row: Record) -> SealedEntry:
    entry = AuditEntry(
        payment_id=row["payment_id"],
        at=row["at"],
        kind=AuditKind(row["kind"]),
        source=row["source"],
        target=row["target"],
        reason=row["reason"],
        cause_id=row["cause_id"],
        correlation_id=row["correlation_id"],
        actor=row["actor"],
    )
    return SealedEntry(row["sequence"], entry, row["previous"], row["hash"])
