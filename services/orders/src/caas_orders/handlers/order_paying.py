"""What the facts of payments make of vehicle orders (RES-2, RES-3, FIN-3 to FIN-6), and which facts are theirs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from caas_chassis.cause import Cause
from caas_chassis.handling import Received
from caas_chassis.timers import DueTimer
from caas_chassis.transaction import Tx
from caas_contracts.money import Money
from caas_contracts.operations import AlertKind
from caas_contracts.payments import (
    PaymentAbandoned,
    PaymentConfirmed,
    PaymentEvent,
    PaymentFailed,
    PaymentPurpose,
    PaymentSettlementFailed,
)
from caas_orders.domain.final_payment import (
    begin_final_payment,
    deadline_passed,
    final_abandoned,
    final_declined,
    final_paid,
)
from caas_orders.domain.purchase import GATEWAY_UNREACHABLE
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.reserving import reservation_failed, reservation_paid
from caas_orders.domain.sales_policy import SalesPolicy
from caas_orders.domain.vehicle_order import OrderChange, VehicleOrder
from caas_orders.handlers import paying_ahead, purchasing, renewing
from caas_orders.handlers.order_amending import CausedChange, amend_orders, announce_orders
from caas_orders.store import vehicle_orders

_OF_ORDERS: Final = frozenset({PaymentPurpose.RESERVATION, PaymentPurpose.FINAL})


@dataclass(frozen=True, slots=True)
class RestWish:
    """A request to make the final payment. `offered` is what the caller believes to owe, when they say it."""

    order_id: UUID
    payment_id: UUID
    customer_id: str
    offered: Money | None
    payment_method: str


async def confirm_payments(received: Sequence[Received[PaymentConfirmed]], *, tx: Tx, policy: SalesPolicy) -> None:
    """RES-2, FIN-3, PLN-1, REC-1: the money is taken. What no order can take goes back."""

    def confirmed(order: VehicleOrder, event: PaymentConfirmed) -> OrderChange:
        if event.purpose is PaymentPurpose.RESERVATION:
            return reservation_paid(order, event.payment_id, event.amount, policy, tx.now)
        return final_paid(order, event.payment_id, event.amount, tx.now)

    services = [one for one in received if one.message.purpose is PaymentPurpose.SERVICE]
    await paying_ahead.confirm_paid_ahead(services, tx=tx)
    await renewing.confirm_renewals(services, tx=tx)
    await amend_orders(_of_orders(received), confirmed, policy, tx=tx)


async def fail_payments(received: Sequence[Received[PaymentFailed]], *, tx: Tx, policy: SalesPolicy) -> None:
    """Declined or refused: a purchase ends (SVC-7), an attempt is logged (RES-3), an order is forfeited (FIN-4)."""

    def failed(order: VehicleOrder, event: PaymentFailed) -> OrderChange:
        if event.purpose is PaymentPurpose.RESERVATION:
            return reservation_failed(order, event.payment_id, event.reason, tx.now)
        return final_declined(order, event.payment_id, event.reason, policy, tx.now)

    await purchasing.decline_failed(_of_services(received), tx=tx)
    await renewing.fail_renewals(_of_services(received), tx=tx)
    await amend_orders(_of_orders(received), failed, policy, tx=tx)


async def abandon_payments(received: Sequence[Received[PaymentAbandoned]], *, tx: Tx, policy: SalesPolicy) -> None:
    """The gateway could not be reached and nothing was taken: FIN-5 for orders, SVC for purchases."""

    def abandoned(order: VehicleOrder, event: PaymentAbandoned) -> OrderChange:
        if event.purpose is PaymentPurpose.RESERVATION:
            return reservation_failed(order, event.payment_id, GATEWAY_UNREACHABLE, tx.now)
        return final_abandoned(order, event.payment_id, GATEWAY_UNREACHABLE, policy, tx.now)

    await purchasing.fail_abandoned(_of_services(received), tx=tx)
    await renewing.abandon_renewals(_of_services(received), tx=tx)
    await amend_orders(_of_orders(received), abandoned, policy, tx=tx)


async def alert_unsettled(
    received: Sequence[Received[PaymentSettlementFailed]], *, tx: Tx, policy: SalesPolicy
) -> None:
    """The money of an order did not reach the bank: a person decides; nothing is cancelled by itself."""

    def lost(order: VehicleOrder, event: PaymentSettlementFailed) -> OrderChange:
        money = f"{event.lost.amount_minor} {event.lost.currency} (minor units)"
        detail = f"{money} of the {event.purpose} payment {event.payment_id} did not settle ({event.reason}); decide"
        return OrderChange(order).alerting(AlertKind.SETTLEMENT_FAILED, f"{detail} with the customer; order stands")

    await purchasing.take_unsettled(_of_services(received), tx=tx)
    await amend_orders(_of_orders(received), lost, policy, tx=tx)


async def pay_rest(wish: RestWish, policy: SalesPolicy, *, tx: Tx) -> VehicleOrder | Refusal:
    """FIN-2: begin the final payment of an order of this customer. Somebody else's order is unknown."""
    order = (await vehicle_orders.lock([wish.order_id], tx=tx)).get(wish.order_id)
    if order is None or order.customer_id != wish.customer_id:
        return Refusal(RefusalCode.ORDER_NOT_FOUND, f"there is no vehicle order {wish.order_id}")
    change = begin_final_payment(order, wish.payment_id, wish.offered, wish.payment_method, tx.now)
    if isinstance(change, Refusal):
        return change
    await vehicle_orders.save(change.order, tx=tx)
    await announce_orders([CausedChange(order, change, tx.cause)], policy, tx=tx)
    return change.order


async def forfeit_overdue(due: Sequence[DueTimer], *, tx: Tx, policy: SalesPolicy) -> None:
    """FIN-6: what is unpaid past its deadline is forfeited like a declined payment (FIN-4)."""
    facts = [(UUID(timer.key), timer, timer.cause) for timer in due]
    await amend_orders(facts, lambda order, _: deadline_passed(order, tx.now), policy, tx=tx)


def _of_orders[M: PaymentEvent](received: Sequence[Received[M]]) -> list[tuple[UUID, M, Cause]]:
    return [(one.message.subject_id, one.message, one.cause) for one in received if one.message.purpose in _OF_ORDERS]


def _of_services[M: PaymentEvent](received: Sequence[Received[M]]) -> list[Received[M]]:
    """What is not for an order concerns purchases, which know their own."""
    return [one for one in received if one.message.purpose not in _OF_ORDERS]
