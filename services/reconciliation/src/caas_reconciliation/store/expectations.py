"""What must appear in the settlement feed: a row per capture and refund, open until settled or adjusted."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final
from uuid import UUID

from caas_chassis.transaction import Tx
from caas_reconciliation.domain.settlement import Expectation

# Whichever of capture and failed settlement is told first: together they leave the same row.
INSERT_EXPECTATIONS: Final = """
INSERT INTO expectation (expectation_id, kind, payment_id, customer_id, transaction_id,
                         amount_minor, currency, occurred_at, adjusted_minor)
SELECT e.*, coalesce(f.amount_minor, 0)
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::text[],
    $8::timestamptz[])
    AS e(expectation_id, kind, payment_id, customer_id, transaction_id, amount_minor, currency, occurred_at)
LEFT JOIN fact f ON e.kind = 'capture' AND f.kind = 'settlement_failed' AND f.fact_id = e.payment_id::text
ORDER BY e.expectation_id
"""

WRITE_OFF: Final = """
UPDATE expectation e SET adjusted_minor = e.adjusted_minor + lost.lost_minor
FROM unnest($1::uuid[], $2::bigint[]) AS lost(payment_id, lost_minor)
WHERE e.expectation_id = lost.payment_id
"""

LOCK_REMAINDER: Final = """
SELECT amount_minor - settled_minor - adjusted_minor FROM expectation WHERE expectation_id = $1 FOR UPDATE
"""

ADJUST: Final = "UPDATE expectation SET adjusted_minor = adjusted_minor + $2 WHERE expectation_id = $1"

SELECT_EXPECTATIONS: Final = """
SELECT expectation_id, kind, payment_id, customer_id, amount_minor, settled_minor, adjusted_minor,
       currency, occurred_at
FROM expectation
WHERE (NOT $1 OR amount_minor <> settled_minor + adjusted_minor)
  AND ($2::uuid IS NULL OR payment_id = $2) AND ($3::uuid IS NULL OR expectation_id > $3)
ORDER BY expectation_id LIMIT $4
"""

_COLUMNS: Final = tuple(field.name for field in fields(Expectation))


@dataclass(frozen=True, slots=True)
class ExpectationState:
    """An expectation with what has become of it; amounts are minor units, negative for refunds."""

    expectation_id: UUID
    kind: str
    payment_id: UUID
    customer_id: str
    amount_minor: int
    settled_minor: int
    adjusted_minor: int
    currency: str
    occurred_at: datetime


async def expect(expectations: Sequence[Expectation], *, tx: Tx) -> None:
    """Start to wait for these captures and refunds; they must be new."""
    if expectations:
        columns = [[getattr(one, name) for one in expectations] for name in _COLUMNS]
        await tx.execute(INSERT_EXPECTATIONS, *columns)


async def write_off(lost: dict[UUID, int], *, tx: Tx) -> None:
    """Stop waiting for money that will not come, per payment; those not expected yet are unchanged."""
    if lost:
        ordered = sorted(lost.items())
        await tx.execute(WRITE_OFF, [payment for payment, _ in ordered], [amount for _, amount in ordered])


async def lock_remainder(expectation_id: UUID, *, tx: Tx) -> int:
    """What is still open of one expectation, held until the transaction ends."""
    remainder = await tx.fetchval(LOCK_REMAINDER, expectation_id)
    assert isinstance(remainder, int)
    return remainder


async def adjust(expectation_id: UUID, amount_minor: int, *, tx: Tx) -> None:
    """Take a difference off, because a case's resolution explains it."""
    await tx.execute(ADJUST, expectation_id, amount_minor)


async def find_expectations(
    *, open_only: bool, payment_id: UUID | None, after: UUID | None, limit: int, tx: Tx
) -> list[ExpectationState]:
    """A page, ordered by id."""
    rows = await tx.fetch(SELECT_EXPECTATIONS, open_only, payment_id, after, limit)
    return [ExpectationState(**row) for row in rows]
