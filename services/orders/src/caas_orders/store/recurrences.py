"""Recurrences and the payments of their periods as rows. Writers hold the lock of the purchase they belong to."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_orders.domain.recurring import Recurrence, RecurrenceStatus, Renewal, RenewalOutcome

INSERT_RECURRENCES: Final = """
INSERT INTO recurrence (purchase_id, anchor_at, next_period, next_renewal_at, attempts, status, reason, changed_at)
SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::integer[], $4::timestamptz[], $5::integer[], $6::text[],
    $7::text[], $8::timestamptz[])
"""

READ_RECURRENCES: Final = "SELECT * FROM recurrence WHERE purchase_id = ANY($1::uuid[])"

SAVE_RECURRENCES: Final = """
UPDATE recurrence AS r SET next_period = n.next_period, next_renewal_at = n.next_renewal_at, attempts = n.attempts,
    status = n.status, reason = n.reason, changed_at = n.changed_at
FROM unnest($1::uuid[], $2::timestamptz[], $3::integer[], $4::timestamptz[], $5::integer[], $6::text[], $7::text[],
    $8::timestamptz[])
    AS n(purchase_id, anchor_at, next_period, next_renewal_at, attempts, status, reason, changed_at)
WHERE r.purchase_id = n.purchase_id
"""

# A renewal is asked for, and later its outcome is known: one row.
SAVE_RENEWALS: Final = """
INSERT INTO renewal AS r (payment_id, purchase_id, period_number, attempt, period_from, period_to, asked_at, outcome,
    reason, known_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::timestamptz[], $6::timestamptz[],
    $7::timestamptz[], $8::text[], $9::text[], $10::timestamptz[])
ON CONFLICT (payment_id) DO UPDATE SET outcome = excluded.outcome, reason = excluded.reason,
    known_at = excluded.known_at
"""

READ_RENEWALS: Final = "SELECT * FROM renewal WHERE payment_id = ANY($1::uuid[])"

LIST_RENEWALS: Final = """
SELECT * FROM renewal WHERE purchase_id = $1 ORDER BY period_number DESC, attempt DESC LIMIT $2
"""


async def insert(recurrences: Sequence[Recurrence], *, tx: Tx) -> None:
    """Store recurrences of purchases that have just become active."""
    await tx.execute(INSERT_RECURRENCES, *zip(*[_values(one) for one in recurrences], strict=True))


async def read(purchase_ids: Sequence[UUID], *, tx: Tx) -> dict[UUID, Recurrence]:
    """The recurrences of these purchases; others have none. To write them, lock the purchases first."""
    return {row["purchase_id"]: _recurrence(row) for row in await tx.fetch(READ_RECURRENCES, purchase_ids)}


async def save(recurrences: Sequence[Recurrence], *, tx: Tx) -> None:
    """Write recurrences back whose purchases this transaction has locked."""
    await tx.execute(SAVE_RECURRENCES, *zip(*[_values(one) for one in recurrences], strict=True))


async def save_renewals(renewals: Sequence[Renewal], *, tx: Tx) -> None:
    """Store renewals that are asked for, or what became of them."""
    await tx.execute(SAVE_RENEWALS, *zip(*[_renewal_values(one) for one in renewals], strict=True))


async def renewals(payment_ids: Sequence[UUID], *, tx: Tx) -> dict[UUID, Renewal]:
    """Which of these payments pay for a further period."""
    return {row["payment_id"]: _renewal(row) for row in await tx.fetch(READ_RENEWALS, payment_ids)}


async def renewals_of(purchase_id: UUID, *, limit: int, tx: Tx) -> list[Renewal]:
    """The payments of a purchase's further periods, newest first."""
    return [_renewal(row) for row in await tx.fetch(LIST_RENEWALS, purchase_id, limit)]


def _values(one: Recurrence) -> tuple[object, ...]:
    return (
        one.purchase_id,
        one.anchor_at,
        one.next_period,
        one.next_renewal_at,
        one.attempts,
        one.status,
        one.reason,
        one.changed_at,
    )


def _recurrence(row: Record) -> Recurrence:
    return Recurrence(**{**dict(row), "status": RecurrenceStatus(row["status"])})


def _renewal_values(one: Renewal) -> tuple[object, ...]:
    return (
        one.payment_id,
        one.purchase_id,
        one.period_number,
        one.attempt,
        one.period_from,
        one.period_to,
        one.asked_at,
        one.outcome,
        one.reason,
        one.known_at,
    )


def _renewal(row: Record) -> Renewal:
    outcome = None if row["outcome"] is None else RenewalOutcome(row["outcome"])
    return Renewal(**{**dict(row), "outcome": outcome})
