"""The partners behind a vehicle order, as interfaces: factory, registration (administration), transport.

Every call names our reference (`order_id`, with the submission's number for the registration) and may be made
any number of times: the partner acts once, and each call tells how the matter stands now. So a lost answer is
asked for again by the same call. No call raises for a partner's failure; that is `Unanswered`.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Nobody knows: the partner is down, slow, its answer was lost or is nonsense. Asked again, never given up."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The partner refuses this for good, with a reason that a person has to act upon (a stable code)."""

    reason: str


class FactoryOrder(BaseModel):
    """The task of ordering one vehicle. `order_id` is our reference: one vehicle, however often it is sent."""

    order_id: UUID
    model: str
    options: list[str]
    dealership: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class FactoryAccepted:
    """The factory builds it (RES-2)."""

    factory_order_id: str
    estimated_delivery_on: date | None


FactoryAnswer = FactoryAccepted | Refused | Unanswered


class Factory(Protocol):
    """The factory. What happens later it tells by webhook: see `caas_orders.domain.factory_event`."""

    async def order(self, order: FactoryOrder) -> FactoryAnswer:
        """Order, or learn that it was ordered; within the adapter's own deadline."""
        ...


class RegistrationRequest(BaseModel):
    """The task of registering one vehicle in one person's name (FIN-3).

    The reference is `{order_id}:{submission}`; a corrected application is the next submission.
    """

    order_id: UUID
    submission: int
    vin: str
    model: str
    customer_name: str
    customer_tax_id: str | None
    attempt: int = 1

    @property
    def reference(self) -> str:
        """What the administration knows this application by."""
        return f"{self.order_id}:{self.submission}"


@dataclass(frozen=True, slots=True)
class RegistrationPending:
    """The administration has the application; it may take days."""

    registration_id: str


@dataclass(frozen=True, slots=True)
class RegistrationGranted:
    """Registered, with these plates."""

    registration_id: str
    plates: str


@dataclass(frozen=True, slots=True)
class RegistrationRejected:
    """Rejected, with a reason for a person to fix and submit again."""

    registration_id: str
    reason: str


RegistrationAnswer = RegistrationPending | RegistrationGranted | RegistrationRejected | Refused | Unanswered


class Registration(Protocol):
    """The administration that registers vehicles."""

    async def register(self, request: RegistrationRequest) -> RegistrationAnswer:
        """Apply, or learn how the application stands; within the adapter's own deadline."""
        ...


class TransportBooking(BaseModel):
    """The task of having one vehicle brought to its customer (FIN-3). `order_id` is our reference."""

    order_id: UUID
    vin: str
    plates: str
    dealership: str
    customer_name: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class TransportBooked:
    """Transport has taken the booking and says on which day it delivers."""

    booking_id: str
    delivery_on: date


@dataclass(frozen=True, slots=True)
class TransportDelivered:
    """The customer has the vehicle."""

    booking_id: str
    delivered_at: datetime


TransportAnswer = TransportBooked | TransportDelivered | Refused | Unanswered


class Transport(Protocol):
    """The transport company."""

    async def book(self, booking: TransportBooking) -> TransportAnswer:
        """Book, or learn how the booking stands; within the adapter's own deadline."""
        ...


@dataclass(frozen=True, slots=True)
class Suppliers:
    """The three partners behind vehicle orders."""

    factory: Factory
    registration: Registration
    transport: Transport
