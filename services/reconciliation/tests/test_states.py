"""The state machines are what the architecture document draws."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import pytest

from caas_contracts.reconciliation import DiscrepancyKind
from caas_reconciliation.domain import case, run
from caas_reconciliation.domain.case import Case, CaseStatus, Finding, Resolution
from caas_reconciliation.errors import CaseForbids
from services.reconciliation.tests.builders import AN_INSTANT

AN_ID = UUID(int=1)
DOCUMENT = Path(__file__).parents[3] / "docs" / "architecture" / "reconciliation.md"


def drawn(heading: str) -> set[tuple[str, str]]:
    section = DOCUMENT.read_text().split(f"## {heading}", 1)[1]
    diagram = section.split("```mermaid", 1)[1].split("```", 1)[0]
    return {(a, b) for a, b in re.findall(r"(\w+) --> (\w+)", diagram)}


def edges[S: StrEnum](transitions: Mapping[S, frozenset[S]]) -> set[tuple[str, str]]:
    return {(start.value, end.value) for start, ends in transitions.items() for end in ends}


def a_case(status: CaseStatus = CaseStatus.OPEN) -> Case:
    finding = Finding(
        kind=DiscrepancyKind.PARTIAL,
        fact_key="1",
        payment_id=None,
        expectation_id=None,
        line_id=None,
        difference_minor=-1,
        currency="EUR",
        detail="half",
    )
    opened = Case.open(finding, case_id=AN_ID, now=AN_INSTANT)
    if status is CaseStatus.WAITING:
        return opened.wait("the other half comes tomorrow")
    if status is CaseStatus.RESOLVED:
        return opened.resolve(Resolution.WRITE_OFF, reason="lost", by="operator:1", now=AN_INSTANT)[0]
    return opened


def test_the_drawn_case_is_the_coded_one() -> None:
    assert drawn("Cases") == edges(case.TRANSITIONS)


def test_the_drawn_run_is_the_coded_one() -> None:
    assert drawn("Runs") == edges(run.TRANSITIONS)


@pytest.mark.parametrize("status", [CaseStatus.OPEN, CaseStatus.WAITING])
def test_an_open_case_can_be_resolved(status: CaseStatus) -> None:
    resolved, event = a_case(status).resolve(Resolution.WRITE_OFF, reason="lost", by="operator:1", now=AN_INSTANT)
    assert resolved.status is CaseStatus.RESOLVED
    assert (event.resolution, event.resolved_by, event.reason) == ("write_off", "operator:1", "lost")


def test_a_resolved_case_stays_as_it_is() -> None:
    resolved = a_case(CaseStatus.RESOLVED)
    with pytest.raises(CaseForbids):
        resolved.wait("again")
    with pytest.raises(CaseForbids):
        resolved.assign("operator:2")
    with pytest.raises(CaseForbids):
        resolved.resolve(Resolution.WRITE_OFF, reason="again", by="operator:1", now=AN_INSTANT)
