"""What a document says, frozen when it is issued: all that typesetting and the e-mail need (INV-4)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from caas_billing.domain.credit_note import CreditNote
from caas_billing.domain.invoice import Invoice
from caas_billing.domain.sale import Sale
from caas_contracts.orders import PurchaseKind

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


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice or a credit note as it is printed; amounts are minor units of `currency`, times are UTC."""

    document_id: UUID
    kind: DocumentKind
    number: str
    issued_at: datetime
    language: str
    customer_id: str
    customer_name: str
    customer_email: str
    customer_tax_id: str | None
    service_code: str
    service_name: str
    vehicle_id: str
    purchase_kind: PurchaseKind
    duration_days: int | None
    supplied_at: datetime
    currency: str
    vat_rate_bp: int
    base_minor: int
    vat_minor: int
    purchase_id: UUID
    payment_id: UUID
    correction: Correction | None

    @property
    def total_minor(self) -> int:
        """Base and VAT."""
        return self.base_minor + self.vat_minor


def document_of_invoice(invoice: Invoice) -> Document:
    """What the invoice's PDF says."""
    return _document(invoice.sale, invoice)


def document_of_credit_note(note: CreditNote) -> Document:
    """What the credit note's PDF says: the invoice's words, the refund's amounts, what it corrects."""
    return _document(note.invoice.sale, note)


def _document(sale: Sale, issued: Invoice | CreditNote) -> Document:
    if isinstance(issued, Invoice):
        document_id, kind, correction = issued.invoice_id, DocumentKind.INVOICE, None
    else:
        document_id, kind = issued.credit_note_id, DocumentKind.CREDIT_NOTE
        correction = Correction(issued.invoice.number, issued.invoice.issued_at, issued.refund.reason)
    language = sale.customer.language
    return Document(
        document_id=document_id,
        kind=kind,
        number=str(issued.number),
        issued_at=issued.issued_at,
        language=language if language in LANGUAGES else _OTHER_LANGUAGE,
        customer_id=sale.customer.customer_id,
        customer_name=sale.customer.name,
        customer_email=sale.customer.email,
        customer_tax_id=sale.customer.tax_id,
        service_code=sale.service.code,
        service_name=sale.service.name,
        vehicle_id=sale.service.vehicle_id,
        purchase_kind=sale.service.kind,
        duration_days=sale.service.duration_days,
        supplied_at=sale.supplied_at,
        currency=sale.captured.currency,
        vat_rate_bp=issued.amount.rate_bp,
        base_minor=issued.amount.base_minor,
        vat_minor=issued.amount.vat_minor,
        purchase_id=sale.purchase_id,
        payment_id=sale.payment_id,
        correction=correction,
    )
