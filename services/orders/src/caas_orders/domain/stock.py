"""A vehicle that exists, who has it, and every change of that (FIN-4, RES-6).

Invariant: one order has it at most; only a vehicle that is on sale can be claimed, and what is sold stays sold.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from caas_contracts.vehicle_orders import VehicleAvailable
from caas_orders.domain.order_status import VEHICLE_TRANSITIONS, VehicleStatus
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.terms import Terms


@dataclass(frozen=True, slots=True)
class StockVehicle:
    """A vehicle as stored; `vehicle_id` is its identification number. `order_id` is the order that has it."""

    vehicle_id: str
    terms: Terms
    status: VehicleStatus
    order_id: UUID | None
    customer_id: str | None
    updated_at: datetime
    version: int = 1

    def claim(self, order_id: UUID, customer_id: str, now: datetime) -> "VehicleChange | Refusal":
        """RES-6: take it from stock for an order, before anything is charged; the first one gets it."""
        if self.status is not VehicleStatus.AVAILABLE_STOCK:
            return Refusal(RefusalCode.VEHICLE_NOT_AVAILABLE, f"vehicle {self.vehicle_id} is not on sale any more")
        return VehicleChange(self).moved(VehicleStatus.RESERVED, "reservation", now, (order_id, customer_id))

    def give_back(self, reason: str, now: datetime) -> "VehicleChange":
        """The reservation was not paid: on sale again, as if it had never been claimed."""
        return VehicleChange(self).moved(VehicleStatus.AVAILABLE_STOCK, reason, now, None)

    def forfeit(self, reason: str, now: datetime) -> "VehicleChange":
        """FIN-4: taken from its order and on sale at once; both steps are in its history."""
        assert self.order_id is not None
        change = VehicleChange(self).moved(VehicleStatus.SIN_ASIGNAR, reason, now, None)
        change = change.moved(VehicleStatus.AVAILABLE_STOCK, reason, now, None)
        return replace(change, event=_available(self, self.order_id, now))

    def sell(self, now: datetime) -> "VehicleChange":
        """FIN-3: paid in full."""
        assert self.order_id is not None
        assert self.customer_id is not None
        return VehicleChange(self).moved(VehicleStatus.SOLD, "paid", now, (self.order_id, self.customer_id))


@dataclass(frozen=True, slots=True)
class Assignment:
    """From this instant on the vehicle was in this state with this order and customer, and why."""

    vehicle_id: str
    status: VehicleStatus
    order_id: UUID | None
    customer_id: str | None
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class VehicleChange:
    """A vehicle after a verb, the entries of its history, and the fact to publish."""

    vehicle: StockVehicle
    assignments: tuple[Assignment, ...] = ()
    event: VehicleAvailable | None = None

    def moved(
        self, status: VehicleStatus, reason: str, now: datetime, holder: tuple[UUID, str] | None
    ) -> "VehicleChange":
        """One more step. Raises ValueError for one that the table does not have."""
        before = self.vehicle
        if status not in VEHICLE_TRANSITIONS[before.status]:
            raise ValueError(f"vehicle {before.vehicle_id} cannot go from {before.status} to {status}")
        order_id, customer_id = holder or (None, None)
        vehicle = replace(before, status=status, order_id=order_id, customer_id=customer_id, updated_at=now)
        return replace(self, vehicle=vehicle, assignments=(*self.assignments, _assignment(vehicle, reason)))


def built_for(vehicle_id: str, terms: Terms, order_id: UUID, customer_id: str, now: datetime) -> VehicleChange:
    """A vehicle the factory has built for an order."""
    vehicle = StockVehicle(vehicle_id, terms, VehicleStatus.ASSIGNED, order_id, customer_id, now)
    return VehicleChange(vehicle, (_assignment(vehicle, "built"),))


def _assignment(vehicle: StockVehicle, reason: str) -> Assignment:
    return Assignment(
        vehicle.vehicle_id, vehicle.status, vehicle.order_id, vehicle.customer_id, reason, vehicle.updated_at
    )


def _available(vehicle: StockVehicle, former_order_id: UUID, now: datetime) -> VehicleAvailable:
    terms = vehicle.terms
    return VehicleAvailable(
        vehicle_id=vehicle.vehicle_id,
        model=terms.model,
        options=list(terms.options),
        dealership=terms.dealership,
        total=terms.total,
        reservation=terms.reservation,
        former_order_id=former_order_id,
        occurred_at=now,
    )
