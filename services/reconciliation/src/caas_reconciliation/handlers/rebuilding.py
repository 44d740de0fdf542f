"""The ledger rebuilt from what it follows, and compared with what is posted (RCN-6)."""

from collections.abc import Iterable
from dataclasses import dataclass

from caas_chassis.transaction import Tx
from caas_reconciliation.domain.case import closing_of, resolution_entry, resolution_lines
from caas_reconciliation.domain.facts import Fact, FactKind
from caas_reconciliation.domain.posting import (
    OF_PREPAYMENTS,
    Entry,
    Line,
    entries_of,
    of_prepayment,
    settlement,
    unpaid_sale,
)
from caas_reconciliation.store import cases, facts, ledger, settlements

type _Books = dict[tuple[str, str], set[tuple[Line, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """`differences` names the sources whose posted entry is missing, superfluous or other than rebuilt."""

    posted_entries: int
    rebuilt_entries: int
    differences: list[str]
    miscounted_expectations: int

    @property
    def holds(self) -> bool:
        """Whether the ledger is what its facts say."""
        return not self.differences and self.miscounted_expectations == 0


async def rebuild_ledger(*, tx: Tx) -> Verification:
    """Post every stored fact, match and resolution again, in memory, and compare; nothing is changed.

    `tx` should be a reading transaction, whose single snapshot makes the two sides comparable.
    """
    rebuilt = _books(
        [
            *_of_facts(await facts.all_facts(tx=tx)),
            *[entry for line in await settlements.all_matched(tx=tx) for entry in settlement(line, "")],
            *await _of_resolutions(tx=tx),
        ]
    )
    posted = await ledger.all_entries(tx=tx)
    sources = sorted(rebuilt.keys() | posted.keys())
    return Verification(
        posted_entries=len(posted),
        rebuilt_entries=len(rebuilt),
        differences=[" ".join(source) for source in sources if rebuilt.get(source) != posted.get(source)],
        miscounted_expectations=await settlements.miscounted_expectations(tx=tx),
    )


def _of_facts(stored: Iterable[Fact]) -> list[Entry]:
    told = list(stored)
    unpaid = {fact.payment_id for fact in told if fact.kind is FactKind.CAPTURE_FAILED}
    placed = [fact for fact in told if fact.kind is FactKind.PURCHASE_PLACED and fact.payment_id in unpaid]
    ahead = {fact.payment_id for fact in told if fact.kind is FactKind.PREPAYMENT_CONFIRMED}
    prepaid = [fact for fact in told if fact.kind in OF_PREPAYMENTS and fact.payment_id in ahead]
    own = [entry for fact in told for entry in entries_of(fact)]
    own += [entry for fact in placed for entry in unpaid_sale(fact)]
    return own + [entry for fact in prepaid for entry in of_prepayment(fact)]


async def _of_resolutions(*, tx: Tx) -> list[Entry]:
    entries = []
    for case, net_minor, fee_minor in await cases.resolved_by_people(tx=tx):
        assert case.resolution is not None
        lines = resolution_lines(closing_of(case, net_minor, fee_minor), case.resolution)
        if lines:
            entries.append(resolution_entry(case, lines, ""))
    return entries


def _books(entries: Iterable[Entry]) -> _Books:
    return {(entry.source_kind, entry.source_id): {(line, entry.currency) for line in entry.lines} for entry in entries}
