"""Purchases that renew themselves: a period is charged first, and only then given (REC-1 to REC-4).

Invariant: the end of a purchase moves only by a paid period, reckoned from the anchor; a recurrence that has ended
takes no further money, and money that comes all the same goes back.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from caas_contracts.message import Message
from caas_contracts.payments import PaymentPurpose, RefundPayment
from caas_contracts.purchase_life import ChargeRenewal, PurchaseRenewed, RecurrenceEnded
from caas_orders.domain.civil_time import months_after
from caas_orders.domain.notification import NoticeKind
from caas_orders.domain.purchase import (
    CANCELLED_BY_CUSTOMER,
    GATEWAY_UNREACHABLE,
    SETTLEMENT_FAILED,
    VEHICLE_STOLEN,
    Purchase,
    first_instant,
    subject_of,
)
from caas_orders.domain.status import PurchaseStatus

PAYMENT_FAILED: Final = "payment_failed"
LEAD: Final = timedelta(days=1)
"""A period is charged so long before it begins: a bank's confirmation and a gateway's outage fit into a day."""
PAUSES: Final = tuple(timedelta(hours=h) for h in (1, 2, 4))
"""Before an unreachable gateway is tried again; the last one repeats. GW-2 has already tried for seconds."""


class RecurrenceStatus(StrEnum):
    """Whether there will be another period."""

    RUNNING = "running"
    RENEWING = "renewing"  # the next period's payment was asked for
    ENDED = "ended"  # what is paid is kept to its end (REC-2, REC-3)


class RenewalOutcome(StrEnum):
    """What became of one payment of a period; nothing while nobody knows."""

    PAID = "paid"
    FAILED = "failed"
    ABANDONED = "abandoned"
    GIVEN_BACK = "given_back"


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What a purchase will renew next. Instants are UTC, business time."""

    purchase_id: UUID
    anchor_at: datetime
    next_period: int
    next_renewal_at: datetime
    changed_at: datetime
    attempts: int = 0
    status: RecurrenceStatus = RecurrenceStatus.RUNNING
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Renewal:
    """One payment of one further period."""

    payment_id: UUID
    purchase_id: UUID
    period_number: int
    attempt: int
    period_from: datetime
    period_to: datetime
    asked_at: datetime
    outcome: RenewalOutcome | None = None
    reason: str = ""
    known_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecurrenceChange:
    """What a fact made of a recurrence, its purchase and one of its renewals, and whom to tell."""

    purchase: Purchase
    recurrence: Recurrence
    renewal: Renewal | None = None
    messages: tuple[Message, ...] = ()
    notice: NoticeKind | None = None


def boundary(anchor_at: datetime, period_number: int, period_months: int, time_zone: str) -> datetime:
    """REC-4: when a period begins, the first being 1; reckoned from the anchor, in the customer's calendar."""
    return months_after(anchor_at, (period_number - 1) * period_months, ZoneInfo(time_zone))


def begin_recurrence(purchase: Purchase, now: datetime) -> RecurrenceChange:
    """REC-1: the first period has begun; when its purchase was being given up meanwhile, it is the only one (REC-2).

    Raises AssertionError for what is not active or does not recur.
    """
    if purchase.activated_at is None or purchase.ends_at is None or purchase.period_months is None:
        raise AssertionError(f"purchase {purchase.purchase_id} has no first period")
    anchor_at = first_instant(purchase, purchase.activated_at)
    recurrence = Recurrence(purchase.purchase_id, anchor_at, 2, purchase.ends_at - LEAD, now)
    if purchase.cancelled_at is not None:  # Or because it is stolen (THF-2).
        reason = VEHICLE_STOLEN if purchase.reason == VEHICLE_STOLEN else CANCELLED_BY_CUSTOMER
        return _ended(purchase, recurrence, reason, NoticeKind.RECURRENCE_CANCELLED, now)
    if purchase.reason == SETTLEMENT_FAILED:
        return _ended(purchase, recurrence, SETTLEMENT_FAILED, NoticeKind.RENEWAL_FAILED, now)
    return RecurrenceChange(purchase, recurrence)


def renewal_due(purchase: Purchase, recurrence: Recurrence, now: datetime) -> RecurrenceChange:
    """REC-1: the next period is charged, before it begins, and without its customer (PAY-9)."""
    is_due = recurrence.status is RecurrenceStatus.RUNNING and recurrence.next_renewal_at <= now
    if not is_due or purchase.status is not PurchaseStatus.ACTIVE:
        return RecurrenceChange(purchase, recurrence)
    attempt = recurrence.attempts + 1
    renewal = Renewal(
        payment_id=uuid5(purchase.purchase_id, f"period:{recurrence.next_period}:{attempt}"),
        purchase_id=purchase.purchase_id,
        period_number=recurrence.next_period,
        attempt=attempt,
        period_from=_begin(purchase, recurrence, recurrence.next_period),
        period_to=_begin(purchase, recurrence, recurrence.next_period + 1),
        asked_at=now,
    )
    asked = replace(recurrence, status=RecurrenceStatus.RENEWING, attempts=attempt, changed_at=now)
    return RecurrenceChange(purchase, asked, renewal, (_charge(purchase, renewal, now),))


def renewal_paid(purchase: Purchase, recurrence: Recurrence, renewal: Renewal, now: datetime) -> RecurrenceChange:
    """REC-1: paid, so the period is the customer's. One that was stopped meanwhile goes back (REC-2)."""
    if renewal.outcome is not None:
        return RecurrenceChange(purchase, recurrence)
    if recurrence.status is not RecurrenceStatus.RENEWING or purchase.status is not PurchaseStatus.ACTIVE:
        known = replace(renewal, outcome=RenewalOutcome.GIVEN_BACK, reason=recurrence.reason, known_at=now)
        return RecurrenceChange(purchase, recurrence, known, (_give_back(purchase, renewal, now),))
    renewed = replace(purchase, ends_at=renewal.period_to, updated_at=now)
    advanced = replace(
        recurrence,
        status=RecurrenceStatus.RUNNING,
        next_period=renewal.period_number + 1,
        next_renewal_at=renewal.period_to - LEAD,
        attempts=0,
        changed_at=now,
    )
    event = PurchaseRenewed(
        **subject_of(renewed, now),
        period_number=renewal.period_number,
        payment_id=renewal.payment_id,
        activation_id=purchase.activation_id,
        period_from=renewal.period_from,
        period_to=renewal.period_to,
    )
    known = replace(renewal, outcome=RenewalOutcome.PAID, known_at=now)
    return RecurrenceChange(renewed, advanced, known, (event,), NoticeKind.RENEWED)


def renewal_failed(
    purchase: Purchase, recurrence: Recurrence, renewal: Renewal, reason: str, now: datetime
) -> RecurrenceChange:
    """REC-3: declined: no further period, and what is paid is kept."""
    if renewal.outcome is not None:
        return RecurrenceChange(purchase, recurrence)
    known = replace(renewal, outcome=RenewalOutcome.FAILED, reason=reason, known_at=now)
    if recurrence.status is not RecurrenceStatus.RENEWING:
        return RecurrenceChange(purchase, recurrence, known)
    return _ended(purchase, recurrence, PAYMENT_FAILED, NoticeKind.RENEWAL_FAILED, now, known)


def renewal_abandoned(purchase: Purchase, recurrence: Recurrence, renewal: Renewal, now: datetime) -> RecurrenceChange:
    """Nothing was taken, and it is nobody's fault but ours: tried again while the paid period lasts."""
    if renewal.outcome is not None:
        return RecurrenceChange(purchase, recurrence)
    known = replace(renewal, outcome=RenewalOutcome.ABANDONED, reason=GATEWAY_UNREACHABLE, known_at=now)
    if recurrence.status is not RecurrenceStatus.RENEWING:
        return RecurrenceChange(purchase, recurrence, known)
    again_at = now + PAUSES[min(renewal.attempt, len(PAUSES)) - 1]
    if again_at >= renewal.period_from:
        return _ended(purchase, recurrence, GATEWAY_UNREACHABLE, NoticeKind.RENEWAL_FAILED, now, known)
    waiting = replace(recurrence, status=RecurrenceStatus.RUNNING, next_renewal_at=again_at, changed_at=now)
    return RecurrenceChange(purchase, waiting, known)


def confirmation_needed(purchase: Purchase, recurrence: Recurrence, renewal: Renewal) -> RecurrenceChange:
    """PAY-9: the bank wants to hear from the customer; nothing is known about the payment yet."""
    is_open = renewal.outcome is None and recurrence.status is RecurrenceStatus.RENEWING
    return RecurrenceChange(purchase, recurrence, renewal, notice=NoticeKind.CONFIRMATION_NEEDED if is_open else None)


def end_recurrence(
    purchase: Purchase, recurrence: Recurrence, now: datetime, reason: str = CANCELLED_BY_CUSTOMER
) -> RecurrenceChange:
    """REC-2, THF-2: no later period; the running one is kept. Asked again, the same answer."""
    if recurrence.status is RecurrenceStatus.ENDED or purchase.status is not PurchaseStatus.ACTIVE:
        return RecurrenceChange(purchase, recurrence)
    stopped = replace(purchase, cancelled_at=now, updated_at=now)
    return _ended(stopped, recurrence, reason, NoticeKind.RECURRENCE_CANCELLED, now)


def _ended(
    purchase: Purchase,
    recurrence: Recurrence,
    reason: str,
    notice: NoticeKind,
    now: datetime,
    renewal: Renewal | None = None,
) -> RecurrenceChange:
    ended = replace(recurrence, status=RecurrenceStatus.ENDED, reason=reason, changed_at=now)
    event = RecurrenceEnded(**subject_of(purchase, now), reason=reason, ends_at=purchase.ends_at)
    return RecurrenceChange(purchase, ended, renewal, (event,), notice)


def _begin(purchase: Purchase, recurrence: Recurrence, period_number: int) -> datetime:
    if purchase.period_months is None:
        raise AssertionError(f"purchase {purchase.purchase_id} does not recur")
    return boundary(recurrence.anchor_at, period_number, purchase.period_months, purchase.time_zone)


def _charge(purchase: Purchase, renewal: Renewal, now: datetime) -> ChargeRenewal:
    """One intent, one key (PAY-7); a further attempt follows only on the word that nothing was taken."""
    again = f":attempt:{renewal.attempt}" if renewal.attempt > 1 else ""
    return ChargeRenewal(
        payment_id=renewal.payment_id,
        idempotency_key=f"purchase:{purchase.purchase_id}:period:{renewal.period_number}{again}",
        purpose=PaymentPurpose.SERVICE,
        customer_id=purchase.customer_id,
        subject_id=purchase.purchase_id,
        vehicle_id=purchase.vehicle_id,
        service_code=purchase.service_code,
        amount=purchase.price,
        payment_method=purchase.payment_method,
        requested_at=now,
        renewed_activation_id=purchase.activation_id,
        period_number=renewal.period_number,
    )


def _give_back(purchase: Purchase, renewal: Renewal, now: datetime) -> RefundPayment:
    return RefundPayment(
        payment_id=renewal.payment_id,
        refund_id=uuid5(renewal.payment_id, "recurrence_ended"),
        amount=purchase.price,
        reason="recurrence_ended",
        requested_at=now,
    )
