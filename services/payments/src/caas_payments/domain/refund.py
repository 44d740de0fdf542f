"""Refunds (PAY-8): they queue up one behind the other, and their sum never passes what was captured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from caas_contracts.operations import AlertKind
from caas_payments.domain import events
from caas_payments.domain.attempt import AttemptState, Operation
from caas_payments.domain.payment import Change, Payment
from caas_payments.domain.status import TRANSITIONS, PaymentStatus


class RefundState(StrEnum):
    """A requested refund waits until the gateway answered; only one is asked for at a time."""

    REQUESTED = "requested"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """One refund, of minor units in the payment's currency."""

    id: UUID
    payment_id: UUID
    amount_minor: int
    reason: str
    requested_at: datetime
    state: RefundState = RefundState.REQUESTED


def refund_objection(payment: Payment, amount_minor: int, currency: str) -> str | None:
    """Why this refund cannot be made, or None (PAY-8)."""
    if currency != payment.currency:
        return "other_currency"
    if amount_minor == 0:
        return "nothing_to_refund"
    if payment.captured_minor == 0:
        return "nothing_captured"
    return "more_than_captured" if amount_minor > payment.refundable_minor else None


def request_refund(payment: Payment, refund: Refund, now: datetime) -> Change:
    """Reserve the amount, and ask the gateway unless another operation of this payment is under way."""
    reserved = replace(payment, refunding_minor=payment.refunding_minor + refund.amount_minor)
    change = Change(reserved)
    return change if payment.attempt is not None else start_refund(change, refund, now)


def start_refund(change: Change, refund: Refund, now: datetime) -> Change:
    """Ask the gateway for a refund whose amount is reserved."""
    if PaymentStatus.REFUNDING in TRANSITIONS[change.payment.status]:
        change = change.moving(PaymentStatus.REFUNDING, refund.reason)
    return change.opening(Operation.REFUND, refund.amount_minor, now, refund_id=refund.id)


def record_refund(change: Change, refund: Refund, now: datetime) -> Change:
    """The money went back. REFUNDED means that a refund was made; further partial ones stay in it."""
    attempt = change.attempt
    done = change.closing(AttemptState.SUCCEEDED, "refunded", now)
    payment = replace(
        done.payment,
        refunded_minor=done.payment.refunded_minor + attempt.amount_minor,
        refunding_minor=done.payment.refunding_minor - attempt.amount_minor,
    )
    done = done.setting(payment)
    if payment.status is PaymentStatus.REFUNDING:
        done = done.moving(PaymentStatus.REFUNDED, refund.reason)
    return done.telling(events.refunded(payment, refund.id, attempt.amount_minor, refund.reason, now))


def record_refused_refund(change: Change, code: str, now: datetime) -> Change:
    """The gateway refused for good: the reservation is released and operations are told."""
    attempt = change.attempt
    refused = change.closing(AttemptState.REFUSED, code, now)
    remaining = replace(refused.payment, refunding_minor=refused.payment.refunding_minor - attempt.amount_minor)
    return refused.setting(remaining).alerting(
        AlertKind.RETRIES_EXHAUSTED, f"refund {attempt.refund_id} was refused by the gateway: {code}"
    )


def next_waiting(change: Change, waiting: Sequence[Refund]) -> Refund | None:
    """The oldest refund that waits for the operation which has just ended."""
    if change.payment.attempt is not None:
        return None
    return next((refund for refund in waiting if refund.state is RefundState.REQUESTED), None)
