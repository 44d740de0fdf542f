"""What is sold and paid: the two facts an invoice is made of, which may become known in either order."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from caas_contracts.money import Money
from caas_contracts.orders import PurchaseKind


@dataclass(frozen=True, slots=True)
class Customer:
    """Who an invoice is for, as named when the purchase was placed; `language` is ISO 639-1."""

    customer_id: str
    name: str
    email: str
    tax_id: str | None
    language: str


@dataclass(frozen=True, slots=True)
class SoldService:
    """The service, the vehicle it runs in, and for how many days (None: for good)."""

    code: str
    name: str
    vehicle_id: str
    kind: PurchaseKind
    duration_days: int | None


@dataclass(frozen=True, slots=True)
class Sale:
    """A purchase whose price was captured: everything its invoice says.

    `captured` is what the customer paid, VAT included; `supplied_at` is when the service started.
    """

    payment_id: UUID
    purchase_id: UUID
    customer: Customer
    service: SoldService
    vat_rate_bp: int
    captured: Money
    supplied_at: datetime
