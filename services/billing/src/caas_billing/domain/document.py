"""What a document says, frozen when it is issued: all that typesetting and the e-mail need (INV-4)."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from caas_billing.domain.credit_note import CreditNote
from caas_billing.domain.invoice import Deduction, Invoice
from caas_billing.domain.monthly import SoldSubscription
from caas_billing.domain.sale import Customer, SoldService, SoldVehicle
from caas_billing.domain.vat import TaxedAmount
from caas_contracts.billing import InvoiceKind

LANGUAGES: Final = frozenset({"es", "en"})
_OTHER_LANGUAGE: Final = "en"


class DocumentKind(StrEnum):
    """What is printed."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


@dataclass(frozen=True, slots=True)
class Correction:
    """The invoice that a credit note corrects, and why (INV-1)."""

    invoice_number: str
    invoice_issued_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An invoice or a credit note as it is printed; amounts are minor units of `currency`, times are UTC.

    `price` is what the line charges, `amount` what the document comes to: they differ by the deduction.
    """

    document_id: UUID
    kind: DocumentKind
    invoice_kind: InvoiceKind
    number: str
    issued_at: datetime
    language: str
    customer: Customer
    sold: SoldService | SoldVehicle | SoldSubscription
    supplied_at: datetime
    currency: str
    price: TaxedAmount
    amount: TaxedAmount
    subject_id: UUID
    payment_id: UUID
    deduction: Deduction | None = None
    correction: Correction | None = None

    @property
    def wording(self) -> str:
        """Which words of the labels fit: those of credit notes, or those of the invoice's kind."""
        return self.kind.value if self.kind is DocumentKind.CREDIT_NOTE else self.invoice_kind.value

    @property
    def without_detail(self) -> "Document":
        """The same without the lines of a monthly invoice, which only its page says."""
        if isinstance(self.sold, SoldSubscription):
            return replace(self, sold=replace(self.sold, lines=(), usage_days=()))
        return self


def document_of_invoice(invoice: Invoice) -> Document:
    """What the invoice's PDF says."""
    return Document(
        document_id=invoice.invoice_id,
        kind=DocumentKind.INVOICE,
        invoice_kind=invoice.kind,
        number=str(invoice.number),
        issued_at=invoice.issued_at,
        language=_language(invoice),
        customer=invoice.customer,
        sold=invoice.sold,
        supplied_at=invoice.supplied_at,
        currency=invoice.currency,
        price=invoice.price,
        amount=invoice.amount,
        subject_id=invoice.subject_id,
        payment_id=invoice.payment_id,
        deduction=invoice.deduction,
    )


def document_of_credit_note(note: CreditNote) -> Document:
    """What the credit note's PDF says: the invoice's words, the refund's amounts, what it corrects."""
    invoice = note.invoice
    return Document(
        document_id=note.credit_note_id,
        kind=DocumentKind.CREDIT_NOTE,
        invoice_kind=invoice.kind,
        number=str(note.number),
        issued_at=note.issued_at,
        language=_language(invoice),
        customer=invoice.customer,
        sold=invoice.sold,
        supplied_at=invoice.supplied_at,
        currency=invoice.currency,
        price=note.amount,
        amount=note.amount,
        subject_id=invoice.subject_id,
        payment_id=note.refund.payment_id,
        correction=Correction(str(invoice.number), invoice.issued_at, note.refund.reason),
    )


def _language(invoice: Invoice) -> str:
    language = invoice.customer.language
    return language if language in LANGUAGES else _OTHER_LANGUAGE
