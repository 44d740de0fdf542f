"""Subscriptions and what they owe, as people read them."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from caas_billing.domain.receivable import AskedBy, ReceivableStatus
from caas_billing.domain.subscription import SubscriptionStatus
from caas_contracts.money import Money


@dataclass(frozen=True, slots=True)
class OwedAttempt:
    """One attempt at an invoice; `outcome` is null while nothing is known of it."""

    attempt: int
    payment_id: UUID | None
    asked_by: AskedBy
    asked_at: datetime
    outcome: str | None
    reason: str | None
    known_at: datetime | None


@dataclass(frozen=True, slots=True)
class OwedInvoice:
    """A monthly invoice's money. `action_url` is where its customer answers the bank, while that is awaited (PAY-9)."""

    invoice_id: UUID
    number: str
    period: str
    amount: Money
    due_on: date
    status: ReceivableStatus
    next_attempt_at: datetime | None
    in_collections: bool
    action_url: str | None
    action_expires_at: datetime | None
    attempts: list[OwedAttempt]


@dataclass(frozen=True, slots=True)
class SubscriptionView:
    """A subscription as it stands. `next_period` is the month that is billed next, from `next_billing_at` on.

    `new_method_needed`: the payment method was refused for good, and nothing is charged until there is another one.
    """

    subscription_id: UUID
    customer_id: str
    vehicle_id: str
    service_code: str
    service_name: str
    plan_code: str
    plan_version: int
    status: SubscriptionStatus
    started_at: datetime
    ended_at: datetime | None
    next_period: str | None
    next_billing_at: datetime | None
    new_method_needed: bool
    invoices: list[OwedInvoice]


@dataclass(frozen=True, slots=True)
class Collection:
    """An invoice that was given to collections, and by whom it is owed; `settled_at` when it was paid after all."""

    collection_id: UUID
    invoice_id: UUID
    invoice_number: str
    subscription_id: UUID
    customer_id: str
    customer_name: str
    customer_email: str
    customer_tax_id: str | None
    vehicle_id: str
    service_code: str
    period: str
    due_on: date
    amount: Money
    attempts: int
    last_reason: str
    opened_at: datetime
    settled_at: datetime | None
    settled_payment_id: UUID | None
