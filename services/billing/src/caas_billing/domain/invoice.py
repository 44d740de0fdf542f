"""The invoice of a one-time service: issued once its money is captured, never changed (INV-1, INV-3)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from caas_billing.domain.numbering import DocumentNumber
from caas_billing.domain.sale import Sale
from caas_billing.domain.vat import TaxedAmount, split_total
from caas_contracts.billing import InvoiceIssued, InvoiceKind, VatAmount
from caas_contracts.money import Money


@dataclass(frozen=True, slots=True)
class Invoice:
    """One issued invoice with one line: the service."""

    invoice_id: UUID
    number: DocumentNumber
    sale: Sale
    amount: TaxedAmount
    issued_at: datetime


def issue_invoice(
    sale: Sale, invoice_id: UUID, number: DocumentNumber, issued_at: datetime
) -> tuple[Invoice, InvoiceIssued]:
    """The invoice of a captured sale and the fact that it was issued.

    A capture exists only for an activation that succeeded, so this invoice does too (SVC-4, INV-1).
    """
    amount = split_total(sale.captured.amount_minor, sale.vat_rate_bp)
    invoice = Invoice(invoice_id, number, sale, amount, issued_at)
    return invoice, _issued(invoice)


def vat_amount(amount: TaxedAmount, currency: str) -> VatAmount:
    """An amount as the contracts say it."""
    return VatAmount(
        rate_bp=amount.rate_bp,
        base=Money(amount_minor=amount.base_minor, currency=currency),
        vat=Money(amount_minor=amount.vat_minor, currency=currency),
    )


def _issued(invoice: Invoice) -> InvoiceIssued:
    sale = invoice.sale
    return InvoiceIssued(
        invoice_id=invoice.invoice_id,
        number=str(invoice.number),
        kind=InvoiceKind.SERVICE,
        customer_id=sale.customer.customer_id,
        subject_id=sale.purchase_id,
        payment_id=sale.payment_id,
        vat=[vat_amount(invoice.amount, sale.captured.currency)],
        total=sale.captured,
        issued_at=invoice.issued_at,
        document_url=f"/invoices/{invoice.invoice_id}/document",
    )
