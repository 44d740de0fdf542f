"""Work on discrepancy cases (RCN-4)."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from caas_chassis.auth import Principal
from caas_chassis.runtime import Runtime
from caas_chassis.web import cause_of, requires
from caas_contracts.reconciliation import DiscrepancyKind
from caas_reconciliation.domain.case import Case, CaseStatus, Resolution
from caas_reconciliation.errors import UnknownCase
from caas_reconciliation.handlers import casework
from caas_reconciliation.store import cases
from caas_reconciliation.store.cases import HistoryEntry

Operator = Annotated[Principal, Depends(requires("operator"))]
# PostgreSQL cannot store NUL characters.
Words = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]+$")]


class Outcome(StrEnum):
    """The reasons of RCN-4. `waiting` keeps the case open until a line explains it."""

    WRITE_OFF = "write_off"
    CORRECTED = "corrected"
    REFUNDED = "refunded"
    WAITING = "waiting"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NoteBody(_Body):
    """Something to remember about a case."""

    words: Words


class AssignmentBody(_Body):
    """Who works on the case."""

    assignee: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


class ResolutionBody(_Body):
    """How the case ends, and why."""

    resolution: Outcome
    reason: Words


class CaseView(BaseModel):
    """A case as operators see it; `difference_minor` is theirs minus ours."""

    case_id: UUID
    kind: DiscrepancyKind
    status: CaseStatus
    payment_id: UUID | None
    settlement_line_id: str | None
    difference_minor: int
    currency: str
    detail: str
    opened_at: datetime
    assignee: str | None
    resolution: Resolution | None
    resolved_by: str | None
    reason: str | None
    resolved_at: datetime | None


class CaseWithHistory(CaseView):
    """A case and everything that was done to it."""

    history: list[HistoryEntry]


def router_of(runtime: Runtime) -> APIRouter:
    """The routes below /cases."""
    router = APIRouter(prefix="/cases", tags=["cases"])

    @router.get("")
    async def get_cases(
        _: Operator,
        status: CaseStatus | None = None,
        kind: DiscrepancyKind | None = None,
        payment_id: UUID | None = None,
        after: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> list[CaseView]:
        """Cases, oldest first; the last id as `after` gives the next page."""
        async with runtime.reading() as tx:
            found = await cases.find_cases(
                status=status, kind=kind, payment_id=payment_id, after=after, limit=limit, tx=tx
            )
        return [_view(case) for case in found]

    @router.get("/{case_id}")
    async def get_case(case_id: UUID, _: Operator) -> CaseWithHistory:
        """One case with its history."""
        async with runtime.reading() as tx:
            case = await cases.read_case(case_id, tx=tx)
            history = await cases.history(case_id, tx=tx)
        if case is None:
            raise UnknownCase(f"no case {case_id}")
        return CaseWithHistory(**_view(case).model_dump(), history=history)

    @router.post("/{case_id}/notes")
    async def post_note(case_id: UUID, body: NoteBody, request: Request, operator: Operator) -> CaseView:
        """Write something down."""
        async with runtime.transaction(cause_of(request, operator)) as tx:
            return _view(await casework.note_case(case_id, body.words, tx=tx))

    @router.post("/{case_id}/assignment")
    async def post_assignment(case_id: UUID, body: AssignmentBody, request: Request, operator: Operator) -> CaseView:
        """Give the case to somebody; 409 once it is resolved."""
        async with runtime.transaction(cause_of(request, operator)) as tx:
            return _view(await casework.assign_case(case_id, body.assignee, tx=tx))

    @router.post("/{case_id}/resolution")
    async def post_resolution(case_id: UUID, body: ResolutionBody, request: Request, operator: Operator) -> CaseView:
        """End the case, or mark it as waiting; 409 when it is resolved already."""
        async with runtime.transaction(cause_of(request, operator)) as tx:
            if body.resolution is Outcome.WAITING:
                return _view(await casework.wait_for_case(case_id, body.reason, tx=tx))
            resolution = Resolution(body.resolution.value)
            return _view(await casework.resolve_case(case_id, resolution, body.reason, tx=tx))

    return router


def _view(case: Case) -> CaseView:
    finding = case.finding
    return CaseView(
        case_id=case.case_id,
        kind=finding.kind,
        status=case.status,
        payment_id=finding.payment_id,
        settlement_line_id=finding.line_id,
        difference_minor=finding.difference_minor,
        currency=finding.currency,
        detail=finding.detail,
        opened_at=case.opened_at,
        assignee=case.assignee,
        resolution=case.resolution,
        resolved_by=case.resolved_by,
        reason=case.reason,
        resolved_at=case.resolved_at,
    )
