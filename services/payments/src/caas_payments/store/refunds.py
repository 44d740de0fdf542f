"""Rows of `refunds`: what is to be given back, and what was (PAY-8)."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_payments.domain.payment import HeldUp
from caas_payments.domain.refund import Refund, RefundState

INSERT: Final = """
INSERT INTO refunds (id, payment_id, amount_minor, reason, state, requested_at, taken_ahead, proof_id, proof_kind)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""

READ: Final = "SELECT * FROM refunds WHERE id = $1"

READ_OF: Final = "SELECT * FROM refunds WHERE payment_id = ANY($1::uuid[]) ORDER BY requested_at, id"

HOLD_UP: Final = """
UPDATE refunds r SET refusals = r.refusals + n.refused::int, delayed_at = coalesce(r.delayed_at, $4),
    delay_reason = coalesce(r.delay_reason, n.reason)
FROM unnest($1::uuid[], $2::text[], $3::boolean[]) AS n(id, reason, refused)
WHERE r.id = n.id
"""

READ_DELAYED: Final = """
SELECT * FROM refunds WHERE state = 'requested' AND delayed_at IS NOT NULL ORDER BY delayed_at, id LIMIT $1
"""

RESOLVE: Final = """
UPDATE refunds r SET state = n.state, resolved_at = $3
FROM unnest($1::uuid[], $2::text[]) AS n(id, state)
WHERE r.id = n.id AND r.state = 'requested'
"""


async def insert_refund(tx: Tx, refund: Refund) -> None:
    """A refund that is asked for; the caller holds the payment's lock.

    The database refuses one of money taken ahead without the verdict on its activation (SVC-6).
    """
    proof = refund.proof
    await tx.execute(
        INSERT,
        refund.id,
        refund.payment_id,
        refund.amount_minor,
        refund.reason,
        refund.state,
        refund.requested_at,
        proof is not None,
        proof.id if proof else None,
        proof.kind if proof else None,
    )


async def hold_up(tx: Tx, held_up: Sequence[HeldUp]) -> None:
    """Refunds that do not go by themselves; since when, and why at first, is kept. One row per refund."""
    ids, reasons = [one.refund_id for one in held_up], [one.reason[:200] for one in held_up]
    await tx.execute(HOLD_UP, ids, reasons, [one.refused for one in held_up], tx.now)


async def read_delayed(tx: Tx, limit: int) -> list[Refund]:
    """Refunds that the gateway has not made yet, those that wait longest first."""
    return [_refund(row) for row in await tx.fetch(READ_DELAYED, limit)]


async def read_refund(tx: Tx, refund_id: UUID) -> Refund | None:
    """One refund."""
    row = await tx.fetchrow(READ, refund_id)
    return _refund(row) if row else None


async def read_refunds_of(tx: Tx, payment_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Refund]]:
    """All refunds of these payments, oldest first; payments without any are absent."""
    refunds: dict[UUID, list[Refund]] = defaultdict(list)
    for row in await tx.fetch(READ_OF, sorted(payment_ids)):
        refunds[row["payment_id"]].append(_refund(row))
    return refunds


async def resolve_refunds(tx: Tx, states: Mapping[UUID, RefundState]) -> None:
    """The gateway's word on refunds that were asked for."""
    await tx.execute(RESOLVE, list(states), list(states.values()), tx.now)


def _refund(row: Record) -> Refund:
    return Refund(
        id=row["id"],
        payment_id=row["payment_id"],
        amount_minor=row["amount_minor"],
        reason=row["reason"],
        requested_at=row["requested_at"],
        state=RefundState(row["state"]),
        refusals=row["refusals"],
        delayed_at=row["delayed_at"],
        delay_reason=row["delay_reason"],
    )
