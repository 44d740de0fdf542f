"""Rows of `cases`: frozen attempts, closed by the truth or by a person, and closed once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from caas_chassis.transaction import Tx

OPEN: Final = """
INSERT INTO cases (id, payment_id, number, reason, opened_at)
SELECT n.id, n.payment_id, n.number, n.reason, $2 FROM unnest($1::new_case[]) AS n
"""

CLOSE: Final = """
UPDATE cases c SET resolved_at = $2, resolution = n.resolution, actor = n.actor
FROM unnest($1::closed_case[]) AS n
WHERE c.payment_id = n.payment_id AND c.number = n.number AND c.resolved_at IS NULL
"""

RULE: Final = """
UPDATE cases SET resolved_at = $2, resolution = $3, note = $4, actor = $5 WHERE id = $1 AND resolved_at IS NULL
"""

NOTE: Final = "UPDATE cases SET note = $2, actor = $3 WHERE id = $1 AND resolved_at IS NULL"

_CASE: Final = """
SELECT c.*, a.operation, a.amount_minor, a.idempotency_key, a.calls, a.last_result, a.opened_at AS attempt_opened_at,
    p.currency, p.status, p.gateway_transaction_id
FROM cases c JOIN attempts a USING (payment_id, number) JOIN payments p ON p.id = c.payment_id
"""

LIST: Final = _CASE + " WHERE NOT $1 OR c.resolved_at IS NULL ORDER BY c.opened_at, c.id LIMIT $2"

READ: Final = _CASE + " WHERE c.id = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCase:
    """An attempt that froze."""

    id: UUID
    payment_id: UUID
    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedCase:
    """What was found about a frozen attempt, and by whom."""

    payment_id: UUID
    number: int
    resolution: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case with what a person needs to ask the gateway about it; the amount is in minor units."""

    id: UUID
    payment_id: UUID
    number: int
    reason: str
    opened_at: datetime
    resolved_at: datetime | None
    resolution: str | None
    note: str
    actor: str
    operation: str
    amount_minor: int
    currency: str
    idempotency_key: str
    calls: int
    last_result: str
    attempt_opened_at: datetime
    status: str
    gateway_transaction_id: str | None


async def open_cases(tx: Tx, cases: Sequence[NewCase]) -> None:
    """New cases; the database allows one open case per payment."""
    await tx.execute(OPEN, [(one.id, one.payment_id, one.number, one.reason) for one in cases], tx.now)


async def close_cases(tx: Tx, cases: Sequence[ClosedCase]) -> None:
    """Cases whose truth was found; what a person closed before stays as it is."""
    rows = [(one.payment_id, one.number, one.resolution, one.actor) for one in cases]
    await tx.execute(CLOSE, rows, tx.now)


async def rule_case(tx: Tx, case_id: UUID, resolution: str, note: str, actor: str) -> bool:
    """Close a case by a person's word; says whether it was open."""
    return (await tx.execute(RULE, case_id, tx.now, resolution, note, actor)).endswith(" 1")


async def note_case(tx: Tx, case_id: UUID, note: str, actor: str) -> bool:
    """Write down who looked at a case and why; says whether it is open."""
    return (await tx.execute(NOTE, case_id, note, actor)).endswith(" 1")


async def list_cases(tx: Tx, *, only_open: bool, limit: int) -> list[Case]:
    """Cases, the oldest first."""
    return [Case(**dict(row)) for row in await tx.fetch(LIST, only_open, limit)]


async def read_case(tx: Tx, case_id: UUID) -> Case | None:
    """One case."""
    row = await tx.fetchrow(READ, case_id)
    return Case(**dict(row)) if row else None
