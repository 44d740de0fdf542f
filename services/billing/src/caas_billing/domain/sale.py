"""What is sold and paid: the facts an invoice is made of, which may become known in any order."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from caas_billing.domain.monthly import SoldSubscription
from caas_contracts.money import Money
from caas_contracts.orders import PurchaseKind


@dataclass(frozen=True, slots=True)
class Customer:
    """Who an invoice is for, as named when the purchase or order was placed; `language` is ISO 639-1."""

    customer_id: str
    name: str
    email: str
    tax_id: str | None
    language: str


@dataclass(frozen=True, slots=True)
class SoldPeriod:
    """One period of a recurring service, counted from 1 (REC-1); it begins when it is supplied."""

    number: int
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class SoldService:
    """The service, the vehicle it runs in, and for how many days or which period (neither: for good)."""

    code: str
    name: str
    vehicle_id: str
    kind: PurchaseKind
    duration_days: int | None
    period: SoldPeriod | None = None


@dataclass(frozen=True, slots=True)
class SoldVehicle:
    """The vehicle as ordered; `vin` and `plates` are known once it is built and registered (INV-1)."""

    model: str
    name: str
    options: tuple[str, ...]
    dealership: str
    vin: str | None
    plates: str | None


type Sold = SoldService | SoldVehicle | SoldSubscription


@dataclass(frozen=True, slots=True)
class Sale:
    """A purchase, or a further period of one, that is delivered and paid: everything its invoice says.

    `captured` is what the customer paid, VAT included; `supplied_at` is when the service, or its period, starts.
    """

    payment_id: UUID
    purchase_id: UUID
    customer: Customer
    service: SoldService
    vat_rate_bp: int
    captured: Money
    supplied_at: datetime


@dataclass(frozen=True, slots=True)
class VehiclePayment:
    """A reservation or a final payment that payments has confirmed: `paid` includes VAT."""

    payment_id: UUID
    paid: Money
    paid_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleSale:
    """A vehicle order with what was paid of it so far; `price` is the whole price, VAT included.

    `final` and `registered_at` are known once the vehicle is paid and has its plates (FIN-3).
    """

    order_id: UUID
    customer: Customer
    vehicle: SoldVehicle
    vat_rate_bp: int
    price: Money
    agreed_reservation: Money
    reservation: VehiclePayment
    final: VehiclePayment | None = None
    registered_at: datetime | None = None

    @property
    def is_paid_as_agreed(self) -> bool:
        """Whether each payment is what the order says: the reservation, and the price less it (FIN-1)."""
        if self.reservation.paid != self.agreed_reservation:
            return False
        return self.final is None or self.final.paid == self.price - self.agreed_reservation

    @property
    def last_payment_id(self) -> UUID:
        """The payment that its next invoice is of."""
        return self.final.payment_id if self.final else self.reservation.payment_id
