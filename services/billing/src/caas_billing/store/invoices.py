"""Writes issued invoices with their lines. Nothing here updates or deletes (INV-3)."""

from collections.abc import Sequence
from typing import Final

from caas_billing.domain.invoice import Invoice
from caas_chassis.transaction import Tx

INSERT_INVOICES: Final = """
INSERT INTO invoice (invoice_id, series, year, position, number, kind, payment_id, purchase_id, customer_id,
    customer_name, customer_email, customer_tax_id, language, currency, base_minor, vat_minor, total_minor,
    supplied_at, issued_at)
SELECT invoice_id, series, year, position, number, 'service', payment_id, purchase_id, customer_id,
    customer_name, customer_email, customer_tax_id, language, currency, base_minor, vat_minor, total_minor,
    supplied_at, issued_at
FROM unnest($1::uuid[], $2::text[], $3::int[], $4::int[], $5::text[], $6::uuid[], $7::uuid[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[], $15::bigint[],
    $16::bigint[], $17::timestamptz[], $18::timestamptz[]) AS new(invoice_id, series, year, position, number,
    payment_id, purchase_id, customer_id, customer_name, customer_email, customer_tax_id, language, currency,
    base_minor, vat_minor, total_minor, supplied_at, issued_at)
"""

INSERT_LINES: Final = """
INSERT INTO invoice_line (invoice_id, line, service_code, service_name, vehicle_id, purchase_kind,
    duration_days, vat_rate_bp, base_minor, vat_minor, total_minor)
SELECT invoice_id, 1, service_code, service_name, vehicle_id, purchase_kind, duration_days, vat_rate_bp,
    base_minor, vat_minor, total_minor
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::bigint[],
    $9::bigint[], $10::bigint[]) AS new(invoice_id, service_code, service_name, vehicle_id, purchase_kind,
    duration_days, vat_rate_bp, base_minor, vat_minor, total_minor)
"""


async def add_invoices(tx: Tx, invoices: Sequence[Invoice]) -> None:
    """Store issued invoices. A second invoice of one payment fails the transaction by a constraint."""
    customers = [invoice.sale.customer for invoice in invoices]
    await tx.execute(
        INSERT_INVOICES,
        [invoice.invoice_id for invoice in invoices],
        [invoice.number.series.value for invoice in invoices],
        [invoice.number.year for invoice in invoices],
        [invoice.number.position for invoice in invoices],
        [str(invoice.number) for invoice in invoices],
        [invoice.sale.payment_id for invoice in invoices],
        [invoice.sale.purchase_id for invoice in invoices],
        [customer.customer_id for customer in customers],
        [customer.name for customer in customers],
        [customer.email for customer in customers],
        [customer.tax_id for customer in customers],
        [customer.language for customer in customers],
        [invoice.sale.captured.currency for invoice in invoices],
        [invoice.amount.base_minor for invoice in invoices],
        [invoice.amount.vat_minor for invoice in invoices],
        [invoice.amount.total_minor for invoice in invoices],
        [invoice.sale.supplied_at for invoice in invoices],
        [invoice.issued_at for invoice in invoices],
    )
    await _add_lines(tx, invoices)


async def _add_lines(tx: Tx, invoices: Sequence[Invoice]) -> None:
    services = [invoice.sale.service for invoice in invoices]
    await tx.execute(
        INSERT_LINES,
        [invoice.invoice_id for invoice in invoices],
        [service.code for service in services],
        [service.name for service in services],
        [service.vehicle_id for service in services],
        [service.kind.value for service in services],
        [service.duration_days for service in services],
        [invoice.amount.rate_bp for invoice in invoices],
        [invoice.amount.base_minor for invoice in invoices],
        [invoice.amount.vat_minor for invoice in invoices],
        [invoice.amount.total_minor for invoice in invoices],
    )
