"""Rows of `customer_actions`: what a customer has to confirm, and the link for it, which works once (PAY-9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from caas_chassis.transaction import Tx
from caas_payments.domain.payment import CustomerAction
from caas_payments.domain.status import PaymentStatus

INSERT: Final = """
INSERT INTO customer_actions (payment_id, transaction_id, page_url, secret_hash, asked_at, expires_at)
SELECT n.payment_id, n.transaction_id, n.page_url, n.secret_hash, $2, n.expires_at
FROM unnest($1::new_customer_action[]) AS n
"""

MARK_CANCELLING: Final = """
UPDATE customer_actions SET cancelling_at = $2 WHERE payment_id = ANY($1::uuid[]) AND cancelling_at IS NULL
"""

USE: Final = """
UPDATE customer_actions a SET used_at = $2
WHERE a.secret_hash = $1 AND a.used_at IS NULL AND a.expires_at > $2
    AND EXISTS (SELECT FROM payments p WHERE p.id = a.payment_id AND p.status = 'PENDING')
RETURNING a.page_url
"""

READ_LINK: Final = """
SELECT a.payment_id, a.used_at, a.expires_at, p.status
FROM customer_actions a JOIN payments p ON p.id = a.payment_id WHERE a.secret_hash = $1
"""


@dataclass(frozen=True, slots=True)
class NewAction:
    """A customer has to act; `secret_hash` is all that is kept of the link's secret."""

    payment_id: UUID
    action: CustomerAction
    secret_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link that was given out; instants are business time."""

    payment_id: UUID
    used_at: datetime | None
    expires_at: datetime
    status: PaymentStatus


async def insert_actions(tx: Tx, new: Sequence[NewAction]) -> None:
    """One per payment, for ever: a second is a defect, and fails on the key."""
    rows = [
        (one.payment_id, one.action.transaction_id, one.action.page_url, one.secret_hash, one.action.expires_at)
        for one in new
    ]
    await tx.execute(INSERT, rows, tx.now)


async def mark_cancelling(tx: Tx, payment_ids: Sequence[UUID]) -> None:
    """Stored before the gateway is asked to give them up."""
    await tx.execute(MARK_CANCELLING, sorted(payment_ids), tx.now)


async def use_link(tx: Tx, secret_hash: bytes) -> str | None:
    """The gateway's page, for the first caller only and in time; None for everybody else."""
    page_url = await tx.fetchval(USE, secret_hash, tx.now)
    return None if page_url is None else str(page_url)


async def read_link(tx: Tx, secret_hash: bytes) -> Link | None:
    """The link with this secret, or None."""
    row = await tx.fetchrow(READ_LINK, secret_hash)
    return Link(**{**row, "status": PaymentStatus(row["status"])}) if row else None
