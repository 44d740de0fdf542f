"""Reads the customer out of rows that name the columns `customer_*`, as all tables of facts do."""

from asyncpg import Record

from caas_billing.domain.sale import Customer


def customer_of(row: Record) -> Customer:
    """The customer that a row names."""
    return Customer(
        row["customer_id"],
        row["customer_name"],
        row["customer_email"],
        row["customer_tax_id"],
        row["customer_language"],
    )
