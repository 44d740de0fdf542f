"""The columns in which orders and vehicles keep their terms: model to catalogue_version, in this order."""

from asyncpg import Record

from caas_contracts.money import Money
from caas_orders.domain.terms import Terms


def terms_values(terms: Terms) -> tuple[object, ...]:
    """The values of model, options, dealership, total_minor, reservation_minor, currency, vat_rate_bp, version."""
    return (
        terms.model,
        list(terms.options),
        terms.dealership,
        terms.total.amount_minor,
        terms.reservation.amount_minor,
        terms.total.currency,
        terms.vat_rate_bp,
        terms.catalogue_version,
    )


def terms_of(row: Record) -> Terms:
    """The terms of a row."""
    currency = row["currency"]
    return Terms(
        model=row["model"],
        options=tuple(row["options"]),
        dealership=row["dealership"],
        total=Money(amount_minor=row["total_minor"], currency=currency),
        reservation=Money(amount_minor=row["reservation_minor"], currency=currency),
        vat_rate_bp=row["vat_rate_bp"],
        catalogue_version=row["catalogue_version"],
    )
