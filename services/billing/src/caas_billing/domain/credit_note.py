"""A refund's credit note corrects an invoice without changing it, never for more than it (INV-3, PAY-8)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from caas_billing.domain.invoice import vat_amount
from caas_billing.domain.numbering import DocumentNumber
from caas_billing.domain.sale import Sale
from caas_billing.domain.vat import TaxedAmount, split_refund
from caas_contracts.billing import CreditNoteIssued
from caas_contracts.money import Money


@dataclass(frozen=True, slots=True)
class Refund:
    """Money given back; `refunded_before_minor` is what earlier refunds of the same payment gave back."""

    refund_id: UUID
    payment_id: UUID
    refunded: Money
    refunded_before_minor: int
    reason: str
    refunded_at: datetime


@dataclass(frozen=True, slots=True)
class CorrectedInvoice:
    """The invoice that a credit note names."""

    invoice_id: UUID
    number: str
    issued_at: datetime
    sale: Sale


@dataclass(frozen=True, slots=True)
class CreditNote:
    """One issued credit note; its amounts are positive and mean money given back."""

    credit_note_id: UUID
    number: DocumentNumber
    invoice: CorrectedInvoice
    refund: Refund
    amount: TaxedAmount
    issued_at: datetime


def issue_credit_note(
    invoice: CorrectedInvoice,
    refund: Refund,
    credit_note_id: UUID,
    number: DocumentNumber,
    issued_at: datetime,
) -> tuple[CreditNote, CreditNoteIssued]:
    """The credit note of a refund and the fact that it was issued (INV-1)."""
    amount = split_refund(refund.refunded_before_minor, refund.refunded.amount_minor, invoice.sale.vat_rate_bp)
    note = CreditNote(credit_note_id, number, invoice, refund, amount, issued_at)
    return note, _issued(note)


def _issued(note: CreditNote) -> CreditNoteIssued:
    sale = note.invoice.sale
    return CreditNoteIssued(
        credit_note_id=note.credit_note_id,
        number=str(note.number),
        invoice_id=note.invoice.invoice_id,
        invoice_number=note.invoice.number,
        customer_id=sale.customer.customer_id,
        subject_id=sale.purchase_id,
        payment_id=sale.payment_id,
        refund_id=note.refund.refund_id,
        vat=[vat_amount(note.amount, sale.captured.currency)],
        total=note.refund.refunded,
        reason=note.refund.reason,
        issued_at=note.issued_at,
        document_url=f"/credit-notes/{note.credit_note_id}/document",
    )
