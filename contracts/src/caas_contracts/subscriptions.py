"""Post-paid monthly services (*mes vencido*, SUB): their terms, their use, and what billing makes of both.

Quantities and rates are decimal text with at most six decimals, never floats. A rate is in minor units of the
plan's currency per unit, VAT included: "3.5" is 3.5 cents for each unit.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from caas_contracts.billing import DocumentNumber
from caas_contracts.message import UUID, Code, Instant, Message, NoCardData, Part, Token
from caas_contracts.money import Currency, Money
from caas_contracts.topics import BILLING_EVENTS, ORDERS_EVENTS, VEHICLE_USAGE

DecimalText = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$")]
"""An exact number that is at least zero: "12", "0.25"."""
PeriodText = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="a calendar month, 2026-10")]
DateText = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="a calendar day, 2026-10-31")]


class RatePlanKind(StrEnum):
    """SUB-3. Readers park a kind that they do not know."""

    PER_USE = "per_use"
    PER_DAY_USED = "per_day_used"
    FLAT_MONTHLY = "flat_monthly"
    TIERED = "tiered"


class RateTier(Part):
    """One step of a tiered plan: what lies above the step before and up to `up_to` costs `rate` per unit."""

    up_to: DecimalText | None = Field(description="the last quantity of this step; none for the last step")
    rate: DecimalText


class RatePlan(Part):
    """One version of a rate plan (SUB-3). It is in force from the first instant of the month `effective_from`.

    `rate` is per unit (per_use), per day with any use (per_day_used) or per month (flat_monthly); a tiered plan has
    `tiers` instead, each priced for the quantity inside it. `unit` is what usage is counted in; flat plans
    take any usage without charging for it. A version never changes; a new price is a new version (SUB-3).
    """

    plan_code: Code
    version: Annotated[int, Field(ge=1)]
    kind: RatePlanKind
    currency: Currency
    unit: Code | None = None
    rate: DecimalText | None = None
    tiers: list[RateTier] = Field(default_factory=list)
    effective_from: PeriodText


class RatePlanPublished(Message):
    """A version of a rate plan: subscriptions of the plan are rated by it in periods from `effective_from` on."""

    TYPE: ClassVar[str] = "caas.orders.RatePlanPublished.v1"
    TOPIC: ClassVar = ORDERS_EVENTS
    KEY: ClassVar[str] = "plan_code"

    plan_code: Code
    plan: RatePlan
    occurred_at: Instant


class SubscriptionStarted(Message):
    """The car applied a subscribed service: from `started_at` on its use is billed monthly (SUB-1).

    `plan` is the version that the customer agreed to; prices include VAT at `vat_rate_bp` (per ten thousand).
    """

    TYPE: ClassVar[str] = "caas.orders.SubscriptionStarted.v1"
    TOPIC: ClassVar = ORDERS_EVENTS
    KEY: ClassVar[str] = "subscription_id"

    subscription_id: UUID = Field(description="the purchase that subscribed")
    customer_id: Code
    customer_name: Annotated[str, Field(max_length=200), NoCardData]
    customer_email: Annotated[str, Field(max_length=320), NoCardData]
    customer_tax_id: Annotated[str, Field(max_length=20, description="NIF or VAT number"), NoCardData] | None = None
    customer_language: Annotated[str, Field(pattern=r"^[a-z]{2}$", description="ISO 639-1")] = "es"
    vehicle_id: Code
    service_code: Code
    service_name: Annotated[str, Field(max_length=200), NoCardData]
    plan: RatePlan
    vat_rate_bp: Annotated[int, Field(ge=0, le=10_000)]
    payment_method: Token
    activation_id: UUID
    started_at: Instant
    occurred_at: Instant


class SubscriptionCancelled(Message):
    """The customer gave the subscription up: use until `cancelled_at` is billed at the month's end (SUB-7).

    The service is being deactivated; nothing that was billed is given back.
    """

    TYPE: ClassVar[str] = "caas.orders.SubscriptionCancelled.v1"
    TOPIC: ClassVar = ORDERS_EVENTS
    KEY: ClassVar[str] = "subscription_id"

    subscription_id: UUID
    customer_id: Code
    vehicle_id: Code
    service_code: Code
    cancelled_at: Instant
    occurred_at: Instant


class UsageReported(Message):
    """A subscribed service was used: delivered at least once, maybe late, in any order (SUB-2).

    `subject_id` is a subscription's id, or a vehicle's when `service_code` is given. The same `usage_id` of one
    subject is the same use, whenever and however often it arrives.
    """

    TYPE: ClassVar[str] = "caas.vehicle.UsageReported.v1"
    TOPIC: ClassVar = VEHICLE_USAGE
    KEY: ClassVar[str] = "subject_id"

    usage_id: UUID
    subject_id: Code
    service_code: Code | None = None
    occurred_at: Instant
    quantity: DecimalText
    unit: Code


class SubscriptionInvoiceEvent(Message):
    """What every fact about the payment of a monthly invoice says."""

    TOPIC: ClassVar = BILLING_EVENTS
    KEY: ClassVar[str] = "subscription_id"

    subscription_id: UUID
    customer_id: Code
    vehicle_id: Code
    service_code: Code
    invoice_id: UUID
    invoice_number: DocumentNumber
    period: PeriodText
    amount: Money
    occurred_at: Instant


class SubscriptionPaid(SubscriptionInvoiceEvent):
    """A monthly invoice was paid by its `attempt`-th payment; `late` when it had gone to collections already."""

    TYPE: ClassVar[str] = "caas.billing.SubscriptionPaid.v1"

    payment_id: UUID
    attempt: Annotated[int, Field(ge=1)]
    late: bool = False


class SubscriptionPaymentFailed(SubscriptionInvoiceEvent):
    """An attempt at a monthly invoice failed (SUB-6); `next_attempt_at` is none after the last one.

    `new_method_needed`: the payment method itself was refused (lost card, closed account); it is not charged
    again, and without another one the coming attempts fail without asking the gateway.
    """

    TYPE: ClassVar[str] = "caas.billing.SubscriptionPaymentFailed.v1"

    payment_id: UUID | None = Field(description="none when no payment was asked for, lacking a usable method")
    attempt: Annotated[int, Field(ge=1)]
    reason: Code
    new_method_needed: bool
    next_attempt_at: Instant | None


class SubscriptionPaymentNeedsCustomer(SubscriptionInvoiceEvent):
    """The bank wants to hear from the customer (PAY-9): the payment waits until `expires_at` for the link's use."""

    TYPE: ClassVar[str] = "caas.billing.SubscriptionPaymentNeedsCustomer.v1"

    payment_id: UUID
    attempt: Annotated[int, Field(ge=1)]
    action_url: Annotated[str, Field(max_length=500), NoCardData]
    expires_at: Instant


class SubscriptionCancelledForNonpayment(Message):
    """The last attempt failed (SUB-6): the service is being deactivated, `outstanding` went to collections."""

    TYPE: ClassVar[str] = "caas.billing.SubscriptionCancelledForNonpayment.v1"
    TOPIC: ClassVar = BILLING_EVENTS
    KEY: ClassVar[str] = "subscription_id"

    subscription_id: UUID
    customer_id: Code
    vehicle_id: Code
    service_code: Code
    outstanding: Money
    cancelled_at: Instant
    occurred_at: Instant


class CollectionOpened(SubscriptionInvoiceEvent):
    """An unpaid invoice was given to collections (SUB-6), with who owes it."""

    TYPE: ClassVar[str] = "caas.billing.CollectionOpened.v1"

    collection_id: UUID
    customer_name: Annotated[str, Field(max_length=200), NoCardData]
    customer_tax_id: Annotated[str, Field(max_length=20), NoCardData] | None
    attempts: Annotated[int, Field(ge=1)]
    due_on: DateText


class CollectionSettled(SubscriptionInvoiceEvent):
    """An invoice in collections was paid after all: whoever collects has to stop."""

    TYPE: ClassVar[str] = "caas.billing.CollectionSettled.v1"

    collection_id: UUID
    payment_id: UUID


class BillingRunFinished(Message):
    """Every due subscription of a period is closed (SUB-8): what was invoiced, and how many owed nothing (SUB-5)."""

    TYPE: ClassVar[str] = "caas.billing.BillingRunFinished.v1"
    TOPIC: ClassVar = BILLING_EVENTS
    KEY: ClassVar[str] = "run_id"

    run_id: UUID
    period: PeriodText
    subscriptions: Annotated[int, Field(ge=0)]
    invoices: Annotated[int, Field(ge=0)]
    without_charge: Annotated[int, Field(ge=0)]
    invoiced: list[Money] = Field(description="one sum per currency")
    started_at: Instant
    finished_at: Instant


MESSAGES: tuple[type[Message], ...] = (
    RatePlanPublished,
    SubscriptionStarted,
    SubscriptionCancelled,
    UsageReported,
    SubscriptionPaid,
    SubscriptionPaymentFailed,
    SubscriptionPaymentNeedsCustomer,
    SubscriptionCancelledForNonpayment,
    CollectionOpened,
    CollectionSettled,
    BillingRunFinished,
)
