"""Reads issued documents for people; a customer's reads are bounded to what is theirs (INV-4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_billing.domain.document import DocumentKind
from caas_billing.domain.issued import (
    Concept,
    IssuedCreditNote,
    IssuedInvoice,
    IssuedLine,
    IssuedUsageLine,
    SeriesState,
    UnsentMailing,
)
from caas_billing.domain.mailing import MailingStatus
from caas_billing.domain.monthly import UsageLine
from caas_billing.domain.numbering import Series
from caas_billing.store.monthly_invoices import usage_days, usage_lines
from caas_chassis.transaction import Tx
from caas_contracts.billing import InvoiceKind
from caas_contracts.money import Money
from caas_contracts.orders import PurchaseKind

LIST_INVOICES: Final = """
SELECT invoice_id, number, kind, customer_id, customer_name, subject_id, payment_id, invoice.currency, base_minor,
    vat_minor, total_minor, supplied_at, issued_at, period, due_on
FROM invoice LEFT JOIN receivable USING (invoice_id)
WHERE ($1::text IS NULL OR customer_id = $1) AND ($2::uuid IS NULL OR subject_id = $2)
    AND ($3::uuid IS NULL OR invoice_id = $3) AND ($4::uuid IS NULL OR invoice_id < $4)
ORDER BY invoice_id DESC LIMIT $5
"""

LIST_LINES: Final = """
SELECT l.invoice_id, l.concept, l.code, l.name, l.vehicle_id, l.purchase_kind, l.duration_days, l.period_number,
    l.period_ends_at, l.options, l.plates, l.deducted_invoice_id, l.vat_rate_bp, i.currency, l.base_minor, l.vat_minor,
    l.total_minor
FROM invoice_line l JOIN invoice i USING (invoice_id)
WHERE l.invoice_id = ANY($1::uuid[]) ORDER BY l.invoice_id, l.line
"""

LIST_CREDIT_NOTES: Final = """
SELECT c.credit_note_id, c.number, c.invoice_id, c.refund_id, c.reason, c.currency, c.base_minor, c.vat_minor,
    c.total_minor, c.issued_at
FROM credit_note c JOIN invoice i USING (invoice_id)
WHERE ($1::text IS NULL OR i.customer_id = $1)
    AND (c.invoice_id = ANY($2::uuid[]) OR c.credit_note_id = $3)
ORDER BY c.invoice_id, c.position
"""

LIST_SERIES: Final = """
SELECT s.series, s.year, s.last_position, s.last_issued_at, count(d.position) AS issued,
    count(d.position) = s.last_position AND max(d.position) = s.last_position AS is_gap_free
FROM series s
LEFT JOIN (
    SELECT series, year, position FROM invoice UNION ALL SELECT series, year, position FROM credit_note
) d USING (series, year)
GROUP BY s.series, s.year
ORDER BY s.year DESC, s.series
"""

LIST_UNSENT: Final = """
SELECT m.document_id, d.kind, coalesce(i.number, c.number) AS number, coalesce(i.customer_id, ci.customer_id)
    AS customer_id, m.status, m.attempts, m.last_answer, m.changed_at
FROM mailing m
JOIN document d USING (document_id)
LEFT JOIN invoice i ON i.invoice_id = m.document_id
LEFT JOIN credit_note c ON c.credit_note_id = m.document_id
LEFT JOIN invoice ci ON ci.invoice_id = c.invoice_id
WHERE m.status <> 'sent'
ORDER BY m.changed_at LIMIT $1
"""


@dataclass(frozen=True, slots=True)
class InvoiceFilter:
    """What to list, newest first; None does not restrict. `before` is the last invoice of the page before."""

    customer_id: str | None = None
    subject_id: UUID | None = None
    invoice_id: UUID | None = None
    before: UUID | None = None
    limit: int = 50


async def list_invoices(tx: Tx, wanted: InvoiceFilter) -> list[IssuedInvoice]:
    """Invoices with lines and credit notes, newest first, in five statements."""
    rows = await tx.fetch(
        LIST_INVOICES,
        wanted.customer_id,
        wanted.subject_id,
        wanted.invoice_id,
        wanted.before,
        wanted.limit,
    )
    ids = [row["invoice_id"] for row in rows]
    lines = _by_invoice(await tx.fetch(LIST_LINES, ids))
    notes = _by_invoice(await tx.fetch(LIST_CREDIT_NOTES, None, ids, None))
    usage, days = await usage_lines(tx, ids), await usage_days(tx, ids)
    return [
        _invoice(
            row,
            [_line(line) for line in lines.get(row["invoice_id"], [])],
            [_credit_note(note) for note in notes.get(row["invoice_id"], [])],
            [_usage_line(line) for line in usage.get(row["invoice_id"], [])],
            days.get(row["invoice_id"], []),
        )
        for row in rows
    ]


async def find_credit_note(tx: Tx, credit_note_id: UUID, customer_id: str | None) -> IssuedCreditNote | None:
    """The credit note, or None when there is none or its invoice is not this customer's."""
    rows = await tx.fetch(LIST_CREDIT_NOTES, customer_id, [], credit_note_id)
    return _credit_note(rows[0]) if rows else None


async def list_series(tx: Tx) -> list[SeriesState]:
    """Every series and year, newest first, with the count that proves it has no gap."""
    return [
        SeriesState(
            Series(row["series"]),
            row["year"],
            row["last_position"],
            row["issued"],
            bool(row["is_gap_free"]),
            row["last_issued_at"],
        )
        for row in await tx.fetch(LIST_SERIES)
    ]


async def list_unsent_mailings(tx: Tx, limit: int) -> list[UnsentMailing]:
    """E-mails that wait, were refused or were given up, the longest unchanged first."""
    return [
        UnsentMailing(
            row["document_id"],
            DocumentKind(row["kind"]),
            row["number"],
            row["customer_id"],
            MailingStatus(row["status"]),
            row["attempts"],
            row["last_answer"],
            row["changed_at"],
        )
        for row in await tx.fetch(LIST_UNSENT, limit)
    ]


def _by_invoice(rows: Sequence[Record]) -> dict[UUID, list[Record]]:
    grouped: dict[UUID, list[Record]] = {}
    for row in rows:
        grouped.setdefault(row["invoice_id"], []).append(row)
    return grouped


def _invoice(
    row: Record,
    lines: list[IssuedLine],
    notes: list[IssuedCreditNote],
    usage: list[IssuedUsageLine],
    days: list[date],
) -> IssuedInvoice:
    return IssuedInvoice(
        invoice_id=row["invoice_id"],
        number=row["number"],
        kind=InvoiceKind(row["kind"]),
        customer_id=row["customer_id"],
        customer_name=row["customer_name"],
        subject_id=row["subject_id"],
        payment_id=row["payment_id"],
        base=_money(row, "base_minor"),
        vat=_money(row, "vat_minor"),
        total=_money(row, "total_minor"),
        supplied_at=row["supplied_at"],
        issued_at=row["issued_at"],
        document_url=f"/invoices/{row['invoice_id']}/document",
        lines=lines,
        period=_month(row["period"]) if row["period"] else None,
        due_on=row["due_on"],
        usage_lines=usage,
        usage_days=days,
        credit_notes=notes,
    )


def _usage_line(line: UsageLine) -> IssuedUsageLine:
    return IssuedUsageLine(
        kind=line.kind,
        plan_code=line.plan_code,
        plan_version=line.plan_version,
        used_in=_month(line.used_in),
        unit=line.unit,
        quantity=_plain(line.quantity),
        rate=_plain(line.rate),
        tier_above=_plain(line.tier.above) if line.tier else None,
        tier_up_to=_plain(line.tier.up_to) if line.tier and line.tier.up_to is not None else None,
        days=line.days,
        days_in_month=line.days_in_month,
        usage_events=line.usage_events,
        total_minor=line.total_minor,
    )


def _month(day: date) -> str:
    return f"{day:%Y-%m}"


def _plain(number: Decimal) -> str:
    """Without zeros that say nothing, and never with an exponent."""
    return f"{number.normalize():f}"


def _line(row: Record) -> IssuedLine:
    kind = row["purchase_kind"]
    return IssuedLine(
        concept=Concept(row["concept"]),
        code=row["code"],
        name=row["name"],
        vehicle_id=row["vehicle_id"],
        purchase_kind=PurchaseKind(kind) if kind else None,
        duration_days=row["duration_days"],
        period_number=row["period_number"],
        period_ends_at=row["period_ends_at"],
        options=list(row["options"]),
        plates=row["plates"],
        deducted_invoice_id=row["deducted_invoice_id"],
        vat_rate_bp=row["vat_rate_bp"],
        currency=row["currency"],
        base_minor=row["base_minor"],
        vat_minor=row["vat_minor"],
        total_minor=row["total_minor"],
    )


def _credit_note(row: Record) -> IssuedCreditNote:
    return IssuedCreditNote(
        credit_note_id=row["credit_note_id"],
        number=row["number"],
        invoice_id=row["invoice_id"],
        refund_id=row["refund_id"],
        reason=row["reason"],
        base=_money(row, "base_minor"),
        vat=_money(row, "vat_minor"),
        total=_money(row, "total_minor"),
        issued_at=row["issued_at"],
        document_url=f"/credit-notes/{row['credit_note_id']}/document",
    )


def _money(row: Record, column: str) -> Money:
    return Money(amount_minor=row[column], currency=row["currency"])
