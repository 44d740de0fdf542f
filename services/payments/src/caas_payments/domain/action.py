"""Strong customer authentication (PAY-9): a payment that waits for its customer, with a link of ours.

Invariant: there is one link per payment, it works once and expires; the gateway is asked to give the payment up only
after that is stored, and what became of it is read from the gateway's record, never assumed.
"""

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Final

from caas_contracts.operations import AlertKind
from caas_payments.domain import events, ladder
from caas_payments.domain.attempt import Operation, Step
from caas_payments.domain.gateway_result import Transaction
from caas_payments.domain.payment import ActionAsked, ActionDeadline, Cancelling, Change, CustomerAction, Payment, Terms
from caas_payments.domain.status import PaymentStatus

EXPIRED: Final = "authentication_expired"
"""Why a payment failed that its customer has not confirmed in time."""


def hash_of(secret: str) -> bytes:
    """What is stored of a link's secret."""
    return hashlib.sha256(secret.encode()).digest()


def ask_customer(change: Change, transaction: Transaction, secret: str, terms: Terms, now: datetime) -> Change:
    """Tell once that the customer has to act, with the link; until it expires nothing else is done."""
    if change.payment.action is not None or transaction.action_url is None:
        return change
    action = CustomerAction(
        transaction_id=transaction.id, page_url=transaction.action_url, expires_at=now + terms.action_life
    )
    link = f"{terms.public_url.rstrip('/')}/payment-actions/{secret}"
    asked = change.setting(replace(change.payment, action=action))
    asked = asked.telling(events.action_required(asked.payment.intent, link, action.expires_at, now))
    return asked.adding(ActionAsked(action, hash_of(secret)), ActionDeadline(action.expires_at))


def reach_expiry(payment: Payment, now: datetime) -> Change:
    """The link's time is over: see what the gateway knows, then have it give the payment up."""
    change = Change(payment)
    action = payment.action
    if action is None or payment.attempt is None or payment.status is not PaymentStatus.PENDING:
        return change
    if now < action.expires_at:
        return change.adding(ActionDeadline(action.expires_at))
    return change.asking(Step.LAST_LOOK_UP)


def give_up(change: Change, terms: Terms, now: datetime) -> Change:
    """The customer has not acted: cancel at the gateway, again and again until its record says what came of it."""
    action = change.payment.action
    assert action is not None, "only a payment with a link expires"
    if action.cancelling_at is None:
        cancelling = change.setting(replace(change.payment, action=replace(action, cancelling_at=now)))
        return cancelling.adding(Cancelling(now)).asking(Step.CANCEL)
    detail = "the link of its customer has expired, and the gateway does not give the payment up: it is asked again"
    change = ladder.alert_once(change, AlertKind.OUTCOME_UNKNOWN, detail)
    return change.asking(Step.CANCEL, terms.retries.pending_poll)


def is_doubtful(payment: Payment, operation: Operation) -> bool:
    """Whether a hold may be released any moment by a cancellation of ours that is under way; a sale never is."""
    return operation is Operation.AUTHORIZE and is_being_given_up(payment)


def is_being_given_up(payment: Payment) -> bool:
    """Whether the gateway was, or is just being, asked to cancel it because its link expired."""
    return payment.action is not None and payment.action.cancelling_at is not None
