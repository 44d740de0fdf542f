"""Subscriptions and where they stand: the state machine of SUB-1, and no other moves.

A subscription sums up its invoices: whether one is being charged, waits for its next attempt, or ended it all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

from caas_billing.domain.sale import Customer


class SubscriptionStatus(StrEnum):
    """Where a subscription stands (SUB-1)."""

    ACTIVE = "active"  # in use, nothing is owed
    BILLING = "billing"  # its period is being closed; never seen outside the closing transaction
    PAYMENT_PROCESSING = "payment_processing"  # an invoice is being charged, or waits for the customer (PAY-9)
    PAID = "paid"  # an invoice was paid; never seen outside that transaction
    RETRY = "retry"  # a charge failed; the schedule charges again (SUB-6)
    CANCELLED_NONPAYMENT = "cancelled_nonpayment"  # the schedule is exhausted: ended, in collections
    CANCELLED_CUSTOMER = "cancelled_customer"  # given up by the customer; what is owed is still charged (SUB-7)


_S = SubscriptionStatus

TRANSITIONS: Final[Mapping[SubscriptionStatus, frozenset[SubscriptionStatus]]] = {
    _S.ACTIVE: frozenset({_S.BILLING, _S.CANCELLED_CUSTOMER}),
    _S.BILLING: frozenset({_S.PAYMENT_PROCESSING, _S.ACTIVE, _S.RETRY}),
    _S.PAYMENT_PROCESSING: frozenset({_S.BILLING, _S.PAID, _S.RETRY, _S.CANCELLED_NONPAYMENT, _S.CANCELLED_CUSTOMER}),
    _S.PAID: frozenset({_S.ACTIVE, _S.PAYMENT_PROCESSING, _S.RETRY}),
    _S.RETRY: frozenset({_S.BILLING, _S.PAYMENT_PROCESSING, _S.PAID, _S.CANCELLED_NONPAYMENT, _S.CANCELLED_CUSTOMER}),
    _S.CANCELLED_NONPAYMENT: frozenset(),
    _S.CANCELLED_CUSTOMER: frozenset(),
}
ENDED: Final = frozenset({_S.CANCELLED_NONPAYMENT, _S.CANCELLED_CUSTOMER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was agreed; never changes. `vat_rate_bp` 2100 is 21 %."""

    subscription_id: UUID
    customer: Customer
    vehicle_id: str
    service_code: str
    service_name: str
    plan_code: str
    plan_version: int
    currency: str
    vat_rate_bp: int
    activation_id: UUID
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a subscription stands. `next_period` is the first day of the first month that is not closed, if any.

    `ended_at` is when the service ended for the customer: use from then on is not charged (SUB-7).
    """

    subscription_id: UUID
    status: SubscriptionStatus
    next_period: date | None
    ended_at: datetime | None
    payment_method: str
    method_refused: bool
    changed_at: datetime

    @property
    def has_ended(self) -> bool:
        """Whether it is cancelled, by whomever."""
        return self.status in ENDED

    def to(self, status: SubscriptionStatus, now: datetime) -> Self:
        """The next state. Raises ValueError for a move that SUB-1 does not know; staying is no move."""
        if status is self.status:
            return self
        if status not in TRANSITIONS[self.status]:
            raise ValueError(f"subscription {self.subscription_id} cannot go from {self.status} to {status}")
        return replace(self, status=status, changed_at=now)

    def cancelled(self, cancelled_at: datetime, now: datetime) -> Self:
        """Given up by the customer (SUB-7). One that ended already can only have ended earlier than was known."""
        ended_at = cancelled_at if self.ended_at is None else min(self.ended_at, cancelled_at)
        ended = replace(self, ended_at=ended_at, changed_at=now) if ended_at != self.ended_at else self
        return ended if self.has_ended else ended.to(_S.CANCELLED_CUSTOMER, now)


def started(terms: Terms, payment_method: str, first_period: date, now: datetime) -> Standing:
    """A new subscription: active at once, with no payment (SUB-1); its first month is the first to be billed."""
    return Standing(
        subscription_id=terms.subscription_id,
        status=_S.ACTIVE,
        next_period=first_period,
        ended_at=None,
        payment_method=payment_method,
        method_refused=False,
        changed_at=now,
    )
