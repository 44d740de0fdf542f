"""What orders may be asked (commands) and what has happened to purchases and vehicles (events)."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from caas_contracts.message import UUID, Code, Instant, Message, NoCardData, Token
from caas_contracts.money import Money
from caas_contracts.topics import ORDERS_COMMANDS, ORDERS_EVENTS


class PurchaseKind(StrEnum):
    """How long the customer buys the service for."""

    TEMPORARY = "temporary"
    PERMANENT = "permanent"
    PLANNED = "planned"
    """Paid at once, activated on a date (PLN-1): for a time, for ever, or recurring from then on (PLN-2)."""
    RECURRING = "recurring"
    """Paid and active now for a period of months, and renewed by itself (REC-1)."""
    SUBSCRIPTION = "subscription"
    """Post-paid: nothing is charged now; its use is billed monthly (SUB-1)."""


class PlacePurchase(Message):
    """Buy one service for one vehicle, as `POST /purchases` does (SVC-3); from systems that sell for us.

    `duration_days` is required for temporary purchases and absent for permanent ones; the price is the
    catalogue's, never the caller's. Planned purchases have `starts_on`, and a duration, a recurrence or neither;
    recurring ones have `period_months`.
    """

    TYPE: ClassVar[str] = "caas.orders.PlacePurchase.v1"
    TOPIC: ClassVar = ORDERS_COMMANDS
    KEY: ClassVar[str] = "purchase_id"

    purchase_id: UUID
    customer_id: Code
    vehicle_id: Code
    service_code: Code
    kind: PurchaseKind
    duration_days: Annotated[int, Field(ge=1, le=3660)] | None = None
    starts_on: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="begins with this day")] | None = None
    time_zone: Annotated[str, Field(max_length=64, description="IANA name of the customer's"), NoCardData] = (
        "Europe/Madrid"
    )
    period_months: Annotated[int, Field(ge=1, le=12, description="of a recurrence (REC-1)")] | None = None
    payment_method: Token
    immediate_performance_consent: bool = Field(description="DES-8: consent, and knowledge of what it means")
    requested_at: Instant


class CancelPurchase(Message):
    """The customer gives a pending purchase up (SVC-11)."""

    TYPE: ClassVar[str] = "caas.orders.CancelPurchase.v1"
    TOPIC: ClassVar = ORDERS_COMMANDS
    KEY: ClassVar[str] = "purchase_id"

    purchase_id: UUID
    customer_id: Code
    reason: Code
    requested_at: Instant


class PurchaseEvent(Message):
    """What every fact about a purchase says."""

    TOPIC: ClassVar = ORDERS_EVENTS
    KEY: ClassVar[str] = "purchase_id"

    purchase_id: UUID
    customer_id: Code
    vehicle_id: Code
    service_code: Code
    price: Money
    occurred_at: Instant


class PurchasePlaced(PurchaseEvent):
    """A purchase was accepted: what is bought, for whom, at which price and VAT rate (per ten thousand).

    The price of a subscription is zero: its use is billed monthly by the plan in SubscriptionStarted.
    """

    TYPE: ClassVar[str] = "caas.orders.PurchasePlaced.v1"

    kind: PurchaseKind
    duration_days: int | None = None
    starts_at: Instant | None = Field(default=None, description="when a planned purchase is activated (PLN-1)")
    period_months: int | None = Field(default=None, description="of a recurring purchase; its price is per period")
    vat_rate_bp: Annotated[int, Field(ge=0, le=10_000, description="2100 is 21 %; the price includes it")]
    service_name: Annotated[str, Field(max_length=200), NoCardData]
    customer_name: Annotated[str, Field(max_length=200), NoCardData]
    customer_email: Annotated[str, Field(max_length=320), NoCardData]
    customer_tax_id: Annotated[str, Field(max_length=20, description="NIF or VAT number"), NoCardData] | None = None
    customer_language: Annotated[str, Field(pattern=r"^[a-z]{2}$", description="ISO 639-1")] = "es"
    payment_id: UUID | None = Field(default=None, description="none for subscriptions: nothing is paid yet (SUB-1)")
    activation_id: UUID


class PurchaseBlocked(PurchaseEvent):
    """The maintenance gate closed before any payment (SVC-2)."""

    TYPE: ClassVar[str] = "caas.orders.PurchaseBlocked.v1"

    reason: Code


class PurchaseDeclined(PurchaseEvent):
    """The payment was declined or refused: nothing activated, nothing charged (SVC-7)."""

    TYPE: ClassVar[str] = "caas.orders.PurchaseDeclined.v1"

    reason: Code


class PurchaseActivated(PurchaseEvent):
    """The service is active in the car, and paid or its loss written off (SVC-4, SVC-8)."""

    TYPE: ClassVar[str] = "caas.orders.PurchaseActivated.v1"

    charged: bool
    ends_at: Instant | None = None


class PurchaseFailed(PurchaseEvent):
    """The activation failed; `charged` is false, always (SVC-5)."""

    TYPE: ClassVar[str] = "caas.orders.PurchaseFailed.v1"

    reason: Code
    charged: bool = False
    refunded: Money | None = Field(default=None, description="what had been paid ahead and went back (PLN-1)")


class PurchaseCancelled(PurchaseEvent):
    """Given up in time; nothing is charged and nothing is active (SVC-11, THF-2)."""

    TYPE: ClassVar[str] = "caas.orders.PurchaseCancelled.v1"

    charged: bool = False
    refunded: Money | None = Field(default=None, description="what had been paid ahead and went back (PLN-1)")


class VehicleRegistered(Message):
    """A vehicle exists, belongs to a customer, and signs its acknowledgements with this Ed25519 key."""

    TYPE: ClassVar[str] = "caas.orders.VehicleRegistered.v1"
    TOPIC: ClassVar = ORDERS_EVENTS
    KEY: ClassVar[str] = "vehicle_id"

    vehicle_id: Code
    customer_id: Code
    model: Code
    equipment: list[Code]
    public_key: Annotated[
        str, Field(min_length=40, max_length=60, description="base64 of the raw 32 bytes"), NoCardData
    ]
    occurred_at: Instant


MESSAGES: tuple[type[Message], ...] = (
    PlacePurchase,
    CancelPurchase,
    PurchasePlaced,
    PurchaseBlocked,
    PurchaseDeclined,
    PurchaseActivated,
    PurchaseFailed,
    PurchaseCancelled,
    VehicleRegistered,
)
