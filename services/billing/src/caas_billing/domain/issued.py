"""Issued documents as people read them."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from caas_billing.domain.document import DocumentKind
from caas_billing.domain.mailing import MailingStatus
from caas_billing.domain.numbering import Series
from caas_contracts.billing import InvoiceKind
from caas_contracts.money import Money
from caas_contracts.orders import PurchaseKind
from caas_contracts.subscriptions import RatePlanKind


class Concept(StrEnum):
    """What a line of an invoice charges, or takes off."""

    SERVICE = "service"
    RESERVATION = "reservation"
    VEHICLE = "vehicle"
    DEDUCTION = "deduction"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, slots=True)
class IssuedLine:
    """One line of an invoice; `vat_rate_bp` 2100 is 21 %. Amounts are minor units, negative on a deduction.

    `code` is a service's, or a vehicle's model; a deduction is named by the invoice that it takes off. Of recurring
    services the period that is charged: its number, from 1, and its end; it starts when the invoice is supplied.
    """

    concept: Concept
    code: str
    name: str
    vehicle_id: str | None
    purchase_kind: PurchaseKind | None
    duration_days: int | None
    period_number: int | None
    period_ends_at: datetime | None
    options: list[str]
    plates: str | None
    deducted_invoice_id: UUID | None
    vat_rate_bp: int
    currency: str
    base_minor: int
    vat_minor: int
    total_minor: int


@dataclass(frozen=True, slots=True)
class IssuedUsageLine:
    """How a part of a monthly invoice was reckoned: quantity x rate, rounded once (SUB-3).

    `quantity` and `rate` are exact decimal text, the rate in minor units per unit, VAT included. `used_in` is a month,
    2026-10; earlier than the invoice's period for late usage. A step of a tiered plan prices what lies above
    `tier_above`, up to `tier_up_to` (none: all further). `usage_events` is how many uses were counted.
    """

    kind: RatePlanKind
    plan_code: str
    plan_version: int
    used_in: str
    unit: str | None
    quantity: str
    rate: str
    tier_above: str | None
    tier_up_to: str | None
    days: int | None
    days_in_month: int | None
    usage_events: int
    total_minor: int


@dataclass(frozen=True, slots=True)
class IssuedCreditNote:
    """One credit note; its amounts are positive and mean money given back."""

    credit_note_id: UUID
    number: str
    invoice_id: UUID
    refund_id: UUID
    reason: str
    base: Money
    vat: Money
    total: Money
    issued_at: datetime
    document_url: str


@dataclass(frozen=True, slots=True)
class IssuedInvoice:
    """One invoice with its lines and what corrects it.

    Of monthly invoices only: the month (2026-10), the due date, how the total was reckoned, the days with use. Their
    `payment_id` is the first that was asked for; later attempts have others (PAY-3).
    """

    invoice_id: UUID
    number: str
    kind: InvoiceKind
    customer_id: str
    customer_name: str
    subject_id: UUID
    payment_id: UUID
    base: Money
    vat: Money
    total: Money
    supplied_at: datetime
    issued_at: datetime
    document_url: str
    lines: list[IssuedLine]
    period: str | None
    due_on: date | None
    usage_lines: list[IssuedUsageLine]
    usage_days: list[date]
    credit_notes: list[IssuedCreditNote]


@dataclass(frozen=True, slots=True)
class SeriesState:
    """How far a series has come in a year, and the proof that no number is missing (INV-2)."""

    series: Series
    year: int
    last_position: int
    issued: int
    is_gap_free: bool
    last_issued_at: datetime


@dataclass(frozen=True, slots=True)
class UnsentMailing:
    """A document's e-mail that the mail server has not accepted."""

    document_id: UUID
    kind: DocumentKind
    number: str
    customer_id: str
    status: MailingStatus
    attempts: int
    last_answer: str
    changed_at: datetime
