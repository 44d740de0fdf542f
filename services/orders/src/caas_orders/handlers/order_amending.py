"""How facts change vehicle orders: lock, let the domain decide, write back, publish, call and tell; in one step.

Orders are locked first, in the order of their ids, then their vehicles, by number: nobody can deadlock. What the
order and its vehicle become commits together (FIN-4).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from caas_chassis.cause import Cause
from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertKind
from caas_orders.domain.order_status import VehicleOrderStatus
from caas_orders.domain.sales_policy import SalesPolicy
from caas_orders.domain.stock import Assignment, StockVehicle, VehicleChange, built_for
from caas_orders.domain.vehicle_order import OrderChange, StockMove, VehicleOrder
from caas_orders.handlers.errands import enqueue_errand
from caas_orders.handlers.order_telling import ToTell, tell_about_order
from caas_orders.store import registrations, stock, vehicle_orders

DEADLINE_TIMER: Final = "final-payment-deadline"
_AWAITED: Final = frozenset({VehicleOrderStatus.RESERVING, VehicleOrderStatus.PAYING})


@dataclass(frozen=True, slots=True)
class CausedChange:
    """A change of one order, the order before it (None for a new one), and what caused it."""

    before: VehicleOrder | None
    change: OrderChange
    cause: Cause


@dataclass(slots=True)
class _Vehicles:
    """The vehicles that a transaction has locked, as they become, and the entries of their history."""

    locked: dict[str, StockVehicle]
    now: dict[str, StockVehicle]
    assignments: list[Assignment] = field(default_factory=list)

    def apply(self, change: VehicleChange) -> None:
        self.now[change.vehicle.vehicle_id] = change.vehicle
        self.assignments += change.assignments


async def amend_orders[F](
    facts: Sequence[tuple[UUID, F, Cause]],
    verb: Callable[[VehicleOrder, F], OrderChange],
    policy: SalesPolicy,
    *,
    tx: Tx,
    vehicle_ids: Collection[str] = (),
) -> dict[UUID, VehicleOrder]:
    """Apply facts, given with the order they are about and their cause, in their order; returns the orders.

    Facts about other things than vehicle orders are skipped. `vehicle_ids` are vehicles that the facts name.
    """
    if not facts:
        return {}
    locked = await vehicle_orders.lock(sorted({order_id for order_id, _, _ in facts}), tx=tx)
    vehicles = await _lock_vehicles(locked, vehicle_ids, tx=tx)
    present = dict(locked)
    changes: list[CausedChange] = []
    for order_id, fact, cause in facts:
        if order_id in present:
            before = present[order_id]
            change = _with_vehicle(before, verb(before, fact), vehicles, tx)
            present[order_id] = change.order
            changes.append(CausedChange(before, change, cause))
    for order_id, order in present.items():
        if order is not locked[order_id]:
            await vehicle_orders.save(order, tx=tx)
    await _write_vehicles(vehicles, tx=tx)
    await announce_orders(changes, policy, tx=tx)
    return present


async def announce_orders(changes: Sequence[CausedChange], policy: SalesPolicy, *, tx: Tx) -> None:
    """Publish what changes ask for, set deadlines, call partners, wake who waits, tell customers and operations."""
    wanted = {one.change.order.customer_id for one in changes if one.change.notices or one.change.errands}
    customers = await registrations.customers(sorted(wanted), tx=tx) if wanted else {}
    for one in changes:
        change, order = one.change, one.change.order
        for message in change.messages:
            tx.publish(message, cause=one.cause)
        for kind, detail in change.alerts:
            tx.alert(kind, str(order.order_id), detail, cause=one.cause)
        for errand in change.errands:
            enqueue_errand(errand, order, customers[order.customer_id], one.cause, tx=tx)
        _set_deadline(one, tx)
        if one.before is not None and one.before.status in _AWAITED and order.status is not one.before.status:
            tx.notify(order_waiting_key(order.order_id))
        for notice in change.notices:
            told = ToTell(order, customers[order.customer_id], notice, one.cause)
            await tell_about_order(told, policy, tx=tx)


def order_waiting_key(order_id: UUID) -> str:
    """What an HTTP request that waits for the outcome of a payment of this order listens to."""
    return f"vehicle-order:{order_id}"


async def _lock_vehicles(orders: dict[UUID, VehicleOrder], vehicle_ids: Collection[str], *, tx: Tx) -> _Vehicles:
    named = {order.vehicle_id for order in orders.values() if order.vehicle_id is not None} | set(vehicle_ids)
    locked = await stock.lock(sorted(named), tx=tx) if named else {}
    return _Vehicles(locked, dict(locked))


def _with_vehicle(before: VehicleOrder, change: OrderChange, vehicles: _Vehicles, tx: Tx) -> OrderChange:
    """Do to the vehicle what the change of its order means for it, and publish that it is on sale."""
    order = change.order
    if change.stock is None:
        return change
    assert order.vehicle_id is not None
    if change.stock is StockMove.ASSIGN and order.vehicle_id in vehicles.now:
        detail = f"the factory names vehicle {order.vehicle_id}, which another order has or had: ask the factory"
        return OrderChange(before).alerting(AlertKind.PARTNER_REFUSED, detail)
    moved = _moved(change.stock, order, vehicles, tx)
    vehicles.apply(moved)
    return change if moved.event is None else change.publishing(moved.event)


def _moved(move: StockMove, order: VehicleOrder, vehicles: _Vehicles, tx: Tx) -> VehicleChange:
    assert order.vehicle_id is not None
    if move is StockMove.ASSIGN:
        return built_for(order.vehicle_id, order.terms, order.order_id, order.customer_id, tx.now)
    vehicle = vehicles.now[order.vehicle_id]
    if vehicle.order_id != order.order_id:
        raise RuntimeError(f"vehicle {vehicle.vehicle_id} is not that of vehicle order {order.order_id}")
    match move:
        case StockMove.GIVE_BACK:
            return vehicle.give_back(order.reason, tx.now)
        case StockMove.FORFEIT:
            return vehicle.forfeit(order.reason, tx.now)
        case StockMove.SELL:
            return vehicle.sell(tx.now)


async def _write_vehicles(vehicles: _Vehicles, *, tx: Tx) -> None:
    for vehicle_id, vehicle in vehicles.now.items():
        if vehicle_id not in vehicles.locked:
            await stock.insert(vehicle, tx=tx)
        elif vehicle is not vehicles.locked[vehicle_id]:
            await stock.save(vehicle, tx=tx)
    for assignment in vehicles.assignments:
        await stock.add_assignment(assignment, tx=tx)


def _set_deadline(one: CausedChange, tx: Tx) -> None:
    """FIN-6: the deadline runs while the order is ready, not while a payment is under way."""
    order = one.change.order
    was_ready = one.before is not None and one.before.status is VehicleOrderStatus.READY
    if order.status is VehicleOrderStatus.READY:
        assert order.pay_before is not None
        tx.schedule(DEADLINE_TIMER, str(order.order_id), order.pay_before, cause=one.cause)
    elif was_ready:
        tx.unschedule(DEADLINE_TIMER, str(order.order_id))
