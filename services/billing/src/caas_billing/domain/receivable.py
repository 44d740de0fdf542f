"""What a monthly invoice still has to bring, and the attempts at it.

Invariant: at most one attempt of an invoice is open, exactly while it is `processing` or `needs_customer`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

from caas_contracts.money import Money


class ReceivableStatus(StrEnum):
    """Where the money of a monthly invoice is."""

    PROCESSING = "processing"  # an attempt is under way
    NEEDS_CUSTOMER = "needs_customer"  # the attempt waits for the customer's word to the bank (PAY-9)
    RETRY = "retry"  # the schedule, or the end of an outage, will charge again (SUB-6)
    PAID = "paid"  # by one attempt, for good
    UNPAID = "unpaid"  # the schedule is exhausted: in collections


_R = ReceivableStatus

TRANSITIONS: Final[Mapping[ReceivableStatus, frozenset[ReceivableStatus]]] = {
    # The bank's attempt takes the place of the schedule's without a state between them.
    _R.PROCESSING: frozenset({_R.PROCESSING, _R.NEEDS_CUSTOMER, _R.RETRY, _R.PAID, _R.UNPAID}),
    _R.NEEDS_CUSTOMER: frozenset({_R.RETRY, _R.PAID, _R.UNPAID}),
    _R.RETRY: frozenset({_R.PROCESSING, _R.PAID, _R.UNPAID}),
    _R.PAID: frozenset(),
    _R.UNPAID: frozenset({_R.PROCESSING, _R.PAID}),
}
UNDER_WAY: Final = frozenset({_R.PROCESSING, _R.NEEDS_CUSTOMER})


class AskedBy(StrEnum):
    """Who wanted an attempt, and so whether its customer takes part (PAY-9)."""

    SCHEDULE = "schedule"  # under the customer's mandate, without them
    BANK = "bank"  # it refused the schedule's attempt without the customer: the same step again, by a link
    CUSTOMER = "customer"  # of their own accord


class ChargeOutcome(StrEnum):
    """What became of an attempt."""

    PAID = "paid"
    SURPLUS = "surplus"  # confirmed when the invoice was paid already: the money goes back
    FAILED = "failed"
    ABANDONED = "abandoned"  # technical: nobody refused anything
    NOT_ASKED = "not_asked"  # there was no usable method


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at an invoice, a payment of its own (PAY-3); without a payment when there was no usable method."""

    invoice_id: UUID
    attempt: int
    payment_id: UUID | None
    payment_method: str | None
    asked_by: AskedBy
    asked_at: datetime
    outcomes: frozenset[ChargeOutcome] = frozenset()

    @property
    def is_open(self) -> bool:
        """Whether nothing is known of it yet."""
        return not self.outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivable:
    """One monthly invoice's money. `failures` counts the steps of the schedule that failed since `first_failed_at`."""

    invoice_id: UUID
    invoice_number: str
    subscription_id: UUID
    period: date
    amount: Money
    due_on: date
    status: ReceivableStatus
    attempts: int
    failures: int
    first_failed_at: datetime | None
    next_attempt_at: datetime | None
    changed_at: datetime
    collection_id: UUID | None = None

    @property
    def is_collected(self) -> bool:
        """Whether it was given to collections (SUB-6)."""
        return self.collection_id is not None

    def to(self, status: ReceivableStatus, now: datetime, next_attempt_at: datetime | None = None) -> Self:
        """The next state. Raises ValueError for a move that is not possible."""
        if status not in TRANSITIONS[self.status]:
            raise ValueError(f"the receivable of {self.invoice_number} cannot go from {self.status} to {status}")
        return replace(self, status=status, next_attempt_at=next_attempt_at, changed_at=now)
