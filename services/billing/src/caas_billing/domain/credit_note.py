"""A refund's credit note corrects an invoice without changing it, never for more than it (INV-3, PAY-8)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from caas_billing.domain.invoice import Invoice, Issue, vat_amount
from caas_billing.domain.numbering import DocumentNumber
from caas_billing.domain.vat import TaxedAmount, split_part
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
class CreditNote:
    """One issued credit note; its amounts are positive and mean money given back."""

    credit_note_id: UUID
    number: DocumentNumber
    invoice: Invoice
    refund: Refund
    amount: TaxedAmount
    issued_at: datetime


def credit_note_of(invoice: Invoice, refund: Refund, issue: Issue) -> CreditNote:
    """The credit note of a refund (INV-1).

    All refunds of an invoice sum to its base and its VAT; those of a final invoice begin where its reservation
    ended, as the invoice itself does.
    """
    before_minor = invoice.deduction.amount.total_minor if invoice.deduction else 0
    amount = split_part(
        before_minor + refund.refunded_before_minor, refund.refunded.amount_minor, invoice.amount.rate_bp
    )
    return CreditNote(issue.document_id, issue.number, invoice, refund, amount, issue.issued_at)


def credit_note_issued(note: CreditNote) -> CreditNoteIssued:
    """The fact that a credit note was issued."""
    invoice = note.invoice
    return CreditNoteIssued(
        credit_note_id=note.credit_note_id,
        number=str(note.number),
        invoice_id=invoice.invoice_id,
        invoice_number=str(invoice.number),
        invoice_kind=invoice.kind,
        customer_id=invoice.customer.customer_id,
        subject_id=invoice.subject_id,
        payment_id=note.refund.payment_id,
        refund_id=note.refund.refund_id,
        vat=[vat_amount(note.amount, invoice.currency)],
        total=note.refund.refunded,
        reason=note.refund.reason,
        issued_at=note.issued_at,
        document_url=f"/credit-notes/{note.credit_note_id}/document",
    )
