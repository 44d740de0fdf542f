"""What factory, administration and transport answer and report (RES-2, RES-4, FIN-1, FIN-3).

Every function here may be called any number of times with the same facts, in any order.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog

from caas_chassis.cause import Cause
from caas_chassis.effects import Done
from caas_chassis.transaction import Tx
from caas_orders.domain.factory_event import EstimateChanged, FactoryEvent
from caas_orders.domain.handing_over import (
    application_rejected,
    application_taken,
    delivered,
    plates_given,
    resubmit,
    transport_booked,
    transport_refused,
)
from caas_orders.domain.manufacture import factory_accepted, factory_refused, factory_told
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.sales_policy import SalesPolicy
from caas_orders.domain.vehicle_order import OrderChange, VehicleOrder
from caas_orders.gateway.supply import (
    FactoryAccepted,
    FactoryAnswer,
    FactoryOrder,
    Refused,
    RegistrationAnswer,
    RegistrationGranted,
    RegistrationPending,
    RegistrationRejected,
    RegistrationRequest,
    TransportAnswer,
    TransportBooked,
    TransportBooking,
    TransportDelivered,
    Unanswered,
)
from caas_orders.handlers.errands import (
    FACTORY_EFFECT,
    REGISTRATION_EFFECT,
    TRANSPORT_EFFECT,
    ask_again,
    retry_unanswered,
)
from caas_orders.handlers.order_amending import CausedChange, amend_orders, announce_orders
from caas_orders.store import vehicle_orders

_log = structlog.get_logger(__name__)


async def apply_factory_events(
    events: Sequence[FactoryEvent], *, tx: Tx, policy: SalesPolicy | None = None
) -> list[FactoryEvent]:
    """Move the orders as the factory says; returns the events whose order we do not know (they change nothing)."""
    rules = policy or SalesPolicy()
    vins = {event.fact.vin for event in events if not isinstance(event.fact, EstimateChanged)}
    facts = [(event.order_id, event, tx.cause) for event in events]
    known = await amend_orders(
        facts, lambda order, event: factory_told(order, event, rules, tx.now), rules, tx=tx, vehicle_ids=vins
    )
    unknown = [event for event in events if event.order_id not in known]
    for event in unknown:
        _log.warning("factory_event_of_unknown_order", event_id=event.event_id, order_id=str(event.order_id))
    return unknown


async def apply_registration_answer(
    order_id: UUID, submission: int, answer: RegistrationAnswer, *, tx: Tx, policy: SalesPolicy | None = None
) -> None:
    """What the administration says about one submission, asked for or of its own accord (FIN-3)."""
    await _registered([(order_id, (submission, answer), tx.cause)], policy or SalesPolicy(), tx=tx)


async def apply_transport_answer(
    order_id: UUID, answer: TransportAnswer, *, tx: Tx, policy: SalesPolicy | None = None
) -> None:
    """What transport says about a booking, asked for or of its own accord (FIN-3)."""
    await _transported([(order_id, answer, tx.cause)], policy or SalesPolicy(), tx=tx)


async def record_factory_orders(
    done: Sequence[Done[FactoryOrder, FactoryAnswer]], *, tx: Tx, policy: SalesPolicy
) -> None:
    """RES-2, RES-4: ordered, refused for a person to resolve, or asked again with the same reference."""

    def answered(order: VehicleOrder, answer: FactoryAnswer) -> OrderChange:
        match answer:
            case FactoryAccepted():
                return factory_accepted(order, answer.factory_order_id, answer.estimated_delivery_on, tx.now)
            case Refused(reason):
                return factory_refused(order, reason, tx.now)
            case Unanswered():
                return OrderChange(order)

    await amend_orders([(one.payload.order_id, one.result, one.cause) for one in done], answered, policy, tx=tx)
    for one in done:
        if isinstance(one.result, Unanswered):
            retry_unanswered(FACTORY_EFFECT, one.payload, one.result.reason, one.cause, tx=tx)


async def record_registrations(
    done: Sequence[Done[RegistrationRequest, RegistrationAnswer]], *, tx: Tx, policy: SalesPolicy
) -> None:
    """FIN-3: an application that is pending, or of which nobody knows, is asked about again."""
    facts = [(one.payload.order_id, (one.payload.submission, one.result), one.cause) for one in done]
    await _registered(facts, policy, tx=tx)
    for one in done:
        match one.result:
            case Unanswered(reason):
                retry_unanswered(REGISTRATION_EFFECT, one.payload, reason, one.cause, tx=tx)
            case RegistrationPending():
                ask_again(REGISTRATION_EFFECT, one.payload, one.cause, tx=tx)
            case RegistrationGranted() | RegistrationRejected() | Refused():
                pass


async def record_transports(
    done: Sequence[Done[TransportBooking, TransportAnswer]], *, tx: Tx, policy: SalesPolicy
) -> None:
    """FIN-3: a booking is asked about until the vehicle is delivered."""
    await _transported([(one.payload.order_id, one.result, one.cause) for one in done], policy, tx=tx)
    for one in done:
        match one.result:
            case Unanswered(reason):
                retry_unanswered(TRANSPORT_EFFECT, one.payload, reason, one.cause, tx=tx)
            case TransportBooked():
                ask_again(TRANSPORT_EFFECT, one.payload, one.cause, tx=tx)
            case TransportDelivered() | Refused():
                pass


async def resubmit_order(order_id: UUID, policy: SalesPolicy, *, tx: Tx) -> VehicleOrder | Refusal:
    """Ask a partner again after a person has resolved what it refused."""
    order = (await vehicle_orders.lock([order_id], tx=tx)).get(order_id)
    if order is None:
        return Refusal(RefusalCode.ORDER_NOT_FOUND, f"there is no vehicle order {order_id}")
    change = resubmit(order, tx.now)
    if isinstance(change, Refusal):
        return change
    await vehicle_orders.save(change.order, tx=tx)
    await announce_orders([CausedChange(order, change, tx.cause)], policy, tx=tx)
    return change.order


async def _registered(
    facts: Sequence[tuple[UUID, tuple[int, RegistrationAnswer], Cause]], policy: SalesPolicy, *, tx: Tx
) -> None:
    def answered(order: VehicleOrder, fact: tuple[int, RegistrationAnswer]) -> OrderChange:
        submission, answer = fact
        match answer:
            case RegistrationPending():
                return application_taken(order, tx.now)
            case RegistrationGranted():
                return plates_given(order, answer.plates, tx.now)
            case RegistrationRejected() | Refused():
                return application_rejected(order, submission, answer.reason, tx.now)
            case Unanswered():
                return OrderChange(order)

    await amend_orders(facts, answered, policy, tx=tx)


async def _transported(facts: Sequence[tuple[UUID, TransportAnswer, Cause]], policy: SalesPolicy, *, tx: Tx) -> None:
    def answered(order: VehicleOrder, answer: TransportAnswer) -> OrderChange:
        match answer:
            case TransportBooked():
                return transport_booked(order, answer.booking_id, answer.delivery_on, tx.now)
            case TransportDelivered():
                return delivered(order, answer.booking_id, answer.delivered_at, tx.now)
            case Refused(reason):
                return transport_refused(order, reason, tx.now)
            case Unanswered():
                return OrderChange(order)

    await amend_orders(facts, answered, policy, tx=tx)
