"""The posting rules of the ledger (RCN-6): from a fact to a balanced entry, and from nothing else.

An entry is identified by its source (kind and id), so that a fact is posted once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never
from uuid import UUID

from caas_reconciliation.domain.accounts import Account
from caas_reconciliation.domain.facts import Fact, FactKind
from caas_reconciliation.domain.settlement import LineKind, MatchedLine
from caas_reconciliation.errors import UnbalancedEntry


class SourceKind(StrEnum):
    """Sources of entries that are no message of another service."""

    UNPAID_SALE = "unpaid_sale"
    """A service delivered without a capture (SVC-8); the id is the payment's."""
    PREPAID_INVOICE = "prepaid_invoice"
    """A service that was paid ahead is delivered (PLN-1); the id is the invoice's."""
    PREPAID_CREDIT_NOTE = "prepaid_credit_note"
    """A sale of a service that was paid ahead is taken back; the id is the credit note's."""
    PREPAID_REFUND = "prepaid_refund"
    """Money that was paid ahead went back; the id is the refund's."""
    SETTLEMENT_LINE = "settlement_line"
    CASE_RESOLUTION = "case_resolution"


@dataclass(frozen=True, slots=True)
class Line:
    """One side of an entry: a debit is positive, a credit negative, in minor units of the entry's currency."""

    account: Account
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A balanced set of lines in one currency. Raises UnbalancedEntry when they do not add up to zero."""

    source_kind: str
    source_id: str
    payment_id: UUID | None
    currency: str
    occurred_at: datetime
    message_id: str
    lines: tuple[Line, ...]

    def __post_init__(self) -> None:
        if sum(line.amount_minor for line in self.lines) != 0:
            raise UnbalancedEntry(f"{self.source_kind} {self.source_id} does not balance: correct its posting rule")


_MOVES: Final[Mapping[FactKind, tuple[Account, Account]]] = {
    FactKind.PAYMENT_CAPTURED: (Account.CASH_IN_TRANSIT, Account.RECEIVABLE),
    FactKind.SALE_CONFIRMED: (Account.CASH_IN_TRANSIT, Account.RECEIVABLE),
    FactKind.PREPAYMENT_CONFIRMED: (Account.CASH_IN_TRANSIT, Account.CUSTOMER_PREPAYMENTS),
    FactKind.PAYMENT_REFUNDED: (Account.RECEIVABLE, Account.CASH_IN_TRANSIT),
    # SVC-8: the customer keeps the service, the loss is written off.
    FactKind.CAPTURE_FAILED: (Account.WRITE_OFFS, Account.RECEIVABLE),
    FactKind.SETTLEMENT_FAILED: (Account.WRITE_OFFS, Account.CASH_IN_TRANSIT),
    # SUB-6: still owed, and doubtful until a late payment comes.
    FactKind.COLLECTION_OPENED: (Account.DOUBTFUL_RECEIVABLES, Account.RECEIVABLE),
    FactKind.COLLECTION_SETTLED: (Account.RECEIVABLE, Account.DOUBTFUL_RECEIVABLES),
}
"""Facts that move their whole amount: the account that is debited, and the one that is credited."""


def entries_of(fact: Fact) -> list[Entry]:
    """The entry of one fact by itself; none when no money of ours moved."""
    return _entries(fact, str(fact.kind), fact.fact_id, _lines_of(fact))


def _lines_of(fact: Fact) -> list[Line]:
    amount, base = fact.amount_minor, fact.amount_minor - fact.vat_minor
    match fact.kind:
        case (
            FactKind.PAYMENT_CAPTURED
            | FactKind.SALE_CONFIRMED
            | FactKind.PREPAYMENT_CONFIRMED
            | FactKind.PAYMENT_REFUNDED
            | FactKind.CAPTURE_FAILED
            | FactKind.SETTLEMENT_FAILED
            | FactKind.COLLECTION_OPENED
            | FactKind.COLLECTION_SETTLED
        ):
            debited, credited = _MOVES[fact.kind]
            return [Line(debited, amount), Line(credited, -amount)]
        case FactKind.INVOICE_ISSUED:  # RES-5: a vehicle's revenue is its whole price, part of it paid in advance
            return _sale(amount, base, fact.advance_minor)
        case FactKind.RESERVATION_INVOICED | FactKind.RESERVATION_CREDITED | FactKind.RESERVATION_FORFEITED:
            return _of_advance(fact.kind, amount, base)
        case FactKind.CREDIT_NOTE_ISSUED:
            return [
                Line(Account.REFUNDS, base),
                Line(Account.VAT_OUTPUT, amount - base),
                Line(Account.RECEIVABLE, -amount),
            ]
        case FactKind.PURCHASE_PLACED | FactKind.VEHICLE_ORDER_PLACED | FactKind.CHARGEBACK_RECEIVED:
            return []
        case _:
            assert_never(fact.kind)


def _sale(amount: int, base: int, advance: int = 0) -> list[Line]:
    return [
        Line(Account.RECEIVABLE, amount),
        Line(Account.CUSTOMER_ADVANCES, advance),
        Line(Account.REVENUE, -base - advance),
        Line(Account.VAT_OUTPUT, base - amount),
    ]


def _of_advance(kind: FactKind, amount: int, base: int) -> list[Line]:
    if kind is FactKind.RESERVATION_FORFEITED:  # FIN-4: the VAT stays as it was invoiced
        return [Line(Account.CUSTOMER_ADVANCES, base), Line(Account.FORFEITED_RESERVATIONS, -base)]
    sign = 1 if kind is FactKind.RESERVATION_INVOICED else -1
    return [
        Line(Account.RECEIVABLE, sign * amount),
        Line(Account.CUSTOMER_ADVANCES, -sign * base),
        Line(Account.VAT_OUTPUT, sign * (base - amount)),
    ]


def unpaid_sale(placed: Fact) -> list[Entry]:
    """The sale of a service that was delivered and could not be captured: no invoice will post it (SVC-8)."""
    lines = _sale(placed.amount_minor, placed.amount_minor - placed.vat_minor)
    return _entries(placed, SourceKind.UNPAID_SALE, str(placed.payment_id), lines)


OF_PREPAYMENTS: Final[Mapping[FactKind, SourceKind]] = {
    FactKind.INVOICE_ISSUED: SourceKind.PREPAID_INVOICE,
    FactKind.CREDIT_NOTE_ISSUED: SourceKind.PREPAID_CREDIT_NOTE,
    FactKind.PAYMENT_REFUNDED: SourceKind.PREPAID_REFUND,
}
"""Facts that post to the receivable, and what moves that to the prepayment when the payment was one."""


def of_prepayment(fact: Fact) -> list[Entry]:
    """What a fact posts to the receivable is a matter of the prepayment, when its payment was taken ahead (PLN-1).

    So a prepayment is a liability until the service is invoiced or the money is given back, whichever is told first.
    """
    owed = sum(line.amount_minor for line in _lines_of(fact) if line.account is Account.RECEIVABLE)
    lines = [Line(Account.CUSTOMER_PREPAYMENTS, owed), Line(Account.RECEIVABLE, -owed)]
    return _entries(fact, OF_PREPAYMENTS[fact.kind], fact.fact_id, lines)


def settlement(line: MatchedLine, message_id: str) -> list[Entry]:
    """Money of a matched line: the net at the bank, the fee spent, the gross no longer in transit.

    A chargeback was settled before, so it is not in transit: it is a loss until its case says otherwise.
    """
    charged_back = line.kind in (LineKind.CHARGEBACK, LineKind.CHARGEBACK_FEE)
    counterpart = Account.CHARGEBACKS if charged_back else Account.CASH_IN_TRANSIT
    lines = _without_zeros(
        [
            Line(Account.BANK, line.net_minor),
            Line(Account.GATEWAY_FEES, line.fee_minor),
            Line(counterpart, -line.gross_minor),
        ]
    )
    if not lines:
        return []
    return [
        Entry(
            source_kind=SourceKind.SETTLEMENT_LINE,
            source_id=line.line_id,
            payment_id=line.payment_id,
            currency=line.currency,
            occurred_at=line.received_at,
            message_id=message_id,
            lines=lines,
        )
    ]


def _entries(fact: Fact, source_kind: str, source_id: str, lines: Sequence[Line]) -> list[Entry]:
    kept = _without_zeros(lines)
    if not kept:
        return []
    return [
        Entry(
            source_kind=source_kind,
            source_id=source_id,
            payment_id=fact.payment_id,
            currency=fact.currency,
            occurred_at=fact.occurred_at,
            message_id=fact.message_id,
            lines=kept,
        )
    ]


def _without_zeros(lines: Sequence[Line]) -> tuple[Line, ...]:
    return tuple(line for line in lines if line.amount_minor != 0)
