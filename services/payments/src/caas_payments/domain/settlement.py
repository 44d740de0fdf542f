"""Settlements and chargebacks: what the gateway's statements say about captured money."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from caas_contracts import Money
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


def record_chargeback(payment: Payment, chargeback: Chargeback, now: datetime) -> Change:
    """The customer's bank took it: less is left to refund (PAY-8); reconciliation works it as a case."""
    event = events.charged_back(payment, chargeback.id, chargeback.amount_minor, chargeback.reason, now)
    charged_back_minor = payment.charged_back_minor + chargeback.amount_minor
    return alert_of_overpayment(Change(replace(payment, charged_back_minor=charged_back_minor)).telling(event))
