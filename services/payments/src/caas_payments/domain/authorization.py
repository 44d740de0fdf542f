"""How a payment begins: risk first, then the hold or the sale, with GW-2's retries and GW-4's look-ups.

Invariant: what is held, taken ahead or renewed follows from the command and the delivery decision alone (RSK-2).
"""

from dataclasses import replace
from datetime import datetime
from typing import Final, assert_never
from uuid import UUID

from caas_contracts.operations import AlertKind
from caas_contracts.payments import AuthorizePayment, ChargePayment, Delivery, DeliveryDecision
from caas_contracts.purchase_life import ChargePlannedService, ChargeRenewal
from caas_payments.domain import events
from caas_payments.domain.attempt import AttemptState, Operation
from caas_payments.domain.payment import Change, Intent, Payment
from caas_payments.domain.risk import Wish
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

NOT_ACTIVATED: Final = "not_activated"
"""Why a renewal is refused whose activation has no stored success (REC-1, SVC-6)."""

type Beginning = AuthorizePayment | ChargePayment | ChargePlannedService | ChargeRenewal
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
        customer_present=_customer_present(command),
        taken_ahead=_taken_ahead(command, delivery),
        renewed_activation_id=renewed_by(command),
    )


def activation_of(command: Beginning) -> UUID | None:
    """The only activation that may earn the money; None where there is none to come."""
    return command.activation_id if isinstance(command, AuthorizePayment | ChargePlannedService) else None


def renewed_by(command: Beginning) -> UUID | None:
    """The activation whose next period is paid (REC-1)."""
    return command.renewed_activation_id if isinstance(command, ChargeRenewal) else None


def wish_of(command: Beginning) -> Operation:
    """What the command asks of the gateway."""
    return Operation.AUTHORIZE if isinstance(command, AuthorizePayment) else Operation.SALE


def risk_wish_of(command: Beginning) -> Wish:
    """The same as the delivery decision sees it."""
    match command:
        case AuthorizePayment():
            return Wish.HOLD
        case ChargePayment():
            return Wish.SALE
        case ChargePlannedService():
            return Wish.AHEAD
        case ChargeRenewal():
            return Wish.RENEWAL
        case _:
            assert_never(command)


def same_intent(intent: Intent, command: Beginning) -> bool:
    """Whether the command asks for what the payment already is (PAY-7)."""
    return intent == intent_of(command, intent.delivery)


def asks_for(intent: Intent, command: Beginning) -> bool:
    """Whether the command wishes what the payment already is, under whatever id it would have had."""
    return replace(intent, payment_id=command.payment_id) == intent_of(command, intent.delivery)


def initiate(intent: Intent, now: datetime, *, not_activated: bool = False) -> Change:
    """A new payment: hold or sale is asked for, or refused before the gateway hears of it.

    `not_activated`: it would renew what no stored success says is in the car (SVC-6).
    """
    change = Change(Payment(intent=intent, status=PaymentStatus.INITIATED))
    change = change.telling(events.initiated(intent, now)).moving(PaymentStatus.PROCESSING)
    if not_activated:
        return _refuse(change, NOT_ACTIVATED, NOT_ACTIVATED, now)
    if intent.delivery.decision is DeliveryDecision.REFUSE:
        return _refuse(change, "risk_refused", ",".join(intent.delivery.reasons), now)
    operation = Operation.SALE if intent.sold else Operation.AUTHORIZE
    return change.opening(operation, intent.amount.amount_minor, now)


def await_decision(change: Change) -> Change:
    """Accepted, decided later."""
    if change.payment.status is PaymentStatus.PROCESSING:
        return change.moving(PaymentStatus.PENDING)
    return change


def _refuse(change: Change, reason: str, detail: str, now: datetime) -> Change:
    refused = change.moving(PaymentStatus.FAILED, detail)
    return refused.telling(events.failed(refused.payment.intent, reason, now, customer_may_retry=False))


def _customer_present(command: Beginning) -> bool:
    """Renewals are the merchant's, under the mandate of the first period (PAY-9)."""
    if isinstance(command, ChargePayment):
        return command.customer_present
    return not isinstance(command, ChargeRenewal)


def _taken_ahead(command: Beginning, delivery: Delivery) -> bool:
    """Whether the money is taken before its activation: a hold cannot settle, so delivery after it takes it (RSK-2)."""
    settles_first = delivery.decision is DeliveryDecision.AFTER_SETTLEMENT
    return isinstance(command, ChargePlannedService) or (isinstance(command, AuthorizePayment) and settles_first)


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
