"""One order of one vehicle, and what a step of it consists of: its next value, what is published, who is told.

Facts of payments, factory, administration and transport come twice and overtake each other, so every verb
accepts every state; what does not fit the state changes nothing, or gives money back that has no order.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import TypedDict
from uuid import UUID, uuid5

from caas_contracts.message import Message
from caas_contracts.money import Money
from caas_contracts.operations import AlertKind
from caas_contracts.payments import ChargePayment, PaymentPurpose, RefundPayment
from caas_orders.domain.order_notice import OrderNotice, OrderNoticeKind
from caas_orders.domain.order_status import ORDER_TRANSITIONS, VehicleOrderStatus
from caas_orders.domain.terms import Terms

LATE_PAYMENT = "late_payment"


class _Subject(TypedDict):
    """The fields every fact about a vehicle order carries."""

    order_id: UUID
    customer_id: str
    model: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class VehicleOrder:
    """A vehicle order as stored. Instants are UTC, business time.

    `vehicle_id` is the vehicle's number: known from the start for one from stock (RES-6), else when it is built.
    `problem` is what a partner has refused and a person has to resolve.
    """

    order_id: UUID
    customer_id: str
    terms: Terms
    status: VehicleOrderStatus
    reservation_payment_id: UUID
    requested_at: datetime
    updated_at: datetime
    reason: str = ""
    problem: str = ""
    vehicle_id: str | None = None
    factory_order_id: str | None = None
    estimated_delivery_on: date | None = None
    estimated_at: datetime | None = None  # the factory's instant of the estimate; an older one is not applied
    pay_before: datetime | None = None  # FIN-6
    final_attempts: int = 0
    final_payment_id: UUID | None = None  # the newest attempt; the only one whose answer counts
    paid_at: datetime | None = None
    submission: int = 0  # how often the registration was applied for
    plates: str | None = None
    booking_id: str | None = None
    delivery_on: date | None = None
    delivered_at: datetime | None = None
    version: int = 1

    def charge_reservation(self, payment_method: str, now: datetime) -> ChargePayment:
        """The request to take the reservation (PAY-7)."""
        return ChargePayment(
            payment_id=self.reservation_payment_id,
            idempotency_key=f"vehicle-order:{self.order_id}:reservation",
            purpose=PaymentPurpose.RESERVATION,
            customer_id=self.customer_id,
            subject_id=self.order_id,
            vehicle_id=self.vehicle_id,
            amount=self.terms.reservation,
            payment_method=payment_method,
            requested_at=now,
        )

    def charge_rest(self, payment_method: str, now: datetime) -> ChargePayment:
        """The request to take the final payment, as the newest attempt (FIN-1, PAY-7)."""
        assert self.final_payment_id is not None
        return ChargePayment(
            payment_id=self.final_payment_id,
            idempotency_key=f"vehicle-order:{self.order_id}:final:{self.final_attempts}",
            purpose=PaymentPurpose.FINAL,
            customer_id=self.customer_id,
            subject_id=self.order_id,
            vehicle_id=self.vehicle_id,
            amount=self.terms.due,
            payment_method=payment_method,
            requested_at=now,
        )

    def subject(self, now: datetime) -> _Subject:
        """What every fact about this order says."""
        return _Subject(order_id=self.order_id, customer_id=self.customer_id, model=self.terms.model, occurred_at=now)


class Errand(StrEnum):
    """A call to a partner that has to be made."""

    FACTORY_ORDER = "factory_order"
    REGISTRATION = "registration"
    TRANSPORT = "transport"


class StockMove(StrEnum):
    """What happens to the order's vehicle in the same transaction."""

    ASSIGN = "assign"  # built for this order
    GIVE_BACK = "give_back"  # the reservation of a stock vehicle was not paid
    FORFEIT = "forfeit"  # FIN-4
    SELL = "sell"


@dataclass(frozen=True, slots=True)
class OrderChange:
    """What a fact made of an order. `alerts` are kind and sentence (NOT-2)."""

    order: VehicleOrder
    messages: tuple[Message, ...] = ()
    notices: tuple[OrderNotice, ...] = ()
    alerts: tuple[tuple[AlertKind, str], ...] = ()
    errands: tuple[Errand, ...] = ()
    stock: StockMove | None = None

    def to(self, status: VehicleOrderStatus, now: datetime) -> "OrderChange":
        """One more step. Raises ValueError for one that the table does not have."""
        order = self.order
        if status not in ORDER_TRANSITIONS[order.status]:
            raise ValueError(f"vehicle order {order.order_id} cannot go from {order.status} to {status}")
        return replace(self, order=replace(order, status=status, updated_at=now))

    def publishing(self, message: Message) -> "OrderChange":
        """Publish this, too."""
        return replace(self, messages=(*self.messages, message))

    def noticing(self, kind: OrderNoticeKind, occasion: str = "") -> "OrderChange":
        """Tell the customer this, too."""
        return replace(self, notices=(*self.notices, OrderNotice(kind, occasion)))

    def alerting(self, kind: AlertKind, detail: str) -> "OrderChange":
        """Have operations look at this, too."""
        return replace(self, alerts=(*self.alerts, (kind, detail)))

    def wanting(self, errand: Errand) -> "OrderChange":
        """Have a partner called, too."""
        return replace(self, errands=(*self.errands, errand))


def refund_unexpected(change: OrderChange, payment_id: UUID, amount: Money, now: datetime) -> OrderChange:
    """Money that came for an order that cannot take it goes back, once, whatever is told again."""
    order = change.order
    refund = RefundPayment(
        payment_id=payment_id,
        refund_id=uuid5(payment_id, LATE_PAYMENT),
        amount=amount,
        reason=LATE_PAYMENT,
        requested_at=now,
    )
    detail = f"payment {payment_id} was confirmed although the vehicle order is {order.status}: it is being refunded"
    refunding = change.publishing(refund).alerting(AlertKind.LATE_PAYMENT, detail)
    return refunding.noticing(OrderNoticeKind.REFUNDED, str(payment_id))
