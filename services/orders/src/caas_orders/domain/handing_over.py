"""From paid to delivered (FIN-3): registration with the administration, transport, delivery."""

from dataclasses import replace
from datetime import date, datetime

from caas_contracts.operations import AlertKind
from caas_contracts.vehicle_orders import (
    VehicleDelivered,
    VehicleDeliveryScheduled,
    VehicleRegisteredForTraffic,
)
from caas_orders.domain.order_notice import OrderNoticeKind
from caas_orders.domain.order_status import VehicleOrderStatus
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.vehicle_order import Errand, OrderChange, VehicleOrder


def application_taken(order: VehicleOrder, now: datetime) -> OrderChange:
    """The administration has the application; its answer may take days."""
    if order.status is not VehicleOrderStatus.PAID:
        return OrderChange(order)
    return OrderChange(order).to(VehicleOrderStatus.REGISTERING, now)


def plates_given(order: VehicleOrder, plates: str, now: datetime) -> OrderChange:
    """Registered: the vehicle has its plates, and transport is asked."""
    change = application_taken(order, now)
    if change.order.status is not VehicleOrderStatus.REGISTERING:
        return change
    assert order.vehicle_id is not None
    event = VehicleRegisteredForTraffic(**order.subject(now), vin=order.vehicle_id, plates=plates)
    change = replace(change, order=replace(change.order, plates=plates, problem=""))
    change = change.to(VehicleOrderStatus.REGISTERED, now).publishing(event)
    return change.noticing(OrderNoticeKind.REGISTERED).wanting(Errand.TRANSPORT)


def application_rejected(order: VehicleOrder, submission: int, reason: str, now: datetime) -> OrderChange:
    """Rejected: a person corrects the data and applies again. The answer to an older submission is history."""
    change = application_taken(order, now)
    order = change.order
    if order.status is not VehicleOrderStatus.REGISTERING or submission != order.submission or order.problem:
        return change
    detail = f"the registration was rejected: {reason}; correct the customer's or vehicle's data and resubmit it"
    rejected = replace(order, problem=reason, updated_at=now)
    return replace(change, order=rejected).alerting(AlertKind.PARTNER_REFUSED, detail)


def transport_refused(order: VehicleOrder, reason: str, now: datetime) -> OrderChange:
    """Transport will not take it: a person resolves that and books again."""
    if order.status is not VehicleOrderStatus.REGISTERED or order.problem:
        return OrderChange(order)
    detail = f"transport refuses the booking: {reason}; resolve it and resubmit it"
    return OrderChange(replace(order, problem=reason, updated_at=now)).alerting(AlertKind.PARTNER_REFUSED, detail)


def transport_booked(order: VehicleOrder, booking_id: str, delivery_on: date | None, now: datetime) -> OrderChange:
    """Transport has it and says when it will arrive; another day for the same booking is told again."""
    if order.status not in (VehicleOrderStatus.REGISTERED, VehicleOrderStatus.DELIVERY_SCHEDULED):
        return OrderChange(order)
    if order.booking_id == booking_id and delivery_on in (None, order.delivery_on):
        return OrderChange(order)
    booked = replace(order, booking_id=booking_id, delivery_on=delivery_on, problem="", updated_at=now)
    change = OrderChange(booked)
    if order.status is VehicleOrderStatus.REGISTERED:
        change = change.to(VehicleOrderStatus.DELIVERY_SCHEDULED, now)
    if delivery_on is None:
        return change
    assert order.vehicle_id is not None
    event = VehicleDeliveryScheduled(
        **order.subject(now), vin=order.vehicle_id, booking_id=booking_id, delivery_on=delivery_on.isoformat()
    )
    return change.publishing(event).noticing(OrderNoticeKind.SCHEDULED, delivery_on.isoformat())


def delivered(order: VehicleOrder, booking_id: str, delivered_at: datetime, now: datetime) -> OrderChange:
    """The customer has the vehicle; the report may be the first word of transport."""
    if order.status not in (VehicleOrderStatus.REGISTERED, VehicleOrderStatus.DELIVERY_SCHEDULED):
        return OrderChange(order)
    change = transport_booked(order, booking_id, None, now)
    order = replace(change.order, delivered_at=delivered_at)
    assert order.vehicle_id is not None
    assert order.plates is not None
    event = VehicleDelivered(**order.subject(now), vin=order.vehicle_id, plates=order.plates, delivered_at=delivered_at)
    change = replace(change, order=order).to(VehicleOrderStatus.DELIVERED, now).publishing(event)
    return change.noticing(OrderNoticeKind.DELIVERED)


def resubmit(order: VehicleOrder, now: datetime) -> OrderChange | Refusal:
    """Ask the partner again after a person has resolved what it refused."""
    if not order.problem:
        return Refusal(RefusalCode.NOTHING_TO_RESUBMIT, f"no partner has refused anything; the order is {order.status}")
    cleared = replace(order, problem="", updated_at=now)
    match order.status:
        case VehicleOrderStatus.RESERVED:
            return OrderChange(cleared).wanting(Errand.FACTORY_ORDER)
        case VehicleOrderStatus.REGISTERING:
            again = replace(cleared, submission=order.submission + 1)
            return OrderChange(again).wanting(Errand.REGISTRATION)
        case _:
            return OrderChange(cleared).wanting(Errand.TRANSPORT)
