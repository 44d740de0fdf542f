"""Settlement lines: the gateway's statement of money that reached the merchant's bank; append-only."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from uuid import uuid4

from caas_sandbox.gateway.transaction import Transaction

CHARGEBACK_FEE_MINOR = 1500


class LineKind(StrEnum):
    """What moved the money."""

    CAPTURE = "capture"
    REFUND = "refund"
    CHARGEBACK = "chargeback"
    CHARGEBACK_FEE = "chargeback_fee"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementLine:
    """`net_minor` is always gross - fee; money that leaves the merchant is negative.

    `reference` is the transaction's; `operation_reference` is the refund's own, else None.
    """

    id: str
    transaction_id: str
    reference: str
    operation_reference: str | None
    kind: LineKind
    gross_minor: int
    fee_minor: int
    currency: str
    settled_on: date

    @property
    def net_minor(self) -> int:
        """What reaches the bank, in minor units."""
        return self.gross_minor - self.fee_minor

    @property
    def payout_id(self) -> str:
        """One payout a day and currency."""
        return f"po_{self.settled_on:%Y%m%d}_{self.currency}"

    def as_json(self) -> dict[str, object]:
        """The public form of a line of GET /settlements."""
        return {
            "id": self.id,
            "transaction_id": self.transaction_id,
            "reference": self.reference,
            "operation_reference": self.operation_reference,
            "kind": self.kind.value,
            "gross_minor": self.gross_minor,
            "fee_minor": self.fee_minor,
            "net_minor": self.net_minor,
            "currency": self.currency,
            "settled_on": self.settled_on.isoformat(),
            "payout_id": self.payout_id,
        }


def capture_fee_minor(gross_minor: int) -> int:
    """1.4 % and 25 minor units, rounded half up once."""
    return (gross_minor * 14 + 500) // 1000 + 25


def capture_line(transaction: Transaction, gross_minor: int, settled_on: date) -> SettlementLine:
    """The line of a capture, the only kind that costs a percentage."""
    return _line(transaction, LineKind.CAPTURE, gross_minor, capture_fee_minor(gross_minor), settled_on)


def refund_line(transaction: Transaction, amount_minor: int, refund_reference: str, settled_on: date) -> SettlementLine:
    """The line of one refund; the fee of the capture is not given back."""
    return _line(transaction, LineKind.REFUND, -amount_minor, 0, settled_on, refund_reference)


def chargeback_lines(transaction: Transaction, amount_minor: int, settled_on: date) -> list[SettlementLine]:
    """The two lines of a chargeback: the amount taken back, and what the gateway asks for the trouble."""
    return [
        _line(transaction, LineKind.CHARGEBACK, -amount_minor, 0, settled_on),
        _line(transaction, LineKind.CHARGEBACK_FEE, 0, CHARGEBACK_FEE_MINOR, settled_on),
    ]


def payout_summaries(lines: Iterable[SettlementLine]) -> list[dict[str, object]]:
    """One summary a payout, of the lines given."""
    by_payout = groupby(sorted(lines, key=attrgetter("payout_id")), key=attrgetter("payout_id"))
    return [_summary(payout_id, list(members)) for payout_id, members in by_payout]


def _summary(payout_id: str, lines: list[SettlementLine]) -> dict[str, object]:
    return {
        "payout_id": payout_id,
        "currency": lines[0].currency,
        "settled_on": lines[0].settled_on.isoformat(),
        "lines": len(lines),
        "gross_minor": sum(line.gross_minor for line in lines),
        "fee_minor": sum(line.fee_minor for line in lines),
        "net_minor": sum(line.net_minor for line in lines),
    }


def _line(
    transaction: Transaction,
    kind: LineKind,
    gross_minor: int,
    fee_minor: int,
    settled_on: date,
    operation_reference: str | None = None,
) -> SettlementLine:
    return SettlementLine(
        id=f"stl_{uuid4().hex}",
        transaction_id=transaction.id,
        reference=transaction.reference,
        operation_reference=operation_reference,
        kind=kind,
        gross_minor=gross_minor,
        fee_minor=fee_minor,
        currency=transaction.currency,
        settled_on=settled_on,
    )
