"""Frozen payments for operators: what nobody knows, and a person's word on it (GW-4)."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from caas_chassis.auth import Principal
from caas_chassis.idempotency import Answer, IdempotentRequest, answer_once
from caas_chassis.runtime import Runtime
from caas_chassis.transaction import Tx
from caas_chassis.web import Depends, cause_of, requires, respond
from caas_payments.domain.rules import Rules
from caas_payments.errors import CaseNotFound
from caas_payments.handlers.cases import Outcome, Resolution, resolve_case
from caas_payments.store import cases

type Operator = Annotated[Principal, Depends(requires("operator"))]


class CaseView(BaseModel):
    """A case with what is needed to ask the gateway about it; the amount is in minor units."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    payment_id: UUID
    number: int
    reason: str
    opened_at: datetime
    resolved_at: datetime | None
    resolution: str | None
    note: str
    actor: str
    operation: str
    amount_minor: int
    currency: str
    idempotency_key: str
    calls: int
    last_result: str
    attempt_opened_at: datetime
    status: str
    gateway_transaction_id: str | None


class CaseList(BaseModel):
    """Cases, the oldest first."""

    cases: list[CaseView]


class ResolutionRequest(BaseModel):
    """What an operator found out, and how: the note is kept with the case and in the audit log."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    outcome: Outcome
    note: Annotated[str, Field(min_length=3, max_length=500)]
    gateway_transaction_id: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._:-]*$")] = ""


def cases_router(runtime: Runtime, rules: Rules) -> APIRouter:
    """`/cases`: list, inspect, resolve."""
    router = APIRouter(prefix="/cases", tags=["cases"])

    @router.get("")
    async def list_cases(
        _: Operator,
        only_open: Annotated[bool, Query(alias="open")] = False,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> CaseList:
        """The cases, or with `open=true` those that wait for somebody."""
        async with runtime.reading() as tx:
            found = await cases.list_cases(tx, only_open=only_open, limit=limit)
        return CaseList(cases=[CaseView.model_validate(case) for case in found])

    @router.get("/{case_id}")
    async def show_case(case_id: UUID, _: Operator) -> CaseView:
        """One case; its payment's file has the attempt's whole history."""
        async with runtime.reading() as tx:
            return await _view(tx, case_id)

    @router.post("/{case_id}/resolution")
    async def resolve(
        case_id: UUID,
        wish: ResolutionRequest,
        operator: Operator,
        request: Request,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Ask again, or say what happened, once per Idempotency-Key."""
        asked = IdempotentRequest(idempotency_key, operator, f"POST /cases/{case_id}/resolution", await request.body())
        resolution = Resolution(
            outcome=wish.outcome, gateway_transaction_id=wish.gateway_transaction_id, note=wish.note
        )
        async with runtime.transaction(cause_of(request, operator)) as tx:

            async def produce() -> Answer:
                await resolve_case(case_id, resolution, tx=tx, rules=rules)
                return Answer(200, (await _view(tx, case_id)).model_dump(mode="json"))

            return respond(await answer_once(tx, asked, produce))

    return router


async def _view(tx: Tx, case_id: UUID) -> CaseView:
    case = await cases.read_case(tx, case_id)
    if case is None:
        raise CaseNotFound(f"there is no case {case_id}")
    return CaseView.model_validate(case)
