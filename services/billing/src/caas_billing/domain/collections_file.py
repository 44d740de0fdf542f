"""The file that collections is given (SUB-6): CSV, UTF-8, with one line per unpaid invoice, safe to open anywhere.

A cell that a spreadsheet would take for a formula gets an apostrophe before it: names are written by customers.
"""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from caas_billing.domain.owed import Collection

COLUMNS: Final = (
    "collection_id",
    "invoice_number",
    "invoice_id",
    "subscription_id",
    "customer_id",
    "customer_name",
    "customer_email",
    "customer_tax_id",
    "vehicle_id",
    "service_code",
    "period",
    "due_on",
    "amount_minor",
    "currency",
    "attempts",
    "last_reason",
    "opened_at",
    "settled_at",
    "settled_payment_id",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def header() -> str:
    """The first line: the names of the columns."""
    return _written([COLUMNS])


def lines(collections: Iterable[Collection]) -> str:
    """One line per invoice; instants are UTC, amounts whole minor units, what is not known is empty."""
    return _written(_cells(one) for one in collections)


def _cells(one: Collection) -> tuple[str, ...]:
    values = (
        one.collection_id,
        one.invoice_number,
        one.invoice_id,
        one.subscription_id,
        one.customer_id,
        one.customer_name,
        one.customer_email,
        one.customer_tax_id,
        one.vehicle_id,
        one.service_code,
        one.period,
        one.due_on,
        one.amount.amount_minor,
        one.amount.currency,
        one.attempts,
        one.last_reason,
        one.opened_at,
        one.settled_at,
        one.settled_payment_id,
    )
    return tuple(_cell(value) for value in values)


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _written(rows: Iterable[Iterable[str]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue()
