"""Placing a vehicle order and its reservation payment (RES-1 to RES-6)."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from caas_contracts.money import Money
from caas_contracts.vehicle_orders import (
    VehicleOrderDeclined,
    VehicleOrderPlaced,
    VehicleOrderReserved,
    VehicleReady,
)
from caas_orders.domain.order_notice import OrderNoticeKind
from caas_orders.domain.order_status import VehicleOrderStatus
from caas_orders.domain.registration import Customer
from caas_orders.domain.sales_policy import SalesPolicy
from caas_orders.domain.terms import Terms
from caas_orders.domain.vehicle_order import Errand, OrderChange, StockMove, VehicleOrder, refund_unexpected


@dataclass(frozen=True, slots=True)
class OrderWish:
    """A request to reserve a vehicle. `stock_vehicle_id` names one that exists already (RES-6)."""

    order_id: UUID
    payment_id: UUID
    customer: Customer
    terms: Terms
    model_name: str
    payment_method: str
    stock_vehicle_id: str | None = None


def place_order(wish: OrderWish, now: datetime) -> OrderChange:
    """The new order with the request for its reservation payment."""
    order = VehicleOrder(
        order_id=wish.order_id,
        customer_id=wish.customer.customer_id,
        terms=wish.terms,
        status=VehicleOrderStatus.RESERVING,
        reservation_payment_id=wish.payment_id,
        requested_at=now,
        updated_at=now,
        vehicle_id=wish.stock_vehicle_id,
    )
    return OrderChange(order, (_placed(order, wish, now), order.charge_reservation(wish.payment_method, now)))


def reservation_paid(
    order: VehicleOrder, payment_id: UUID, amount: Money, policy: SalesPolicy, now: datetime
) -> OrderChange:
    """RES-2: reserved; the factory order is placed at once. A stock vehicle is ready at once (RES-6)."""
    if payment_id != order.reservation_payment_id or order.status is VehicleOrderStatus.DECLINED:
        return refund_unexpected(OrderChange(order), payment_id, amount, now)
    if order.status is not VehicleOrderStatus.RESERVING:
        return OrderChange(order)
    event = VehicleOrderReserved(**order.subject(now), payment_id=payment_id, reservation=amount)
    change = OrderChange(order).to(VehicleOrderStatus.RESERVED, now).publishing(event)
    change = change.noticing(OrderNoticeKind.RESERVED).noticing(OrderNoticeKind.INVITED)
    if order.vehicle_id is None:
        return change.wanting(Errand.FACTORY_ORDER)
    return ready(change, policy, now)


def reservation_failed(order: VehicleOrder, payment_id: UUID, reason: str, now: datetime) -> OrderChange:
    """RES-3: no order, only the logged attempt; a claimed stock vehicle is on sale again."""
    if order.status is not VehicleOrderStatus.RESERVING or payment_id != order.reservation_payment_id:
        return OrderChange(order)
    event = VehicleOrderDeclined(**order.subject(now), payment_id=payment_id, reason=reason)
    change = OrderChange(replace(order, reason=reason)).to(VehicleOrderStatus.DECLINED, now).publishing(event)
    change = change.noticing(OrderNoticeKind.DECLINED)
    return change if order.vehicle_id is None else replace(change, stock=StockMove.GIVE_BACK)


def ready(change: OrderChange, policy: SalesPolicy, now: datetime) -> OrderChange:
    """FIN-1, FIN-6: at the dealership; the rest of the price is due until the deadline."""
    change = change.to(VehicleOrderStatus.READY, now)
    order = replace(change.order, pay_before=now + policy.payment_deadline)
    assert order.vehicle_id is not None
    assert order.pay_before is not None
    event = VehicleReady(
        **order.subject(now), vin=order.vehicle_id, amount_due=order.terms.due, pay_before=order.pay_before
    )
    return replace(change, order=order).publishing(event).noticing(OrderNoticeKind.READY)


def _placed(order: VehicleOrder, wish: OrderWish, now: datetime) -> VehicleOrderPlaced:
    terms, customer = order.terms, wish.customer
    return VehicleOrderPlaced(
        **order.subject(now),
        model_name=wish.model_name,
        options=list(terms.options),
        dealership=terms.dealership,
        total=terms.total,
        reservation=terms.reservation,
        vat_rate_bp=terms.vat_rate_bp,
        reservation_payment_id=order.reservation_payment_id,
        vehicle_id=order.vehicle_id,
        customer_name=customer.name,
        customer_email=customer.email,
        customer_tax_id=customer.tax_id,
        customer_language=customer.language,
    )
