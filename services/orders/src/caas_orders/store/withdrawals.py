"""Withdrawals as rows: at most one per purchase (DES-6). Writers hold the lock of the purchase."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_contracts.money import Money
from caas_orders.domain.withdrawing import Withdrawal

INSERT_WITHDRAWAL: Final = """
INSERT INTO withdrawal (withdrawal_id, purchase_id, declared_at, refund_due_minor, currency)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
"""

READ_WITHDRAWALS: Final = """
SELECT withdrawal_id, purchase_id, declared_at, refund_due_minor, currency, confirmed_at, refund_id, refund_delayed_at,
    refunded_at, completed_at
FROM withdrawal WHERE purchase_id = ANY($1::uuid[])
"""

SAVE_WITHDRAWALS: Final = """
UPDATE withdrawal AS w SET refund_due_minor = n.refund_due_minor, confirmed_at = n.confirmed_at,
    refund_id = n.refund_id, refund_delayed_at = n.refund_delayed_at, refunded_at = n.refunded_at,
    completed_at = n.completed_at
FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::uuid[], $5::timestamptz[], $6::timestamptz[],
    $7::timestamptz[])
    AS n(withdrawal_id, refund_due_minor, confirmed_at, refund_id, refund_delayed_at, refunded_at, completed_at)
WHERE w.withdrawal_id = n.withdrawal_id
"""


async def declare(withdrawal: Withdrawal, *, tx: Tx) -> None:
    """Store a declaration; one that is there already stays as it was promised."""
    await tx.execute(
        INSERT_WITHDRAWAL,
        withdrawal.withdrawal_id,
        withdrawal.purchase_id,
        withdrawal.declared_at,
        withdrawal.refund_due.amount_minor,
        withdrawal.refund_due.currency,
    )


async def of_purchases(purchase_ids: Sequence[UUID], *, tx: Tx) -> dict[UUID, Withdrawal]:
    """The withdrawals by their purchase; purchases without one are left out."""
    rows = await tx.fetch(READ_WITHDRAWALS, purchase_ids)
    return {row["purchase_id"]: _withdrawal(row) for row in rows}


async def save(withdrawals: Sequence[Withdrawal], *, tx: Tx) -> None:
    """Write changed withdrawals, whose purchases this transaction has locked."""
    if not withdrawals:
        return
    rows = [
        (
            one.withdrawal_id,
            one.refund_due.amount_minor,
            one.confirmed_at,
            one.refund_id,
            one.refund_delayed_at,
            one.refunded_at,
            one.completed_at,
        )
        for one in withdrawals
    ]
    await tx.execute(SAVE_WITHDRAWALS, *zip(*rows, strict=True))


def _withdrawal(row: Record) -> Withdrawal:
    return Withdrawal(
        withdrawal_id=row["withdrawal_id"],
        purchase_id=row["purchase_id"],
        declared_at=row["declared_at"],
        refund_due=Money(amount_minor=row["refund_due_minor"], currency=row["currency"]),
        confirmed_at=row["confirmed_at"],
        refund_id=row["refund_id"],
        refund_delayed_at=row["refund_delayed_at"],
        refunded_at=row["refunded_at"],
        completed_at=row["completed_at"],
    )
