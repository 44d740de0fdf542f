"""The report of a run (RCN-7). All amounts are signed minor units of the currency beside them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from caas_contracts.reconciliation import DiscrepancyKind


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedTotal:
    """What one run matched, per kind of line."""

    kind: str
    currency: str
    lines: int
    gross_minor: int
    fee_minor: int
    net_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseTotal:
    """The open cases of one kind."""

    kind: DiscrepancyKind
    currency: str
    cases: int
    difference_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeBucket:
    """How long captures and refunds have been waiting for their settlement."""

    age: str
    currency: str
    expectations: int
    open_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofItem:
    """One line of the proof: `stated` = `ledger` + `open_cases`, else `difference_minor` says by how much not.

    `bank` and `gateway_fees`: stated by the gateway's whole feed. `cash_in_transit`: stated by what we
    expect to be settled still, counted from matches and not from the ledger.
    """

    item: str
    currency: str
    stated_minor: int
    ledger_minor: int
    open_cases_minor: int
    difference_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """A case that the run opened or closed."""

    case_id: UUID
    kind: DiscrepancyKind
    payment_id: UUID | None
    difference_minor: int
    currency: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """`unexplained_lines` have neither a match nor a case; `ledger_imbalance_minor` sums all entries.

    Both are 0 unless something is badly wrong.
    """

    run_id: UUID
    started_at: datetime
    completed_at: datetime
    lines: int
    matched: list[MatchedTotal]
    discrepancies_opened: list[Discrepancy]
    discrepancies_closed: list[Discrepancy]
    open_cases: list[CaseTotal]
    ageing: list[AgeBucket]
    proof: list[ProofItem]
    settlement_lines: int
    unexplained_lines: int
    ledger_imbalance_minor: int

    @property
    def matched_lines(self) -> int:
        """Lines matched by this run, of all kinds and currencies."""
        return sum(total.lines for total in self.matched)

    @property
    def open_case_count(self) -> int:
        """Cases that are open or waiting."""
        return sum(total.cases for total in self.open_cases)

    @property
    def proof_difference_minor(self) -> int:
        """0 when the proof of RCN-7 holds: the sum of all differences regardless of sign and currency."""
        return sum(abs(item.difference_minor) for item in self.proof)
