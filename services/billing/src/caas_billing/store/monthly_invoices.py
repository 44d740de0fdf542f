"""Reads monthly invoices whole: what was billed, how it was reckoned, on which days the service was used (SUB-4).

Invariant: only what never changes is read, so whenever an invoice is read it says the same (INV-3).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_billing.domain.document import Document, document_of_invoice
from caas_billing.domain.monthly import SoldSubscription, TierRange, UsageLine
from caas_billing.domain.numbering import BILLING_TIME_ZONE
from caas_billing.store.invoices import invoice_of
from caas_chassis.transaction import Tx
from caas_contracts.money import Money
from caas_contracts.subscriptions import RatePlanKind

FIND_INVOICE: Final = "SELECT * FROM whole_invoice WHERE invoice_id = $1"

LIST_USAGE_LINES: Final = """
SELECT u.*, t.above, t.up_to, greatest(u.used_in, (s.started_at AT TIME ZONE $2)::date) AS first_day
FROM usage_line u
JOIN invoice i USING (invoice_id)
JOIN subscription s ON s.subscription_id = i.subject_id
LEFT JOIN rate_tier t ON (t.plan_code, t.version, t.tier) = (u.plan_code, u.plan_version, u.tier)
WHERE u.invoice_id = ANY($1::uuid[]) ORDER BY u.invoice_id, u.line
"""

LIST_USAGE_DAYS: Final = """
SELECT r.invoice_id, array_agg(DISTINCT e.used_on ORDER BY e.used_on) AS days
FROM receivable r JOIN invoice i USING (invoice_id) JOIN usage_event e USING (subscription_id, period)
WHERE r.invoice_id = ANY($1::uuid[]) AND e.occurred_at <= i.supplied_at GROUP BY r.invoice_id
"""

LOCK_CHARGED: Final = """
SELECT a.payment_id, r.amount_minor, r.currency
FROM receivable r JOIN charge_attempt a USING (invoice_id)
WHERE a.payment_id = ANY($1::uuid[]) ORDER BY r.invoice_id FOR UPDATE OF r
"""

SUM_REFUNDS: Final = """
SELECT payment_id, sum(refunded_minor)::bigint AS refunded_minor FROM refund
WHERE payment_id = ANY($1::uuid[]) GROUP BY payment_id
"""


async def find_document(tx: Tx, invoice_id: UUID) -> Document | None:
    """What the page of a monthly invoice says; None when there is no such monthly invoice."""
    row = await tx.fetchrow(FIND_INVOICE, invoice_id)
    invoice = invoice_of(row) if row else None
    if invoice is None or not isinstance(invoice.sold, SoldSubscription):
        return None
    lines = tuple((await usage_lines(tx, [invoice_id])).get(invoice_id, ()))
    days = tuple((await usage_days(tx, [invoice_id])).get(invoice_id, ()))
    return document_of_invoice(replace(invoice, sold=replace(invoice.sold, lines=lines, usage_days=days)))


async def usage_lines(tx: Tx, invoice_ids: Sequence[UUID]) -> dict[UUID, list[UsageLine]]:
    """How each of the monthly invoices was reckoned, in the order of its lines."""
    lines: dict[UUID, list[UsageLine]] = {}
    for row in await tx.fetch(LIST_USAGE_LINES, invoice_ids, BILLING_TIME_ZONE.key):
        lines.setdefault(row["invoice_id"], []).append(_usage_line(row))
    return lines


async def usage_days(tx: Tx, invoice_ids: Sequence[UUID]) -> dict[UUID, list[date]]:
    """The days with use that each of the monthly invoices counts, in order."""
    return {row["invoice_id"]: row["days"] for row in await tx.fetch(LIST_USAGE_DAYS, invoice_ids)}


async def lock_charged(tx: Tx, payment_ids: Sequence[UUID]) -> dict[UUID, tuple[Money, int]]:
    """Lock the receivables that these payments were asked for; returns their amounts and what was refunded so far."""
    rows = await tx.fetch(LOCK_CHARGED, payment_ids)
    # A second statement: it sees what whoever had the lock before has committed.
    refunded = {row["payment_id"]: row["refunded_minor"] for row in await tx.fetch(SUM_REFUNDS, payment_ids)}
    return {
        row["payment_id"]: (
            Money(amount_minor=row["amount_minor"], currency=row["currency"]),
            refunded.get(row["payment_id"], 0),
        )
        for row in rows
    }


def _usage_line(row: Record) -> UsageLine:
    return UsageLine(
        kind=RatePlanKind(row["kind"]),
        plan_code=row["plan_code"],
        plan_version=row["plan_version"],
        used_in=row["used_in"],
        unit=row["unit"],
        quantity=row["quantity"],
        rate=row["rate"],
        tier=TierRange(row["above"], row["up_to"]) if row["tier"] is not None else None,
        days=row["days"],
        days_in_month=row["days_in_month"],
        first_day=row["first_day"],
        usage_events=row["usage_events"],
        total_minor=row["total_minor"],
    )
