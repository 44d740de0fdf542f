"""Rows of `refunds`: what is to be given back, and what was (PAY-8)."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_payments.domain.refund import Refund, RefundState

INSERT: Final = """
INSERT INTO refunds (id, payment_id, amount_minor, reason, state, requested_at) VALUES ($1, $2, $3, $4, $5, $6)
"""

READ: Final = "SELECT * FROM refunds WHERE id = $1"

READ_OF: Final = "SELECT * FROM refunds WHERE payment_id = ANY($1::uuid[]) ORDER BY requested_at, id"

RESOLVE: Final = """
UPDATE refunds r SET state = n.state, resolved_at = $3
FROM unnest($1::uuid[], $2::text[]) AS n(id, state)
WHERE r.id = n.id AND r.state = 'requested'
"""


async def insert_refund(tx: Tx, refund: Refund) -> None:
    """A refund that is asked for; the caller holds the payment's lock."""
    await tx.execute(
        INSERT, refund.id, refund.payment_id, refund.amount_minor, refund.reason, refund.state, refund.requested_at
    )


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
    )
