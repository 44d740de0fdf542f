"""The calls to factory, administration and transport as tasks, and when they are made again (RES-4)."""

from datetime import timedelta
from typing import Final

from pydantic import BaseModel

from caas_chassis.cause import Cause
from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertKind
from caas_orders.domain.registration import Customer
from caas_orders.domain.vehicle_order import Errand, VehicleOrder
from caas_orders.gateway.supply import FactoryOrder, RegistrationRequest, TransportBooking

FACTORY_EFFECT: Final = "factory-order"
REGISTRATION_EFFECT: Final = "registration"
TRANSPORT_EFFECT: Final = "transport"

PAUSES: Final = tuple(timedelta(seconds=s) for s in (1, 2, 4, 8, 15, 30, 60))
"""Before a partner is asked again; the last one repeats, so that an outage of hours is over a minute after its end."""
ALERT_AFTER_ATTEMPTS: Final = 5
"""With the pauses above half a minute of silence: longer than a restart, so a person should know."""

type SupplyTask = FactoryOrder | RegistrationRequest | TransportBooking


def enqueue_errand(errand: Errand, order: VehicleOrder, customer: Customer, cause: Cause, *, tx: Tx) -> None:
    """Have the partner called after the commit, until it has answered."""
    effect, task = _task(errand, order, customer)
    tx.enqueue(effect, task, key=str(order.order_id), cause=cause)


def ask_again[T: SupplyTask](effect: str, task: T, cause: Cause, *, tx: Tx) -> None:
    """Make the same call again, after a pause that grows with the attempts."""
    pause = PAUSES[min(task.attempt, len(PAUSES)) - 1]
    again = task.model_copy(update={"attempt": task.attempt + 1})
    tx.enqueue(effect, again, key=str(task.order_id), delay=pause, cause=cause)


def retry_unanswered[T: SupplyTask](effect: str, task: T, reason: str, cause: Cause, *, tx: Tx) -> None:
    """RES-4: nobody knows whether the partner has acted: the same call again; operations are told once."""
    ask_again(effect, task, cause, tx=tx)
    if task.attempt == ALERT_AFTER_ATTEMPTS:
        detail = f"{effect} has not answered {task.attempt} times ({reason}); it is still being asked, nothing is lost"
        tx.alert(AlertKind.RETRIES_EXHAUSTED, str(task.order_id), detail, cause=cause)


def _task(errand: Errand, order: VehicleOrder, customer: Customer) -> tuple[str, BaseModel]:
    match errand:
        case Errand.FACTORY_ORDER:
            return FACTORY_EFFECT, _factory_order(order)
        case Errand.REGISTRATION:
            return REGISTRATION_EFFECT, _registration(order, customer)
        case Errand.TRANSPORT:
            return TRANSPORT_EFFECT, _booking(order, customer)


def _factory_order(order: VehicleOrder) -> BaseModel:
    terms = order.terms
    return FactoryOrder(
        order_id=order.order_id, model=terms.model, options=list(terms.options), dealership=terms.dealership
    )


def _registration(order: VehicleOrder, customer: Customer) -> BaseModel:
    assert order.vehicle_id is not None
    return RegistrationRequest(
        order_id=order.order_id,
        submission=order.submission,
        vin=order.vehicle_id,
        model=order.terms.model,
        customer_name=customer.name,
        customer_tax_id=customer.tax_id,
    )


def _booking(order: VehicleOrder, customer: Customer) -> BaseModel:
    assert order.vehicle_id is not None
    assert order.plates is not None
    return TransportBooking(
        order_id=order.order_id,
        vin=order.vehicle_id,
        plates=order.plates,
        dealership=order.terms.dealership,
        customer_name=customer.name,
    )
