"""Writes refunds and the credit notes that document them. Nothing here updates or deletes (INV-3)."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from caas_billing.domain.credit_note import CreditNote, Refund
from caas_billing.domain.invoice import Invoice
from caas_billing.store.invoices import invoice_of
from caas_chassis.transaction import Tx
from caas_contracts.money import Money

KNOWN_REFUNDS: Final = "SELECT refund_id FROM refund WHERE refund_id = ANY($1::uuid[])"

INSERT_REFUNDS: Final = """
INSERT INTO refund (refund_id, payment_id, refunded_minor, refunded_before_minor, currency, reason,
    refunded_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::text[],
    $7::timestamptz[])
"""

REFUNDS_WITHOUT_CREDIT_NOTE: Final = """
SELECT i.*, r.refund_id, r.payment_id AS refunded_payment_id, r.refunded_minor, r.refunded_before_minor, r.reason,
    r.refunded_at
FROM refund r
CROSS JOIN LATERAL (
    SELECT invoice_id FROM invoice WHERE payment_id = r.payment_id AND kind <> 'subscription'
    UNION ALL
    -- PAY-3: a monthly invoice is paid by the attempt that succeeded.
    SELECT a.invoice_id FROM charge_attempt a JOIN charge_outcome o USING (invoice_id, attempt)
    WHERE a.payment_id = r.payment_id AND o.outcome = 'paid'
) p
JOIN whole_invoice i ON i.invoice_id = p.invoice_id
LEFT JOIN credit_note c ON c.refund_id = r.refund_id
WHERE r.payment_id = ANY($1::uuid[]) AND c.refund_id IS NULL
ORDER BY r.refunded_at, r.payment_id, r.refunded_before_minor
"""

INSERT_CREDIT_NOTES: Final = "INSERT INTO credit_note SELECT * FROM unnest($1::credit_note[])"


async def known_refunds(tx: Tx, refund_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the refunds that are stored already."""
    return {row["refund_id"] for row in await tx.fetch(KNOWN_REFUNDS, refund_ids)}


async def add_refunds(tx: Tx, refunds: Sequence[Refund]) -> None:
    """Store refunds of payments that the caller has locked."""
    await tx.execute(
        INSERT_REFUNDS,
        [refund.refund_id for refund in refunds],
        [refund.payment_id for refund in refunds],
        [refund.refunded.amount_minor for refund in refunds],
        [refund.refunded_before_minor for refund in refunds],
        [refund.refunded.currency for refund in refunds],
        [refund.reason for refund in refunds],
        [refund.refunded_at for refund in refunds],
    )


async def refunds_without_credit_note(tx: Tx, payment_ids: Sequence[UUID]) -> list[tuple[Invoice, Refund]]:
    """Refunds of locked, invoiced payments that no credit note documents yet, oldest first.

    The invoice is the one that was issued: a correction repeats what it said, not what is known today.
    """
    rows = await tx.fetch(REFUNDS_WITHOUT_CREDIT_NOTE, payment_ids)
    return [(invoice_of(row), _refund(row)) for row in rows]


async def add_credit_notes(tx: Tx, notes: Sequence[CreditNote]) -> None:
    """Store issued credit notes. The schema refuses a sum above the invoice, and a second one of a refund."""
    await tx.execute(INSERT_CREDIT_NOTES, [_row(note) for note in notes])


def _row(note: CreditNote) -> dict[str, Any]:
    return {
        "credit_note_id": note.credit_note_id,
        "series": note.number.series.value,
        "year": note.number.year,
        "position": note.number.position,
        "number": str(note.number),
        "invoice_id": note.invoice.invoice_id,
        "refund_id": note.refund.refund_id,
        "reason": note.refund.reason,
        "currency": note.refund.refunded.currency,
        "vat_rate_bp": note.amount.rate_bp,
        "base_minor": note.amount.base_minor,
        "vat_minor": note.amount.vat_minor,
        "total_minor": note.amount.total_minor,
        "issued_at": note.issued_at,
    }


def _refund(row: Record) -> Refund:
    return Refund(
        refund_id=row["refund_id"],
        payment_id=row["refunded_payment_id"],
        refunded=Money(amount_minor=row["refunded_minor"], currency=row["currency"]),
        refunded_before_minor=row["refunded_before_minor"],
        reason=row["reason"],
        refunded_at=row["refunded_at"],
    )
