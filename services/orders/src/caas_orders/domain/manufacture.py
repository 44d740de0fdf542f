"""What the factory makes of an order (RES-2, RES-4): accepted, built, arrived, in whichever order it is told."""

from dataclasses import replace
from datetime import date, datetime

from caas_contracts.operations import AlertKind
from caas_contracts.vehicle_orders import VehicleBuilt, VehicleDeliveryEstimated, VehicleOrdered
from caas_orders.domain.factory_event import Arrived, Built, EstimateChanged, FactoryEvent
from caas_orders.domain.order_notice import OrderNoticeKind
from caas_orders.domain.order_status import VehicleOrderStatus
from caas_orders.domain.reserving import ready
from caas_orders.domain.sales_policy import SalesPolicy
from caas_orders.domain.vehicle_order import OrderChange, StockMove, VehicleOrder


def factory_accepted(
    order: VehicleOrder, factory_order_id: str, estimated_delivery_on: date | None, now: datetime
) -> OrderChange:
    """RES-2: ordered. An answer that the factory's own events have overtaken changes nothing."""
    if order.status is not VehicleOrderStatus.RESERVED:
        return OrderChange(order)
    known = replace(order, factory_order_id=factory_order_id, estimated_delivery_on=estimated_delivery_on, problem="")
    event = VehicleOrdered(
        **order.subject(now), factory_order_id=factory_order_id, estimated_delivery_on=_day(estimated_delivery_on)
    )
    change = OrderChange(known).to(VehicleOrderStatus.ORDERED, now).publishing(event)
    return change.noticing(OrderNoticeKind.ORDERED)


def factory_refused(order: VehicleOrder, reason: str, now: datetime) -> OrderChange:
    """RES-4: the order stays reserved; a person resolves it with the factory and has it sent again."""
    if order.status is not VehicleOrderStatus.RESERVED:
        return OrderChange(order)
    detail = f"the factory refuses the order: {reason}; resolve it and send it again, the reservation is paid"
    refused = replace(order, problem=reason, updated_at=now)
    return OrderChange(refused).alerting(AlertKind.PARTNER_REFUSED, detail)


def factory_told(order: VehicleOrder, event: FactoryEvent, policy: SalesPolicy, now: datetime) -> OrderChange:
    """Move the order as far as this event says. It may be the first word of the factory, or come twice.

    Before the reservation is paid, and for what contradicts the order, it changes nothing and operations look.
    """
    contradiction = _contradiction(order, event)
    if contradiction:
        return OrderChange(order).alerting(
            AlertKind.PARTNER_REFUSED, f"the factory's event is refused: {contradiction}"
        )
    estimate = event.fact.estimated_delivery_on if isinstance(event.fact, EstimateChanged) else None
    change = factory_accepted(order, event.factory_order_id, estimate, now)
    match event.fact:
        case EstimateChanged(estimated_delivery_on):
            return _estimated(change, estimated_delivery_on, event.occurred_at, now)
        case Built(vin):
            return _built(change, vin, now)
        case Arrived(vin):
            change = _built(change, vin, now)
            return ready(change, policy, now) if change.order.status is VehicleOrderStatus.BUILT else change


def _contradiction(order: VehicleOrder, event: FactoryEvent) -> str:
    if order.status in (VehicleOrderStatus.RESERVING, VehicleOrderStatus.DECLINED):
        return f"the vehicle order is {order.status}, nothing was ordered"
    if order.factory_order_id is None and order.status is not VehicleOrderStatus.RESERVED:
        return "the vehicle is from stock, nothing was ordered"
    if order.factory_order_id not in (None, event.factory_order_id):
        return f"it names factory order {event.factory_order_id} instead of {order.factory_order_id}"
    vin = None if isinstance(event.fact, EstimateChanged) else event.fact.vin
    if vin is not None and order.vehicle_id not in (None, vin):
        return f"it names vehicle {vin} instead of {order.vehicle_id}"
    return ""


def _estimated(change: OrderChange, day: date, stated_at: datetime, now: datetime) -> OrderChange:
    """Only the newest estimate counts, by the factory's own clock, and none after the vehicle has arrived."""
    order = change.order
    if order.status not in (VehicleOrderStatus.ORDERED, VehicleOrderStatus.BUILT):
        return change
    if order.estimated_at is not None and order.estimated_at >= stated_at:
        return change
    changed = order.estimated_delivery_on != day
    known = replace(order, estimated_delivery_on=day, estimated_at=stated_at, updated_at=now)
    change = replace(change, order=known)
    if not changed:
        return change
    event = VehicleDeliveryEstimated(**order.subject(now), estimated_delivery_on=day.isoformat())
    return change.publishing(event).noticing(OrderNoticeKind.ESTIMATED, day.isoformat())


def _built(change: OrderChange, vin: str, now: datetime) -> OrderChange:
    if change.order.status is not VehicleOrderStatus.ORDERED:
        return change
    change = replace(change, order=replace(change.order, vehicle_id=vin), stock=StockMove.ASSIGN)
    event = VehicleBuilt(**change.order.subject(now), vin=vin)
    return change.to(VehicleOrderStatus.BUILT, now).publishing(event).noticing(OrderNoticeKind.BUILT)


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
