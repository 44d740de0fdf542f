"""What the factory tells about a vehicle that it builds for us; events may come twice and in any order.

Each says all it knows (its own order id, the vehicle's number), so that a later one makes up for an earlier.
"""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class EstimateChanged:
    """The factory expects to deliver on another day."""

    estimated_delivery_on: date


@dataclass(frozen=True, slots=True)
class Built:
    """The vehicle exists; `vin` is its identification number."""

    vin: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """The vehicle is at the dealership (FIN-1)."""

    vin: str


type FactoryFact = EstimateChanged | Built | Arrived


@dataclass(frozen=True, slots=True)
class FactoryEvent:
    """One event of the factory's feed. `order_id` is our reference, which the factory was given with the order.

    `event_id` is the factory's (the webhook's id), `occurred_at` the factory's instant of the fact.
    """

    event_id: str
    order_id: UUID
    factory_order_id: str
    occurred_at: datetime
    fact: FactoryFact
