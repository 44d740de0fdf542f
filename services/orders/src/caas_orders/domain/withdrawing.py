"""Withdrawing from a purchase (DES): whether, until when, what goes back, and the way to its end.

A declaration promises and changes nothing; the confirmation ends the purchase for every other use. Invariants: a
purchase has one withdrawal and that one refund, whose ids follow from it; and what was withdrawn ends paid back and
out of the car, or was never charged.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from caas_contracts.money import Money
from caas_contracts.payments import RefundPayment
from caas_contracts.purchase_life import PurchaseWithdrawn, WithdrawalConfirmed
from caas_orders.domain.notification import NoticeKind
from caas_orders.domain.purchase import Change, Purchase, payment_of, step_to, subject_of, taken_out
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.status import (
    ENDED_WITHOUT_SERVICE,
    IN_PROGRESS,
    MoneyOutcome,
    PurchaseStatus,
)

RIGHT_DAYS: Final = 14
"""DES-1, DES-2: calendar days after that of the purchase; article 9 of Directive 2011/83/EU."""
WITHDRAWAL: Final = "withdrawal"
_PAID_AHEAD: Final = frozenset({PurchaseStatus.SETTLING, PurchaseStatus.SCHEDULED})


class WithdrawalStatus(StrEnum):
    """Where a withdrawal stands, as its customer sees it."""

    DECLARED = "declared"  # the first step; nothing has changed yet
    CONFIRMED = "confirmed"  # the refund and the deactivation are under way
    DEACTIVATED = "deactivated"  # out of the car; the money is on its way
    REFUND_DELAYED = "refund_delayed"  # the gateway has not made the refund yet; it is pursued
    REFUNDED = "refunded"  # paid back; the car has not answered yet
    DONE = "done"  # paid back or never charged, and out of the car


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A declaration and what became of it (DES-7). `refund_due` includes VAT; instants are UTC, business time."""

    withdrawal_id: UUID
    purchase_id: UUID
    declared_at: datetime
    refund_due: Money
    confirmed_at: datetime | None = None
    refund_id: UUID | None = None  # what payments was asked for; none when nothing had been taken
    refund_delayed_at: datetime | None = None
    refunded_at: datetime | None = None
    completed_at: datetime | None = None

    def status_of(self, purchase: Purchase) -> WithdrawalStatus:
        """How far the money and the car of this withdrawn purchase have come."""
        if self.confirmed_at is None:
            return WithdrawalStatus.DECLARED
        if self.completed_at is not None:
            return WithdrawalStatus.DONE
        if self.refunded_at is not None:
            return WithdrawalStatus.REFUNDED
        if self.refund_delayed_at is not None:
            return WithdrawalStatus.REFUND_DELAYED
        return WithdrawalStatus.DEACTIVATED if purchase.deactivated_at else WithdrawalStatus.CONFIRMED


@dataclass(frozen=True, slots=True)
class Right:
    """What the customer may do now. `until` is the first instant at which it is too late; `objection` says why not."""

    until: datetime
    refund: Money
    objection: Refusal | None

    def last_day(self, zone: ZoneInfo) -> date:
        """The last local day on which there is still a moment for it."""
        return (self.until - timedelta(microseconds=1)).astimezone(zone).date()


def right_of(purchase: Purchase, zone: ZoneInfo, now: datetime) -> Right:
    """Whether this purchase can be withdrawn from (DES-1 to DES-3). `zone` is that of the billing calendar."""
    until = _right_ends(purchase, zone)
    return Right(until, refund_due(purchase), _objection(purchase, until, now))


def refund_due(purchase: Purchase) -> Money:
    """What has been taken and goes back: the whole price, or nothing when it is only held or was written off."""
    taken = purchase.money is MoneyOutcome.CAPTURED or purchase.status in _PAID_AHEAD
    return purchase.price if taken else nothing_of(purchase)


def nothing_of(purchase: Purchase) -> Money:
    """No money, in the currency of the purchase."""
    return Money(amount_minor=0, currency=purchase.price.currency)


def withdrawal_id_of(purchase_id: UUID) -> UUID:
    """The one withdrawal that a purchase can have (DES-6)."""
    return uuid5(purchase_id, WITHDRAWAL)


def refund_id_of(purchase_id: UUID) -> UUID:
    """The one refund that a withdrawal can ask for (DES-6)."""
    return uuid5(withdrawal_id_of(purchase_id), "refund")


def declared(purchase: Purchase, now: datetime) -> Withdrawal:
    """The first step (DES-7): what is promised; nothing changes yet."""
    return Withdrawal(withdrawal_id_of(purchase.purchase_id), purchase.purchase_id, now, refund_due(purchase))


def confirm(purchase: Purchase, withdrawal: Withdrawal, now: datetime) -> Change:
    """The second step (DES-7, DES-4): what is active goes back, what is pending is given up (SVC-11)."""
    withdrawn = replace(purchase, withdrawal_id=withdrawal.withdrawal_id, updated_at=now)
    fact = WithdrawalConfirmed(
        **subject_of(withdrawn, now),
        withdrawal_id=withdrawal.withdrawal_id,
        declared_at=withdrawal.declared_at,
        refund_due=refund_due(purchase),
    )
    confirmed = Change(withdrawn, (fact,))
    if withdrawn.status is PurchaseStatus.ACTIVE:
        return confirmed.then(_take_back(withdrawn, now))
    given_up = withdrawn.cancel(now)
    if isinstance(given_up, Refusal):  # Applied or captured, so that it will be active: it goes back then.
        return confirmed
    return withdrawal_followed(purchase, confirmed.then(given_up), now)


def refund_asked_again(purchase: Purchase, now: datetime) -> Change:
    """The money is not back yet. The same refund is asked for again (DES-6): to payments it is the one that it knows.

    It may not know it: what was taken ahead goes back only after the success of the activation (SVC-6), of which
    payments hears on its own way, perhaps after this request.
    """
    if purchase.status is not PurchaseStatus.WITHDRAWING:
        return Change(purchase)
    return Change(purchase, (_refund(purchase, now),))


def refund_made(purchase: Purchase, refund_id: UUID, refunded_total: Money, now: datetime) -> Change:
    """DES-4: the money is back: by the refund of this withdrawal, or because others have covered it."""
    if purchase.status is not PurchaseStatus.WITHDRAWING:
        return Change(purchase)
    covered = refunded_total.amount_minor >= purchase.price.amount_minor
    if refund_id != refund_id_of(purchase.purchase_id) and not covered:
        return Change(purchase)
    return _paid_back(replace(purchase, money=MoneyOutcome.REFUNDED), now)


def car_answered(purchase: Purchase, taken_out_at: datetime, now: datetime) -> Change:
    """OTA-4: the car has taken the service out, for whatever reason; the first time counts."""
    if purchase.deactivated_at is not None:
        return Change(purchase)
    return Change(replace(purchase, deactivated_at=taken_out_at, updated_at=now))


def withdrawal_followed(before: Purchase, change: Change, now: datetime) -> Change:
    """What a change of a withdrawn purchase means for its withdrawal; any other purchase's change as it is.

    A success that was faster than the cancellation goes back now (SVC-11, DES-4); the end of both the money and the
    car is published, once.
    """
    if change.purchase.withdrawal_id is None:
        return change
    if change.purchase.status is PurchaseStatus.ACTIVE:
        change = replace(change, notice=None).then(_take_back(change.purchase, now))
    if is_done(change.purchase) and not is_done(before):
        change = change.then(Change(change.purchase, (_withdrawn(change.purchase, now),)))
    return change


def progressed(withdrawal: Withdrawal, purchase: Purchase, now: datetime) -> Withdrawal:
    """The withdrawal as its purchase stands now; instants that are known stay as they are."""
    paid_back = purchase.money is MoneyOutcome.REFUNDED
    asked = purchase.status in (PurchaseStatus.WITHDRAWING, PurchaseStatus.WITHDRAWN) and (
        purchase.money is not MoneyOutcome.WRITTEN_OFF
    )
    return replace(
        withdrawal,
        refund_due=purchase.price if asked else withdrawal.refund_due,
        refund_id=refund_id_of(purchase.purchase_id) if asked else withdrawal.refund_id,
        refunded_at=withdrawal.refunded_at or (now if paid_back else None),
        completed_at=withdrawal.completed_at or (now if is_done(purchase) else None),
    )


def is_done(purchase: Purchase) -> bool:
    """Whether a withdrawn purchase is at its end: never charged, or paid back and out of the car."""
    if purchase.withdrawal_id is None:
        return False
    is_out = purchase.deactivated_at is not None
    return purchase.status in ENDED_WITHOUT_SERVICE or (purchase.status is PurchaseStatus.WITHDRAWN and is_out)


def _right_ends(purchase: Purchase, zone: ZoneInfo) -> datetime:
    """The first instant without the right. For a short service that does not run yet, the earliest it can be."""
    days = purchase.duration_days
    if days is not None and days <= RIGHT_DAYS:  # DES-2
        begins_at = purchase.starts_at or purchase.requested_at
        return purchase.ends_at or begins_at + timedelta(days=days)
    bought_on = purchase.requested_at.astimezone(zone).date()
    over_on = bought_on + timedelta(days=RIGHT_DAYS + 1)  # DES-1: the last day is included.
    over_at = datetime.combine(over_on, time.min, zone).astimezone(UTC)
    if purchase.starts_at is not None and purchase.status in IN_PROGRESS:
        return max(over_at, purchase.starts_at)  # PLN-1: until its date it is paid back in any case.
    return over_at if purchase.ends_at is None else min(over_at, purchase.ends_at)


def _objection(purchase: Purchase, until: datetime, now: datetime) -> Refusal | None:
    if purchase.withdrawal_id is not None:
        return Refusal(RefusalCode.ALREADY_WITHDRAWN, "this purchase was withdrawn from: see where it stands")
    if purchase.payment_id is None or purchase.period_months is not None:  # DES-3
        detail = f"a {purchase.kind} purchase is not withdrawn from: cancel it, and nothing more is charged"
        return Refusal(RefusalCode.CANCEL_INSTEAD, detail)
    if purchase.status in ENDED_WITHOUT_SERVICE:
        return Refusal(RefusalCode.NOTHING_TO_WITHDRAW, f"the purchase is {purchase.status}: nothing is charged")
    is_short = purchase.duration_days is not None and purchase.duration_days <= RIGHT_DAYS
    if is_short and purchase.status in IN_PROGRESS:
        return None  # DES-2: it has not begun, so it has not ended.
    if purchase.status is PurchaseStatus.EXPIRED or (is_short and now >= until):
        return Refusal(RefusalCode.SERVICE_ENDED, f"the service ended at {until.isoformat()}")
    if now >= until:
        return Refusal(RefusalCode.WITHDRAWAL_PERIOD_OVER, f"the right of withdrawal ended at {until.isoformat()}")
    return None


def _take_back(purchase: Purchase, now: datetime) -> Change:
    """DES-4: out of the car, and what was captured goes back; what was written off cost the customer nothing."""
    withdrawing = replace(purchase, status=step_to(purchase, PurchaseStatus.WITHDRAWING), updated_at=now)
    if purchase.money is MoneyOutcome.WRITTEN_OFF:  # SVC-8
        change = taken_out(withdrawing, WITHDRAWAL, now)
        return change.then(_paid_back(change.purchase, now))
    return Change(withdrawing, (_refund(purchase, now),)).then(taken_out(withdrawing, WITHDRAWAL, now))


def _refund(purchase: Purchase, now: datetime) -> RefundPayment:
    return RefundPayment(
        payment_id=payment_of(purchase),
        refund_id=refund_id_of(purchase.purchase_id),
        amount=purchase.price,
        reason=WITHDRAWAL,
        requested_at=now,
    )


def _paid_back(purchase: Purchase, now: datetime) -> Change:
    withdrawn = replace(purchase, status=step_to(purchase, PurchaseStatus.WITHDRAWN), updated_at=now)
    return Change(withdrawn, notice=NoticeKind.WITHDRAWN)


def _withdrawn(purchase: Purchase, now: datetime) -> PurchaseWithdrawn:
    refunded = purchase.price if purchase.money is MoneyOutcome.REFUNDED else nothing_of(purchase)
    return PurchaseWithdrawn(
        **subject_of(purchase, now),
        withdrawal_id=withdrawal_id_of(purchase.purchase_id),
        refunded=refunded,
    )
