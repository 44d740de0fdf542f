"""Invitations to the platform, as rows: a hash of each link, when it ends, and whether it was used (RES-2)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from caas_chassis.transaction import Tx

INSERT_INVITATION: Final = """
INSERT INTO invitations (token_hash, order_id, customer_id, expires_at) VALUES ($1, $2, $3, $4)
"""

# Compare-and-set: of two that use one link in the same instant, one succeeds.
USE_INVITATION: Final = """
UPDATE invitations SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2
RETURNING order_id, customer_id
"""


@dataclass(frozen=True, slots=True)
class Invited:
    """Whom a link was for."""

    order_id: UUID
    customer_id: str


async def insert(token_hash: bytes, invited: Invited, expires_at: datetime, *, tx: Tx) -> None:
    """Store the hash of a new link."""
    await tx.execute(INSERT_INVITATION, token_hash, invited.order_id, invited.customer_id, expires_at)


async def use(token_hash: bytes, *, tx: Tx) -> Invited | None:
    """Use a link up; None when it does not exist, was used, or has expired."""
    row = await tx.fetchrow(USE_INVITATION, token_hash, tx.now)
    return None if row is None else Invited(row["order_id"], row["customer_id"])
