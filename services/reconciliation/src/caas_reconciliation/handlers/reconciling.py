"""What a run does once the feed is read: match, post, tell payments, work out discrepancies, report.

A constant number of statements, whatever the number of lines; the feed's row lock keeps runs apart.
"""

from collections.abc import Sequence
from uuid import UUID

from caas_chassis.transaction import Tx
from caas_contracts.money import Money
from caas_contracts.operations import AlertKind
from caas_contracts.payments import RecordSettlement
from caas_contracts.reconciliation import DiscrepancyResolved, ReconciliationCompleted
from caas_reconciliation.domain.calendar import delayed_before
from caas_reconciliation.domain.case import Case
from caas_reconciliation.domain.policy import Policy
from caas_reconciliation.domain.posting import settlement
from caas_reconciliation.domain.report import RunReport
from caas_reconciliation.domain.settlement import LineKind, MatchedLine
from caas_reconciliation.handlers.findings import open_cases
from caas_reconciliation.store import cases, ledger, reports, runs, settlements


async def reconcile(run_id: UUID, policy: Policy, *, tx: Tx) -> None:
    """Finish a run whose feed has been read to its end (RCN-2, RCN-3, RCN-7)."""
    await settlements.lock_feed(tx=tx)
    matched = await settlements.match_lines(run_id=run_id, tx=tx)
    await ledger.post([entry for line in matched for entry in settlement(line, tx.cause.message_id)], tx=tx)
    for command in settlements_to_record(matched):
        tx.publish(command)
    await _work_out_cases(run_id, policy, tx=tx)
    await _alert_of_overdue_cases(policy, tx=tx)
    await _report(run_id, policy, tx=tx)


def settlements_to_record(matched: Sequence[MatchedLine]) -> list[RecordSettlement]:
    """A command per captured amount that arrived, as far as the capture goes: what is too much is a case."""
    settled: dict[UUID, int] = {}
    commands: list[RecordSettlement] = []
    for line in matched:
        before = settled.setdefault(line.expectation_id, line.settled_before_minor)
        settled[line.expectation_id] = before + line.applied_minor
        fits = line.gross_minor > 0 and before + line.gross_minor <= line.expected_minor
        if line.kind is LineKind.CAPTURE and fits:
            commands.append(_record_settlement(line))
    return commands


def _record_settlement(line: MatchedLine) -> RecordSettlement:
    return RecordSettlement(
        payment_id=line.payment_id,
        settlement_line_id=line.line_id,
        gross=Money(amount_minor=line.gross_minor, currency=line.currency),
        fee=Money(amount_minor=max(0, line.fee_minor), currency=line.currency),
        settled_on=line.settled_on.isoformat(),
    )


async def _work_out_cases(run_id: UUID, policy: Policy, *, tx: Tx) -> None:
    cutoff = delayed_before(tx.now, policy.delayed_after_business_days, policy.time_zone)
    for case in await cases.resolve_explained(run_id=run_id, tx=tx):
        tx.publish(_resolved(case))
    await cases.update_differences(tx=tx)
    await open_cases(await settlements.held_lines(tx=tx), run_id=run_id, tx=tx)
    await open_cases(await settlements.charged_back(run_id=run_id, tx=tx), run_id=run_id, tx=tx)
    await open_cases(await cases.unopened(delayed_before=cutoff, tx=tx), run_id=run_id, tx=tx)


def _resolved(case: Case) -> DiscrepancyResolved:
    assert case.resolution is not None
    assert case.resolved_at is not None
    return DiscrepancyResolved(
        case_id=case.case_id,
        resolution=case.resolution.value,
        resolved_by=case.resolved_by or "",
        reason=case.reason or "",
        resolved_at=case.resolved_at,
    )


async def _alert_of_overdue_cases(policy: Policy, *, tx: Tx) -> None:
    for overdue in await cases.mark_overdue(opened_before=tx.now - policy.case_overdue_after, tx=tx):  # NOT-2
        detail = (
            f"{overdue.kind} case open since {overdue.opened_at:%Y-%m-%d}, difference {overdue.difference_minor} "
            f"{overdue.currency} in minor units: resolve it or mark it as waiting with a reason"
        )
        tx.alert(AlertKind.CASE_OVERDUE, str(overdue.case_id), detail)


async def _report(run_id: UUID, policy: Policy, *, tx: Tx) -> None:
    run = await runs.read(run_id, tx=tx)
    assert run is not None
    opened, closed = await reports.discrepancies(run_id, tx=tx)
    report = RunReport(
        run_id=run_id,
        started_at=run.started_at,
        completed_at=tx.now,
        lines=run.lines,
        matched=await reports.matched_totals(run_id, tx=tx),
        discrepancies_opened=opened,
        discrepancies_closed=closed,
        open_cases=await reports.open_case_totals(tx=tx),
        ageing=await reports.ageing(tx=tx),
        proof=await reports.proof(tx=tx),
        **await reports.totals(tx=tx),
    )
    await runs.complete(report, tx=tx)
    tx.publish(_completed(report, policy.currency))
    tx.notify(str(run_id))


def _completed(report: RunReport, currency: str) -> ReconciliationCompleted:
    captured = [
        total.gross_minor for total in report.matched if total.kind == LineKind.CAPTURE and total.currency == currency
    ]
    return ReconciliationCompleted(
        run_id=report.run_id,
        lines=report.lines,
        matched=report.matched_lines,
        matched_gross=Money(amount_minor=max(0, sum(captured)), currency=currency),
        cases_opened=len(report.discrepancies_opened),
        cases_open=report.open_case_count,
        proof_difference_minor=report.proof_difference_minor,
        completed_at=report.completed_at,
    )
