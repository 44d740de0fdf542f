"""The final payment (FIN-1 to FIN-6): what may be paid, and what paid, declined, unanswered and overdue mean."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from caas_contracts.money import Money
from caas_contracts.operations import AlertKind
from caas_contracts.vehicle_orders import VehicleOrderForfeited, VehicleOrderPaid
from caas_orders.domain.order_notice import OrderNoticeKind
from caas_orders.domain.order_status import BEFORE_PAYMENT, PAID_IN_FULL, VehicleOrderStatus
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.sales_policy import ForfeitOn, SalesPolicy
from caas_orders.domain.vehicle_order import Errand, OrderChange, StockMove, VehicleOrder, refund_unexpected

DEADLINE_MISSED = "deadline_missed"
NOT_THE_BANKS_DECLINE = frozenset({"risk_refused", "invalid_request"})
"""Failures that our own side decided: like a gateway that cannot be reached, they cost nobody a vehicle (FIN-5)."""


def begin_final_payment(
    order: VehicleOrder, payment_id: UUID, offered: Money | None, payment_method: str, now: datetime
) -> OrderChange | Refusal:
    """FIN-2: ask for the rest of the price, or say why it cannot be paid now. One payment at a time."""
    refusal = _not_payable(order, now)
    if refusal is not None:
        return refusal
    due = order.terms.due
    if offered is not None and offered != due:
        return Refusal(
            RefusalCode.WRONG_AMOUNT,
            f"{due.amount_minor} {due.currency} (minor units) are due; leave the amount out or send that",
        )
    attempt = replace(order, final_attempts=order.final_attempts + 1, final_payment_id=payment_id)
    change = OrderChange(attempt).to(VehicleOrderStatus.PAYING, now)
    return change.publishing(change.order.charge_rest(payment_method, now))


def final_paid(order: VehicleOrder, payment_id: UUID, amount: Money, now: datetime) -> OrderChange:
    """FIN-3: paid in full; the registration is applied for. Money that comes too late goes back."""
    expected = payment_id == order.final_payment_id
    if expected and order.status in PAID_IN_FULL:
        return OrderChange(order)
    if not expected or order.status is not VehicleOrderStatus.PAYING:
        return refund_unexpected(OrderChange(order), payment_id, amount, now)
    if amount != order.terms.due:
        return refund_unexpected(OrderChange(order).to(VehicleOrderStatus.READY, now), payment_id, amount, now)
    assert order.vehicle_id is not None
    event = VehicleOrderPaid(
        **order.subject(now),
        vin=order.vehicle_id,
        payment_id=payment_id,
        amount=amount,
        reservation=order.terms.reservation,
        total=order.terms.total,
    )
    change = OrderChange(replace(order, paid_at=now, submission=1, reason=""), stock=StockMove.SELL)
    change = change.to(VehicleOrderStatus.PAID, now).publishing(event)
    return change.noticing(OrderNoticeKind.PAID).wanting(Errand.REGISTRATION)


def final_declined(
    order: VehicleOrder, payment_id: UUID, reason: str, policy: SalesPolicy, now: datetime
) -> OrderChange:
    """FIN-4: declined: forfeited at once, without retry or grace."""
    if reason in NOT_THE_BANKS_DECLINE:
        return final_abandoned(order, payment_id, reason, policy, now)
    if order.status is not VehicleOrderStatus.PAYING or payment_id != order.final_payment_id:
        return OrderChange(order)
    return _forfeited(order, reason, now)


def final_abandoned(
    order: VehicleOrder, payment_id: UUID, reason: str, policy: SalesPolicy, now: datetime
) -> OrderChange:
    """FIN-5: a technical failure, established as never charged: the customer may pay again."""
    if order.status is not VehicleOrderStatus.PAYING or payment_id != order.final_payment_id:
        return OrderChange(order)
    if policy.forfeit_on is ForfeitOn.ANY_FAILURE:
        return _forfeited(order, reason, now)
    assert order.pay_before is not None
    pay_before = max(order.pay_before, now + policy.retry_grace)
    change = OrderChange(replace(order, reason=reason, pay_before=pay_before)).to(VehicleOrderStatus.READY, now)
    detail = f"the final payment failed for a technical reason ({reason}); nothing was charged, the customer may pay"
    change = change.alerting(AlertKind.PAYMENT_ABANDONED, detail)
    return change.noticing(OrderNoticeKind.PAYMENT_UNAVAILABLE, str(order.final_attempts))


def deadline_passed(order: VehicleOrder, now: datetime) -> OrderChange:
    """FIN-6: unpaid past the deadline. A payment that is under way decides for itself."""
    if order.status is not VehicleOrderStatus.READY or order.pay_before is None or now < order.pay_before:
        return OrderChange(order)
    return _forfeited(order, DEADLINE_MISSED, now)


def _forfeited(order: VehicleOrder, reason: str, now: datetime) -> OrderChange:
    """FIN-4, in one step with the vehicle: the order ends, its reservation stays with CaaS (RES-5)."""
    assert order.vehicle_id is not None
    event = VehicleOrderForfeited(
        **order.subject(now),
        vin=order.vehicle_id,
        reservation_payment_id=order.reservation_payment_id,
        reservation=order.terms.reservation,
        reason=reason,
    )
    change = OrderChange(replace(order, reason=reason), stock=StockMove.FORFEIT)
    change = change.to(VehicleOrderStatus.PAYMENT_FAILED, now).publishing(event)
    return change.noticing(OrderNoticeKind.FORFEITED)


def _not_payable(order: VehicleOrder, now: datetime) -> Refusal | None:
    if order.status in BEFORE_PAYMENT:
        return Refusal(RefusalCode.ORDER_NOT_READY, "the vehicle is not at the dealership yet: you will be told")
    if order.status is VehicleOrderStatus.PAYING:
        return Refusal(RefusalCode.PAYMENT_IN_PROGRESS, "a payment of this order is under way: wait for its outcome")
    if order.status in PAID_IN_FULL:
        return Refusal(RefusalCode.ORDER_ALREADY_PAID, "this order is paid in full")
    if order.status is not VehicleOrderStatus.READY:
        return Refusal(RefusalCode.ORDER_FORFEITED, "this order has ended and cannot be paid any more")
    if order.pay_before is not None and now >= order.pay_before:
        return Refusal(RefusalCode.DEADLINE_PASSED, "the deadline of the final payment has passed")  # FIN-6
    return None
