"""A discrepancy between the feed and our records, worked as a case: opened once per fact (RCN-3, RCN-4).

The state diagram is in docs/architecture/reconciliation.md; a test compares it with TRANSITIONS.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Self, assert_never
from uuid import UUID

from caas_contracts.reconciliation import DiscrepancyKind, DiscrepancyOpened, DiscrepancyResolved
from caas_reconciliation.domain.accounts import Account
from caas_reconciliation.domain.posting import Entry, Line, SourceKind
from caas_reconciliation.errors import CaseForbids


class CaseStatus(StrEnum):
    """WAITING is open too: somebody knows why, and a later line is expected to explain it."""

    OPEN = "open"
    WAITING = "waiting"
    RESOLVED = "resolved"


TRANSITIONS: Final[Mapping[CaseStatus, frozenset[CaseStatus]]] = {
    CaseStatus.OPEN: frozenset({CaseStatus.WAITING, CaseStatus.RESOLVED}),
    CaseStatus.WAITING: frozenset({CaseStatus.RESOLVED}),
    CaseStatus.RESOLVED: frozenset(),
}


class Resolution(StrEnum):
    """The reasons of RCN-4, and the one that needs nobody: a later line explained the difference."""

    WRITE_OFF = "write_off"
    CORRECTED = "corrected"
    REFUNDED = "refunded"
    EXPLAINED = "explained"


# Which account takes the difference when a person closes a case.
RESOLUTION_ACCOUNTS: Final[Mapping[Resolution, Account]] = {
    Resolution.WRITE_OFF: Account.WRITE_OFFS,
    Resolution.CORRECTED: Account.ADJUSTMENTS,
    Resolution.REFUNDED: Account.REFUNDS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A difference that may need a case. `fact_key` with the kind identifies it: one case per fact.

    `difference_minor` is theirs minus ours. `line_id` is set when the case holds a line that could not
    be booked, `expectation_id` when it is about what one capture or refund should have brought.
    """

    kind: DiscrepancyKind
    fact_key: str
    payment_id: UUID | None
    expectation_id: UUID | None
    line_id: str | None
    difference_minor: int
    currency: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One finding and the work on it."""

    case_id: UUID
    finding: Finding
    status: CaseStatus
    opened_at: datetime
    assignee: str | None = None
    resolution: Resolution | None = None
    resolved_by: str | None = None
    reason: str | None = None
    resolved_at: datetime | None = None

    @classmethod
    def open(cls, finding: Finding, *, case_id: UUID, now: datetime) -> Self:
        """A new case of a finding."""
        return cls(case_id=case_id, finding=finding, status=CaseStatus.OPEN, opened_at=now)

    @property
    def opened(self) -> DiscrepancyOpened:
        """The event of its opening."""
        finding = self.finding
        return DiscrepancyOpened(
            case_id=self.case_id,
            kind=finding.kind,
            payment_id=finding.payment_id,
            settlement_line_id=finding.line_id,
            difference_minor=finding.difference_minor,
            currency=finding.currency,
            detail=finding.detail,
            opened_at=self.opened_at,
        )

    def assign(self, assignee: str) -> Self:
        """Give the case to somebody. Raises CaseForbids once it is resolved."""
        self._require_unresolved()
        return replace(self, assignee=assignee)

    def wait(self, reason: str) -> Self:
        """Mark that the difference is understood and a later line is awaited. Raises CaseForbids."""
        return replace(self._in(CaseStatus.WAITING), reason=reason)

    def resolve(
        self, resolution: Resolution, *, reason: str, by: str, now: datetime
    ) -> tuple[Self, DiscrepancyResolved]:
        """Close the case. Raises CaseForbids when it is closed already."""
        resolved = replace(
            self._in(CaseStatus.RESOLVED), resolution=resolution, reason=reason, resolved_by=by, resolved_at=now
        )
        event = DiscrepancyResolved(
            case_id=self.case_id, resolution=resolution.value, resolved_by=by, reason=reason, resolved_at=now
        )
        return resolved, event

    def _in(self, status: CaseStatus) -> Self:
        if status not in TRANSITIONS[self.status]:
            raise CaseForbids(f"case {self.case_id} is {self.status} and cannot become {status}")
        return replace(self, status=status)

    def _require_unresolved(self) -> None:
        if self.status is CaseStatus.RESOLVED:
            raise CaseForbids(f"case {self.case_id} is resolved: open a new one for a new difference")


@dataclass(frozen=True, slots=True)
class Remainder:
    """What an expectation still lacks (positive for a capture) or has too much (negative)."""

    amount_minor: int


@dataclass(frozen=True, slots=True)
class HeldLine:
    """Money of a line that could not be booked: what reached the bank, and the fee."""

    net_minor: int
    fee_minor: int


@dataclass(frozen=True, slots=True)
class ChargedBack:
    """What the customer's bank took, as a positive amount."""

    amount_minor: int


@dataclass(frozen=True, slots=True)
class NoMoney:
    """The case is about words only, such as a line that the gateway changed after stating it."""


type Closing = Remainder | HeldLine | ChargedBack | NoMoney


def resolution_lines(closing: Closing, resolution: Resolution) -> tuple[Line, ...]:
    """The lines that take a difference off the books when a person resolves its case (RCN-4)."""
    account = RESOLUTION_ACCOUNTS[resolution]
    lines: tuple[Line, ...]
    match closing:
        case Remainder(amount):
            lines = (Line(account, amount), Line(Account.CASH_IN_TRANSIT, -amount))
        case HeldLine(net, fee):
            lines = (Line(Account.BANK, net), Line(Account.GATEWAY_FEES, fee), Line(account, -net - fee))
        case ChargedBack(amount):
            lines = (Line(account, amount), Line(Account.CHARGEBACKS, -amount))
        case NoMoney():
            return ()
        case _:
            assert_never(closing)
    return tuple(line for line in lines if line.amount_minor != 0)


def resolution_entry(case: Case, lines: tuple[Line, ...], message_id: str) -> Entry:
    """The entry of a resolved case."""
    assert case.resolved_at is not None
    return Entry(
        source_kind=SourceKind.CASE_RESOLUTION,
        source_id=str(case.case_id),
        payment_id=case.finding.payment_id,
        currency=case.finding.currency,
        occurred_at=case.resolved_at,
        message_id=message_id,
        lines=lines,
    )


def closing_of(case: Case, net_minor: int, fee_minor: int) -> Closing:
    """What resolving this case takes off the books; the amounts are the line's or the expectation's."""
    if case.finding.line_id is not None:
        return HeldLine(net_minor, fee_minor)
    if case.finding.kind is DiscrepancyKind.CHARGEBACK:
        return ChargedBack(net_minor)
    if case.finding.expectation_id is not None:
        return Remainder(net_minor)
    return NoMoney()
