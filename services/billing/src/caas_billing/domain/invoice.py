"""Invoices: one per payment of a service, a reservation or a vehicle, never changed (INV-1, INV-3)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from caas_billing.domain.numbering import DocumentNumber
from caas_billing.domain.sale import Customer, Sale, Sold, VehicleSale
from caas_billing.domain.vat import TaxedAmount, split_part, split_total
from caas_contracts.billing import InvoiceIssued, InvoiceKind, VatAmount
from caas_contracts.money import Money


@dataclass(frozen=True, slots=True)
class Issue:
    """What a new invoice or credit note is given: its id, its number and when it is issued."""

    document_id: UUID
    number: DocumentNumber
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Deduction:
    """The reservation's invoice, whose base and VAT the final invoice takes off the price (RES-5)."""

    invoice_id: UUID
    number: str
    issued_at: datetime
    amount: TaxedAmount


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """One issued invoice. `amount` is what this invoice charges, after the deduction."""

    invoice_id: UUID
    number: DocumentNumber
    kind: InvoiceKind
    payment_id: UUID
    subject_id: UUID
    customer: Customer
    sold: Sold
    currency: str
    amount: TaxedAmount
    deduction: Deduction | None = None
    supplied_at: datetime
    issued_at: datetime

    @property
    def price(self) -> TaxedAmount:
        """What was sold, before the deduction."""
        deducted = self.deduction.amount if self.deduction else TaxedAmount(self.amount.rate_bp, 0, 0)
        return TaxedAmount(
            self.amount.rate_bp,
            self.amount.base_minor + deducted.base_minor,
            self.amount.vat_minor + deducted.vat_minor,
        )


def service_invoice(sale: Sale, issue: Issue) -> Invoice:
    """The invoice of a paid service, or of one of its periods.

    A sale is complete only after an activation that succeeded, so this invoice is too (SVC-4, INV-1).
    """
    return Invoice(
        invoice_id=issue.document_id,
        number=issue.number,
        kind=InvoiceKind.SERVICE,
        payment_id=sale.payment_id,
        subject_id=sale.purchase_id,
        customer=sale.customer,
        sold=sale.service,
        currency=sale.captured.currency,
        amount=split_total(sale.captured.amount_minor, sale.vat_rate_bp),
        supplied_at=sale.supplied_at,
        issued_at=issue.issued_at,
    )


def reservation_invoice(sale: VehicleSale, issue: Issue) -> Invoice:
    """The invoice of a confirmed reservation, which is part of the vehicle's price (RES-5)."""
    reservation = sale.reservation
    return Invoice(
        invoice_id=issue.document_id,
        number=issue.number,
        kind=InvoiceKind.RESERVATION,
        payment_id=reservation.payment_id,
        subject_id=sale.order_id,
        customer=sale.customer,
        sold=sale.vehicle,
        currency=reservation.paid.currency,
        amount=split_total(reservation.paid.amount_minor, sale.vat_rate_bp),
        supplied_at=reservation.paid_at,
        issued_at=issue.issued_at,
    )


def final_invoice(sale: VehicleSale, reservation: Invoice, issue: Issue) -> Invoice:
    """The invoice of a paid and registered vehicle: its price less what the reservation's invoice charged.

    The base and the VAT of both invoices sum to those of the whole price, to the cent (INV-3). Raises ValueError
    when the final payment or the registration is not known yet.
    """
    if sale.final is None or sale.registered_at is None:
        raise ValueError(f"vehicle order {sale.order_id} is not paid and registered: its final invoice has to wait")
    before_minor = reservation.amount.total_minor
    return Invoice(
        invoice_id=issue.document_id,
        number=issue.number,
        kind=InvoiceKind.FINAL,
        payment_id=sale.final.payment_id,
        subject_id=sale.order_id,
        customer=sale.customer,
        sold=sale.vehicle,
        currency=sale.final.paid.currency,
        amount=split_part(before_minor, sale.final.paid.amount_minor, sale.vat_rate_bp),
        deduction=Deduction(reservation.invoice_id, str(reservation.number), reservation.issued_at, reservation.amount),
        supplied_at=sale.registered_at,
        issued_at=issue.issued_at,
    )


def invoice_issued(invoice: Invoice) -> InvoiceIssued:
    """The fact that an invoice was issued."""
    return InvoiceIssued(
        invoice_id=invoice.invoice_id,
        number=str(invoice.number),
        kind=invoice.kind,
        customer_id=invoice.customer.customer_id,
        subject_id=invoice.subject_id,
        payment_id=invoice.payment_id,
        vat=[vat_amount(invoice.amount, invoice.currency)],
        total=Money(amount_minor=invoice.amount.total_minor, currency=invoice.currency),
        deducted=[vat_amount(invoice.deduction.amount, invoice.currency)] if invoice.deduction else [],
        issued_at=invoice.issued_at,
        document_url=f"/invoices/{invoice.invoice_id}/document",
    )


def vat_amount(amount: TaxedAmount, currency: str) -> VatAmount:
    """An amount as the contracts say it."""
    return VatAmount(
        rate_bp=amount.rate_bp,
        base=Money(amount_minor=amount.base_minor, currency=currency),
        vat=Money(amount_minor=amount.vat_minor, currency=currency),
    )
