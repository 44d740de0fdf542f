"""Writes issued invoices with their lines, and reads them back whole. Nothing here updates or deletes (INV-3)."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from caas_billing.domain.invoice import Deduction, Invoice
from caas_billing.domain.monthly import SoldSubscription
from caas_billing.domain.numbering import DocumentNumber, Series
from caas_billing.domain.sale import Customer, Sold, SoldPeriod, SoldService, SoldVehicle
from caas_billing.domain.vat import TaxedAmount
from caas_chassis.transaction import Tx
from caas_contracts.billing import InvoiceKind
from caas_contracts.orders import PurchaseKind

INSERT_INVOICES: Final = "INSERT INTO invoice SELECT * FROM unnest($1::invoice[])"
INSERT_LINES: Final = "INSERT INTO invoice_line SELECT * FROM unnest($1::invoice_line[])"

FIND_RESERVATIONS: Final = """
SELECT * FROM whole_invoice WHERE subject_id = ANY($1::uuid[]) AND kind = 'reservation'
"""

_CONCEPTS: Final = {
    InvoiceKind.SERVICE: "service",
    InvoiceKind.RESERVATION: "reservation",
    InvoiceKind.FINAL: "vehicle",
    InvoiceKind.SUBSCRIPTION: "subscription",
}


async def add_invoices(tx: Tx, invoices: Sequence[Invoice]) -> None:
    """Store issued invoices. A second invoice of one payment fails the transaction by a constraint."""
    await tx.execute(INSERT_INVOICES, [_invoice_row(invoice) for invoice in invoices])
    await tx.execute(INSERT_LINES, [line for invoice in invoices for line in _line_rows(invoice)])


async def find_reservations(tx: Tx, order_ids: Sequence[UUID]) -> dict[UUID, Invoice]:
    """The reservation invoices of these orders, by order."""
    return {row["subject_id"]: invoice_of(row) for row in await tx.fetch(FIND_RESERVATIONS, order_ids)}


def invoice_of(row: Record) -> Invoice:
    """The invoice in a row of `whole_invoice`."""
    rate_bp = row["vat_rate_bp"]
    deduction = None
    if row["deducted_id"] is not None:
        deducted = TaxedAmount(rate_bp, row["deducted_base"], row["deducted_vat"])
        deduction = Deduction(row["deducted_id"], row["deducted_number"], row["deducted_issued_at"], deducted)
    return Invoice(
        invoice_id=row["invoice_id"],
        number=DocumentNumber(Series(row["series"]), row["year"], row["position"]),
        kind=InvoiceKind(row["kind"]),
        payment_id=row["payment_id"],
        subject_id=row["subject_id"],
        customer=Customer(
            row["customer_id"], row["customer_name"], row["customer_email"], row["customer_tax_id"], row["language"]
        ),
        sold=_sold(row),
        currency=row["currency"],
        amount=TaxedAmount(rate_bp, row["base_minor"], row["vat_minor"]),
        deduction=deduction,
        supplied_at=row["supplied_at"],
        issued_at=row["issued_at"],
    )


def _sold(row: Record) -> Sold:
    if row["period"] is not None:
        return SoldSubscription(
            code=row["code"],
            name=row["name"],
            vehicle_id=row["vehicle_id"],
            period=row["period"],
            due_on=row["due_on"],
            is_charged=row["is_charged"],
        )
    if row["purchase_kind"] is not None:
        kind = PurchaseKind(row["purchase_kind"])
        return SoldService(row["code"], row["name"], row["vehicle_id"], kind, row["duration_days"], period_of(row))
    options = tuple(row["options"])
    return SoldVehicle(row["code"], row["name"], options, row["dealership"], row["vehicle_id"], row["plates"])


def period_of(row: Record) -> SoldPeriod | None:
    """The period of a recurring service, in a row that names it as `invoice_line` does."""
    if row["period_ends_at"] is None:
        return None
    return SoldPeriod(row["period_number"], row["period_ends_at"])


def _invoice_row(invoice: Invoice) -> dict[str, Any]:
    customer, number = invoice.customer, invoice.number
    return {
        "invoice_id": invoice.invoice_id,
        "series": number.series.value,
        "year": number.year,
        "position": number.position,
        "number": str(number),
        "kind": invoice.kind.value,
        "payment_id": invoice.payment_id,
        "subject_id": invoice.subject_id,
        "customer_id": customer.customer_id,
        "customer_name": customer.name,
        "customer_email": customer.email,
        "customer_tax_id": customer.tax_id,
        "language": customer.language,
        "currency": invoice.currency,
        "supplied_at": invoice.supplied_at,
        "issued_at": invoice.issued_at,
        **_amounts(invoice.amount, 1),
    }


def _line_rows(invoice: Invoice) -> list[dict[str, Any]]:
    """The line of what was sold and, on a final invoice, the line that takes the reservation off."""
    sold = {
        "invoice_id": invoice.invoice_id,
        "line": 1,
        "concept": _CONCEPTS[invoice.kind],
        "vat_rate_bp": invoice.amount.rate_bp,
        "options": [],
        **_sold_columns(invoice.sold),
        **_amounts(invoice.price, 1),
    }
    deduction = invoice.deduction
    if deduction is None:
        return [sold]
    deducted = {
        "line": 2,
        "concept": "deduction",
        "name": deduction.number,
        "deducted_invoice_id": deduction.invoice_id,
        **_amounts(deduction.amount, -1),
    }
    return [sold, sold | deducted]


def _sold_columns(sold: Sold) -> dict[str, Any]:
    if isinstance(sold, SoldService):
        return {
            "code": sold.code,
            "name": sold.name,
            "vehicle_id": sold.vehicle_id,
            "purchase_kind": sold.kind.value,
            "duration_days": sold.duration_days,
            "period_number": sold.period.number if sold.period else None,
            "period_ends_at": sold.period.ends_at if sold.period else None,
        }
    if isinstance(sold, SoldSubscription):
        return {"code": sold.code, "name": sold.name, "vehicle_id": sold.vehicle_id}
    return {
        "code": sold.model,
        "name": sold.name,
        "vehicle_id": sold.vin,
        "options": list(sold.options),
        "dealership": sold.dealership,
        "plates": sold.plates,
    }


def _amounts(amount: TaxedAmount, sign: int) -> dict[str, int]:
    return {
        "base_minor": sign * amount.base_minor,
        "vat_minor": sign * amount.vat_minor,
        "total_minor": sign * amount.total_minor,
    }
