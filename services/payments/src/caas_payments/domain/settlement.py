"""Settlements and chargebacks: what the gateway's statements say about captured money."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from caas_contracts import Money
from caas_contracts.operations import AlertKind
from caas_payments.domain import events
from caas_payments.domain.payment import Change, Payment
from caas_payments.domain.refund import alert_of_overpayment
from caas_payments.domain.status import TRANSITIONS, PaymentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementLine:
    """One line of the settlement feed that explains money of this payment."""

    id: str
    payment_id: UUID
    gross: Money
    fee: Money
    settled_on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chargeback:
    """A customer's bank took captured money back."""

    id: str
    payment_id: UUID
    amount_minor: int
    reason: str


def settlement_objection(payment: Payment, line: SettlementLine) -> str | None:
    """Why a person may not record this line, or None; the feed's own lines are believed (RCN-2)."""
    if line.gross.currency != payment.currency or line.fee.currency != payment.currency:
        return "other_currency"
    if payment.captured_minor == 0:
        return "nothing_captured"
    settled_minor = payment.settled_minor + line.gross.amount_minor
    return "more_than_captured" if settled_minor > payment.captured_minor else None


def record_line(payment: Payment, line: SettlementLine, now: datetime) -> Change:
    """Money of this payment reached the bank; partial lines add up. Each line is recorded once.

    A line that is faster than the capture's own answer is kept: the capture settles the payment then.
    """
    if line.gross.currency != payment.currency:
        return Change(payment).rejecting("settle", "other_currency")
    credited = replace(payment, settled_minor=payment.settled_minor + line.gross.amount_minor)
    change = Change(credited).telling(events.settled(credited, line.gross, line.fee, line.id, now))
    if payment.captured_minor and PaymentStatus.SETTLED in TRANSITIONS[payment.status]:
        return change.moving(PaymentStatus.SETTLED, line.id)
    return change


def failure_objection(payment: Payment) -> str | None:
    """Why the settlement of this payment cannot have failed, or None."""
    if payment.captured_minor == 0:
        return "nothing_captured"
    if PaymentStatus.SETTLEMENT_FAILED not in TRANSITIONS[payment.status]:
        return "settled_or_ended"
    return "nothing_outstanding" if _outstanding_minor(payment) <= 0 else None


def fail_settlement(payment: Payment, reason: str, now: datetime) -> Change:
    """SVC-8: the money will not come. What was delivered is kept and the loss written off.

    Money that was taken ahead of an activation to come is no loss yet: whoever cancels it has it reversed.
    """
    change = Change(payment)
    if payment.status is PaymentStatus.SETTLEMENT_FAILED:
        return change
    objection = failure_objection(payment)
    if objection is not None:
        return change.rejecting("fail_settlement", objection)
    lost_minor = _outstanding_minor(payment)
    failed = change.moving(PaymentStatus.SETTLEMENT_FAILED, reason)
    failed = failed.telling(events.settlement_lost(failed.payment, lost_minor, reason, now))
    undecided = payment.intent.taken_ahead and not payment.delivered
    what_now = "it is reversed when its purchase is cancelled" if undecided else "the loss is written off"
    return failed.alerting(AlertKind.SETTLEMENT_FAILED, f"the money did not come: {reason}; {what_now}")


def _outstanding_minor(payment: Payment) -> int:
    """What was taken, and neither came to the bank nor went back nor is on its way back."""
    gone_minor = payment.settled_minor + payment.refunded_minor + payment.refunding_minor + payment.charged_back_minor
    return payment.captured_minor - gone_minor


def record_chargeback(payment: Payment, chargeback: Chargeback, now: datetime) -> Change:
    """The customer's bank took it: less is left to refund (PAY-8); reconciliation works it as a case."""
    event = events.charged_back(payment, chargeback.id, chargeback.amount_minor, chargeback.reason, now)
    charged_back_minor = payment.charged_back_minor + chargeback.amount_minor
    return alert_of_overpayment(Change(replace(payment, charged_back_minor=charged_back_minor)).telling(event))
