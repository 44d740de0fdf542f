"""Refunds (PAY-8): they queue up one behind the other, and their sum never passes what was captured.

Invariant: a refund under way is an open attempt and a reserved amount, not a state; the payment is REFUNDED when the
gateway said yes. One that is refused is asked for again, at growing intervals, as long as its money is there (DES-4).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from caas_contracts.operations import AlertKind
from caas_payments.domain import events
from caas_payments.domain.attempt import AttemptState, Operation, RetryPolicy
from caas_payments.domain.payment import Change, Dropped, HeldUp, Payment, Proof
from caas_payments.domain.status import TRANSITIONS, PaymentStatus

_REFUSED: Final = "gateway_refused"


class RefundState(StrEnum):
    """A requested refund waits until the gateway made it; only one is asked for at a time.

    It is `refused` when its money is not there any more.
    """

    REQUESTED = "requested"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """One refund, of minor units in the payment's currency.

    `proof` is the verdict on which money goes back that was taken ahead (SVC-6); only a new refund carries it.
    `refusals` counts how often the gateway said no; `delayed_at` is since when it is known not to go by itself.
    """

    id: UUID
    payment_id: UUID
    amount_minor: int
    reason: str
    requested_at: datetime
    state: RefundState = RefundState.REQUESTED
    proof: Proof | None = None
    refusals: int = 0
    delayed_at: datetime | None = None
    delay_reason: str | None = None


def refund_objection(payment: Payment, amount_minor: int, currency: str) -> str | None:
    """Why this refund cannot be made, or None (PAY-8). A capture under way may be refunded: it waits for it."""
    if currency != payment.currency:
        return "other_currency"
    if amount_minor == 0:
        return "nothing_to_refund"
    if payment.captured_minor + payment.capturing_minor == 0:
        return "nothing_captured"
    if payment.intent.taken_ahead and payment.proof is None:
        # The car may still get it: its purchase is cancelled first, and then all of it goes back by itself.
        return "activation_undecided"
    return "more_than_captured" if amount_minor > payment.refundable_minor else None


def request_refund(payment: Payment, refund: Refund, now: datetime) -> Change:
    """Reserve the amount, and ask the gateway unless another operation of this payment is under way."""
    reserved = replace(payment, refunding_minor=payment.refunding_minor + refund.amount_minor)
    change = Change(reserved)
    return change if payment.attempt is not None else _start(change, refund, now)


def record_refund(change: Change, refund: Refund, now: datetime) -> Change:
    """The money went back. REFUNDED means that a refund was made; further partial ones stay in it."""
    amount_minor = change.attempt.amount_minor
    done = _unreserved(change.closing(AttemptState.SUCCEEDED, "refunded", now), amount_minor)
    done = done.setting(replace(done.payment, refunded_minor=done.payment.refunded_minor + amount_minor))
    if PaymentStatus.REFUNDING in TRANSITIONS[done.payment.status]:
        done = done.moving(PaymentStatus.REFUNDING, refund.reason).moving(PaymentStatus.REFUNDED, refund.reason)
    done = done.telling(events.refunded(done.payment, refund.id, amount_minor, refund.reason, now))
    return alert_of_overpayment(done)


def pursue_refused(change: Change, refund: Refund, code: str, retries: RetryPolicy, now: datetime) -> Change:
    """The gateway said no: it is asked again under a new key, later and later, while its money is there (DES-4)."""
    refused = change.closing(AttemptState.REFUSED, code, now)
    if not _is_there(refused.payment, refund):
        return _drop(refused, refund)
    if refund.delayed_at is None:
        refused = refused.telling(events.refund_delayed(refused.payment, refund.id, refund.amount_minor, _REFUSED, now))
        detail = f"refund {refund.id} was refused by the gateway: {code}; it is asked again until it is made"
        refused = refused.alerting(AlertKind.RETRIES_EXHAUSTED, detail)
    refused = refused.adding(HeldUp(refund.id, code, refused=True))
    pause = retries.before_refund(refund.refusals + 1)
    amount_minor = refund.amount_minor
    return refused.opening(Operation.REFUND, amount_minor, now, refund_id=refund.id, alerted=True, delay=pause)


def delay(change: Change, refund_id: UUID, told: str, reason: str, now: datetime) -> Change:
    """The refund under way takes longer than its customer would think: `told` to them, `reason` to operations."""
    amount_minor = change.attempt.amount_minor
    event = events.refund_delayed(change.payment, refund_id, amount_minor, told, now)
    return change.adding(HeldUp(refund_id, reason)).telling(event)


def continue_refunds(change: Change, waiting: Sequence[Refund], now: datetime) -> Change:
    """An operation has ended: ask for the oldest refund that waited for it and still has its money (PAY-8).

    A refund waits for a capture that may be refused, and a chargeback may take the money before its turn.
    """
    for refund in waiting:
        if change.payment.attempt is not None:
            return change
        if refund.state is RefundState.REQUESTED:
            change = _start(change, refund, now) if _is_there(change.payment, refund) else _drop(change, refund)
    return change


def alert_of_overpayment(change: Change) -> Change:
    """A refund and a chargeback that did not know of each other both gave the money back."""
    if not change.payment.overpaid_minor:
        return change
    detail = f"refunds and chargebacks gave back {change.payment.overpaid_minor} more than was captured: contest one"
    return change.alerting(AlertKind.OVER_REFUNDED, detail)


def _start(change: Change, refund: Refund, now: datetime) -> Change:
    return change.opening(Operation.REFUND, refund.amount_minor, now, refund_id=refund.id)


def _drop(change: Change, refund: Refund) -> Change:
    dropped = _unreserved(change, refund.amount_minor).adding(Dropped(refund.id))
    dropped = dropped.rejecting("refund", "more_than_captured")
    return dropped.alerting(
        AlertKind.RETRIES_EXHAUSTED, f"refund {refund.id} was not made: its money was not captured, or is charged back"
    )


def _is_there(payment: Payment, refund: Refund) -> bool:
    left_minor = payment.captured_minor - payment.refunded_minor - payment.charged_back_minor
    return refund.amount_minor <= left_minor


def _unreserved(change: Change, amount_minor: int) -> Change:
    return change.setting(replace(change.payment, refunding_minor=change.payment.refunding_minor - amount_minor))
