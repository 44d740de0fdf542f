"""Reads kept use for people: of a subscription, and of the lines of an invoice (SUB-2)."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_billing.domain.usage import KeptUse, UsageFate
from caas_chassis.transaction import Tx

LIST_KEPT_USE: Final = """
WITH kept AS (
    -- Use that was stored before the subscription's end was heard of may lie behind it: nobody pays it (SUB-7).
    SELECT e.usage_id, e.subscription_id, e.occurred_at, e.used_on, e.quantity, e.period, e.period > e.used_on AS late,
        CASE WHEN e.occurred_at >= t.ended_at THEN 'after_end' END AS uncharged, e.period AS listed_in
    FROM usage_event e JOIN subscription_standing t USING (subscription_id) WHERE e.subscription_id = $1
    UNION ALL
    SELECT usage_id, subscription_id, occurred_at, (occurred_at AT TIME ZONE $6)::date, quantity, NULL, false,
        reason, date_trunc('month', occurred_at AT TIME ZONE $6)::date
    FROM uncharged_usage WHERE subscription_id = $1
)
SELECT usage_id, subscription_id, occurred_at, used_on, quantity, period, late, uncharged FROM kept
WHERE ($2::date IS NULL OR listed_in = $2)
    AND ($3::date IS NULL OR date_trunc('month', used_on)::date = $3)
    AND ($7::timestamptz IS NULL OR (period IS NOT NULL AND occurred_at <= $7))
    AND ($4::uuid IS NULL
        OR (occurred_at, usage_id) > (SELECT k.occurred_at, k.usage_id FROM kept k WHERE k.usage_id = $4))
ORDER BY occurred_at, usage_id LIMIT $5
"""

FIND_SUBSCRIPTION_OF: Final = """
SELECT subscription_id FROM subscription WHERE subscription_id = $1 AND ($2::text IS NULL OR customer_id = $2)
"""

FIND_BILLED: Final = """
SELECT c.subscription_id, c.period, l.used_in, i.supplied_at
FROM period_close c
JOIN invoice i ON i.invoice_id = c.invoice_id
LEFT JOIN usage_line l ON l.invoice_id = c.invoice_id AND l.line = $3
WHERE c.invoice_id = $1 AND ($2::text IS NULL OR i.customer_id = $2) AND ($3::int IS NULL OR l.line IS NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class UseFilter:
    """Which use to list, oldest first; None does not restrict.

    `period` is the month it is billed in (uncharged use: its own month), `used_in` that of its day. `cursor` is the
    last use of the page before. `counted_until` leaves only what an invoice counted: the use up to its last instant.
    """

    subscription_id: UUID
    period: date | None = None
    used_in: date | None = None
    cursor: UUID | None = None
    limit: int = 200
    counted_until: datetime | None = None


async def list_kept_use(tx: Tx, wanted: UseFilter, time_zone: str) -> list[KeptUse]:
    """Kept use of a subscription."""
    rows = await tx.fetch(
        LIST_KEPT_USE,
        wanted.subscription_id,
        wanted.period,
        wanted.used_in,
        wanted.cursor,
        wanted.limit,
        time_zone,
        wanted.counted_until,
    )
    return [_kept(row) for row in rows]


async def has_subscription(tx: Tx, subscription_id: UUID, customer_id: str | None) -> bool:
    """Whether there is such a subscription, of this customer; None is anyone's."""
    return await tx.fetchval(FIND_SUBSCRIPTION_OF, subscription_id, customer_id) is not None


async def find_billed(tx: Tx, invoice_id: UUID, customer_id: str | None, line: int | None) -> UseFilter | None:
    """What a monthly invoice of this customer's, or one of its lines, counted; None when there is no such."""
    row = await tx.fetchrow(FIND_BILLED, invoice_id, customer_id, line)
    if row is None:
        return None
    return UseFilter(
        row["subscription_id"], period=row["period"], used_in=row["used_in"], counted_until=row["supplied_at"]
    )


def _kept(row: Record) -> KeptUse:
    uncharged = UsageFate(row["uncharged"]) if row["uncharged"] else None
    return KeptUse(**{**row, "uncharged": uncharged})
