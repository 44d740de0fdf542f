"""Writes refunds and the credit notes that document them. Nothing here updates or deletes (INV-3)."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_billing.domain.credit_note import CorrectedInvoice, CreditNote, Refund
from caas_billing.store.sales import sale_of
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
SELECT r.refund_id, r.payment_id, r.refunded_minor, r.refunded_before_minor, r.currency, r.reason,
    r.refunded_at, i.invoice_id, i.number, i.issued_at, i.purchase_id, i.customer_id, i.customer_name,
    i.customer_email, i.customer_tax_id, i.language AS customer_language, i.total_minor AS captured_minor,
    i.supplied_at, l.service_code, l.service_name, l.vehicle_id, l.purchase_kind, l.duration_days,
    l.vat_rate_bp
FROM refund r
JOIN invoice i USING (payment_id)
JOIN invoice_line l ON l.invoice_id = i.invoice_id AND l.line = 1
LEFT JOIN credit_note c USING (refund_id)
WHERE r.payment_id = ANY($1::uuid[]) AND c.refund_id IS NULL
ORDER BY r.refunded_at, r.payment_id, r.refunded_before_minor
"""

INSERT_CREDIT_NOTES: Final = """
INSERT INTO credit_note (credit_note_id, series, year, position, number, invoice_id, refund_id, reason,
    currency, vat_rate_bp, base_minor, vat_minor, total_minor, issued_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::int[], $5::text[], $6::uuid[], $7::uuid[],
    $8::text[], $9::text[], $10::int[], $11::bigint[], $12::bigint[], $13::bigint[], $14::timestamptz[])
"""


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


async def refunds_without_credit_note(tx: Tx, payment_ids: Sequence[UUID]) -> list[tuple[CorrectedInvoice, Refund]]:
    """Refunds of locked, invoiced payments that no credit note documents yet, oldest first."""
    rows = await tx.fetch(REFUNDS_WITHOUT_CREDIT_NOTE, payment_ids)
    return [(_invoice(row), _refund(row)) for row in rows]


async def add_credit_notes(tx: Tx, notes: Sequence[CreditNote]) -> None:
    """Store issued credit notes. The schema refuses a sum above the invoice, and a second one of a refund."""
    await tx.execute(
        INSERT_CREDIT_NOTES,
        [note.credit_note_id for note in notes],
        [note.number.series.value for note in notes],
        [note.number.year for note in notes],
        [note.number.position for note in notes],
        [str(note.number) for note in notes],
        [note.invoice.invoice_id for note in notes],
        [note.refund.refund_id for note in notes],
        [note.refund.reason for note in notes],
        [note.refund.refunded.currency for note in notes],
        [note.amount.rate_bp for note in notes],
        [note.amount.base_minor for note in notes],
        [note.amount.vat_minor for note in notes],
        [note.amount.total_minor for note in notes],
        [note.issued_at for note in notes],
    )


def _refund(row: Record) -> Refund:
    return Refund(
        refund_id=row["refund_id"],
        payment_id=row["payment_id"],
        refunded=Money(amount_minor=row["refunded_minor"], currency=row["currency"]),
        refunded_before_minor=row["refunded_before_minor"],
        reason=row["reason"],
        refunded_at=row["refunded_at"],
    )


def _invoice(row: Record) -> CorrectedInvoice:
    # The sale as the invoice names it: a correction repeats what was issued, not what is known today.
    return CorrectedInvoice(row["invoice_id"], row["number"], row["issued_at"], sale_of(row))
