"""Customers and their vehicles, as dealers and operators register them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from caas_contracts.orders import VehicleRegistered


class Language(StrEnum):
    """The languages customers are written to."""

    SPANISH = "es"
    ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Customer:
    """A person or company that buys. `tax_id` is a Spanish NIF/NIE/CIF or a foreign number, when known."""

    customer_id: str
    name: str
    email: str
    language: Language
    tax_id: str | None = None


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A car, its owner, what is built in, and the Ed25519 key (base64, raw) it signs its answers with.

    `stolen_at` is when it was reported stolen: nothing is sold for it from then on (THF).
    """

    vehicle_id: str
    customer_id: str
    model: str
    equipment: frozenset[str]
    public_key: str
    stolen_at: datetime | None = None

    def registered(self, now: datetime) -> VehicleRegistered:
        """The fact that tells the other services about this vehicle."""
        return VehicleRegistered(
            vehicle_id=self.vehicle_id,
            customer_id=self.customer_id,
            model=self.model,
            equipment=sorted(self.equipment),
            public_key=self.public_key,
            occurred_at=now,
        )
