"""Turning differences into cases: one case per fact, announced when it is opened (RCN-4)."""

from collections.abc import Sequence
from uuid import UUID

from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx
from caas_reconciliation.domain.case import Case, Finding
from caas_reconciliation.store import cases


async def open_cases(findings: Sequence[Finding], *, run_id: UUID | None, tx: Tx) -> list[Case]:
    """Open the cases that are not open or closed already, and return those."""
    candidates = [Case.open(finding, case_id=new_id(), now=tx.now) for finding in findings]
    opened = await cases.open_cases(candidates, run_id=run_id, tx=tx)
    for case in opened:
        tx.publish(case.opened)
    return opened
