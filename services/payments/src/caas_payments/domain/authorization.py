"""How a payment begins: risk first, then the hold or the sale, with GW-2's retries and GW-4's look-ups."""

from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from caas_contracts.operations import AlertKind
from caas_contracts.payments import AuthorizePayment, ChargePayment, Delivery, DeliveryDecision
from caas_payments.domain import events
from caas_payments.domain.attempt import AttemptState, Operation
from caas_payments.domain.payment import Change, Intent, Payment
from caas_payments.domain.status import PaymentStatus

HARD_DECLINES: Final = frozenset(
    {
        "closed_account",
        "expired_card",
        "invalid_account",
        "invalid_card",
        "invalid_payment_method",
        "lost_card",
        "stolen_card",
    }
)
"""Declines after which the same payment method will not work again."""

type Beginning = AuthorizePayment | ChargePayment
"""The commands that begin a payment."""


def intent_of(command: Beginning, delivery: Delivery) -> Intent:
    """What is to be paid, with the delivery decision that was taken for it."""
    return Intent(
        payment_id=command.payment_id,
        idempotency_key=command.idempotency_key,
        purpose=command.purpose,
        customer_id=command.customer_id,
        subject_id=command.subject_id,
        activation_id=activation_of(command),
        vehicle_id=command.vehicle_id,
        service_code=command.service_code,
        amount=command.amount,
        payment_method=command.payment_method,
        delivery=delivery,
        customer_present=isinstance(command, AuthorizePayment) or command.customer_present,
    )


def activation_of(command: Beginning) -> UUID | None:
    """The only activation that the payment may be for; None for a sale."""
    return command.activation_id if isinstance(command, AuthorizePayment) else None


def wish_of(command: Beginning) -> Operation:
    """What the command asks of the gateway."""
    return Operation.AUTHORIZE if isinstance(command, AuthorizePayment) else Operation.SALE


def same_intent(intent: Intent, command: Beginning) -> bool:
    """Whether the command asks for what the payment already is (PAY-7)."""
    return intent == intent_of(command, intent.delivery)


def asks_for(intent: Intent, command: Beginning) -> bool:
    """Whether the command wishes what the payment already is, under whatever id it would have had."""
    return replace(intent, payment_id=command.payment_id) == intent_of(command, intent.delivery)


def initiate(intent: Intent, now: datetime) -> Change:
    """A new payment: hold or sale is asked for, or refused by the risk decision before the gateway hears of it."""
    change = Change(Payment(intent=intent, status=PaymentStatus.INITIATED))
    change = change.telling(events.initiated(intent, now)).moving(PaymentStatus.PROCESSING)
    if intent.delivery.decision is not DeliveryDecision.ON_AUTHORIZATION:
        reasons = ",".join(intent.delivery.reasons)
        refused = change.moving(PaymentStatus.FAILED, reasons)
        return refused.telling(events.failed(intent, "risk_refused", now, customer_may_retry=False))
    operation = Operation.SALE if intent.sold else Operation.AUTHORIZE
    return change.opening(operation, intent.amount.amount_minor, now)


def await_decision(change: Change) -> Change:
    """Accepted, decided later."""
    if change.payment.status is PaymentStatus.PROCESSING:
        return change.moving(PaymentStatus.PENDING)
    return change


def fail(change: Change, code: str, now: datetime) -> Change:
    """Declined: nothing held, nothing charged, the customer may try again (SVC-7). Never retried (GW-2).

    Whether the same payment method may work later is told: after a hard decline another one is needed.
    """
    failed = change.closing(AttemptState.REFUSED, code, now).moving(PaymentStatus.FAILED, code)
    may_retry = code not in HARD_DECLINES
    return failed.telling(events.failed(failed.payment.intent, code, now, customer_may_retry=may_retry))


def abandon(change: Change, reason: str, now: datetime) -> Change:
    """Retries are used up and it is established that nothing is held (GW-4)."""
    abandoned = change.closing(AttemptState.ABANDONED, reason, now).moving(PaymentStatus.ABANDONED, reason)
    return abandoned.telling(events.abandoned(abandoned.payment.intent, "gateway_unreachable", now)).alerting(
        AlertKind.PAYMENT_ABANDONED, f"the gateway could not be used ({reason}); nothing is held"
    )


def resume(change: Change) -> Change:
    """The retry that was waited for has been made."""
    if change.payment.status is PaymentStatus.RETRY:
        return change.moving(PaymentStatus.PROCESSING, "retry")
    return change


def suspend(change: Change, reason: str) -> Change:
    """A network or gateway error: the payment waits for its retry or its look-up (PAY-2)."""
    if change.payment.status is PaymentStatus.PROCESSING:
        return change.moving(PaymentStatus.RETRY, reason)
    return change
