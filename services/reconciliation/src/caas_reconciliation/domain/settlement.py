"""The gateway's statement of money that moved, line by line (RCN-1), and our expectations of it (RCN-2)."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID


class LineKind(StrEnum):
    """The kinds of lines we know how to book. Another one becomes a case, never an error."""

    CAPTURE = "capture"
    REFUND = "refund"
    CHARGEBACK = "chargeback"
    CHARGEBACK_FEE = "chargeback_fee"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementLine:
    """One raw line. Amounts are signed minor units, negative for money that leaves us; net is gross − fee.

    `reference` is ours, as given at the authorization; `operation_reference` is that of one refund.
    `settled_on` is the gateway's day.
    """

    line_id: str
    transaction_id: str
    reference: str
    operation_reference: str | None
    kind: str
    gross_minor: int
    fee_minor: int
    net_minor: int
    currency: str
    settled_on: date
    payout_id: str
    raw: str


class ExpectationKind(StrEnum):
    """What we expect to see settled."""

    CAPTURE = "capture"
    REFUND = "refund"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Money that must appear in the feed: positive for a capture, negative for a refund.

    Captures have the payment's id, refunds their own.
    """

    expectation_id: UUID
    kind: ExpectationKind
    payment_id: UUID
    customer_id: str
    transaction_id: str | None
    amount_minor: int
    currency: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedLine:
    """A line and the expectation it speaks of.

    `applied_minor` counts towards the expectation (0 for chargebacks); `settled_before_minor` is what
    earlier runs had applied of `expected_minor`.
    """

    line_id: str
    kind: LineKind
    expectation_id: UUID
    payment_id: UUID
    gross_minor: int
    fee_minor: int
    net_minor: int
    applied_minor: int
    currency: str
    settled_on: date
    expected_minor: int
    settled_before_minor: int
    received_at: datetime
