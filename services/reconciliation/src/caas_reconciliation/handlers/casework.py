"""Work on cases by people (RCN-4): every step names who and why, and a resolution updates the books."""

from uuid import UUID

from caas_chassis.transaction import Tx
from caas_contracts.reconciliation import DiscrepancyKind
from caas_reconciliation.domain.case import (
    Case,
    Resolution,
    closing_of,
    resolution_entry,
    resolution_lines,
)
from caas_reconciliation.errors import CaseForbids, UnknownCase
from caas_reconciliation.store import cases, expectations, ledger, settlements


async def assign_case(case_id: UUID, assignee: str, *, tx: Tx) -> Case:
    """Give a case to somebody. Raises UnknownCase, CaseForbids."""
    case = (await _locked(case_id, tx=tx)).assign(assignee)
    await cases.update_case(case, action="assigned", words=assignee, tx=tx)
    return case


async def note_case(case_id: UUID, words: str, *, tx: Tx) -> Case:
    """Write something down, also about a resolved case. Raises UnknownCase."""
    case = await _locked(case_id, tx=tx)
    await cases.remember(case_id, action="noted", words=words, tx=tx)
    return case


async def wait_for_case(case_id: UUID, reason: str, *, tx: Tx) -> Case:
    """Mark a case as understood: it stays open until a line explains it. Raises UnknownCase, CaseForbids."""
    case = (await _locked(case_id, tx=tx)).wait(reason)
    await cases.update_case(case, action="waiting", words=reason, tx=tx)
    return case


async def resolve_case(case_id: UUID, resolution: Resolution, reason: str, *, tx: Tx) -> Case:
    """Close a case and take its difference off the books. Raises UnknownCase, CaseForbids.

    The feed's lock comes first, as in a run: a line that is being matched cannot be written off as well.
    """
    await settlements.lock_feed(tx=tx)
    found = await _locked(case_id, tx=tx)
    case, event = found.resolve(resolution, reason=reason, by=tx.cause.actor, now=tx.now)
    net_minor, fee_minor = await _take_off_books(case, tx=tx)
    lines = resolution_lines(closing_of(case, net_minor, fee_minor), resolution)
    if lines:
        await ledger.post([resolution_entry(case, lines, tx.cause.message_id)], tx=tx)
    await cases.update_case(
        case,
        action="resolved",
        words=f"{resolution}: {reason}",
        net_minor=net_minor,
        fee_minor=fee_minor,
        tx=tx,
    )
    tx.publish(event)
    return case


async def _take_off_books(case: Case, *, tx: Tx) -> tuple[int, int]:
    finding = case.finding
    if finding.line_id is not None:
        amounts = await settlements.take_off(finding.line_id, tx=tx)
        if amounts is None:
            raise CaseForbids(f"line {finding.line_id} is matched: the next run closes case {case.case_id}")
        return amounts
    if finding.kind is DiscrepancyKind.CHARGEBACK:
        return -finding.difference_minor, 0
    if finding.expectation_id is not None:
        remainder = await expectations.lock_remainder(finding.expectation_id, tx=tx)
        await expectations.adjust(finding.expectation_id, remainder, tx=tx)
        return remainder, 0
    return 0, 0


async def _locked(case_id: UUID, *, tx: Tx) -> Case:
    case = await cases.lock_case(case_id, tx=tx)
    if case is None:
        raise UnknownCase(f"no case {case_id}")
    return case
