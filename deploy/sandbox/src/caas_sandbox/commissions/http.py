"""A partner's HTTP API, and the sandbox's own routes to its books."""

import hashlib
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from caas_sandbox.answers import response_instead, response_of, response_spoiled
from caas_sandbox.commissions.books import Books
from caas_sandbox.commissions.commission import CommissionRequest, Operation, Trade
from caas_sandbox.fault_script import FaultScript
from caas_sandbox.faults import BEFORE_EFFECT, Fault
from caas_sandbox.idempotency import Answer, problem_answer
from caas_sandbox.problems import Problem
from caas_sandbox.refusing import bearer_check
from caas_sandbox.webhooks import OutgoingWebhooks

type IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=255)]
type Reference = Annotated[str, Query(min_length=1, max_length=200)]


def commissions_router(trade: Trade, books: Books, script: FaultScript, api_key: str, hang_s: float) -> APIRouter:
    """`POST` and `GET` of what the partner is asked for, behind its API key; each call meets the fault script."""
    router = APIRouter(prefix=f"/{trade.plural}", dependencies=[Depends(bearer_check(api_key))])

    def respond(fault: Fault | None, run: Callable[[], Answer]) -> Response:
        if fault and fault.kind in BEFORE_EFFECT:
            return response_instead(fault, hang_s)
        try:
            answer = run()
        except Problem as problem:
            answer = problem_answer(problem)
        return response_spoiled(answer, fault.kind, hang_s) if fault else response_of(answer)

    @router.post("")
    async def place(request: Request, key: IdempotencyKey) -> Response:
        body = await request.body()
        asked = _read(trade.request, body)
        fingerprint = hashlib.sha256(asked.model_dump_json().encode()).hexdigest()
        fault = script.take(Operation.PLACE, asked.reference)
        return respond(fault, lambda: books.place(asked, key, fingerprint))

    @router.get("/{commission_id}")
    async def find(commission_id: str) -> Response:
        found = books.store.find(commission_id)
        fault = script.take(Operation.LOOKUP, found.reference if found else None)
        return respond(fault, lambda: Answer(status=200, body=books.find(commission_id).as_json()))

    @router.get("")
    async def find_by_reference(reference: Reference) -> Response:
        def found() -> Answer:
            commissions = [one.as_json() for one in books.store.of_reference(reference)]
            return Answer(status=200, body={trade.plural: commissions})

        return respond(script.take(Operation.LOOKUP, reference), found)

    return router


def books_router(trade: Trade, books: Books, webhooks: OutgoingWebhooks) -> APIRouter:
    """The books, and a hand that pushes them on; without authentication, for tests and the demo."""
    router = APIRouter(prefix="/sandbox")

    @router.get("/books")
    async def show_totals() -> dict[str, object]:
        return {**books.store.totals(), "webhooks": webhooks.counts()}

    @router.get(f"/books/{trade.plural}")
    async def show_page(
        cursor: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> dict[str, Any]:
        found = books.store.after(cursor, limit + 1)
        shown = found[:limit]
        return {
            trade.plural: [{**one.as_json(), "effects": books.store.effects_of(one.id)} for one in shown],
            "next_cursor": shown[-1].serial if shown else cursor,
            "has_more": len(found) > limit,
        }

    @router.post("/advance")
    async def advance(reference: Reference) -> dict[str, Any]:
        return {trade.plural: [one.as_json() for one in books.advance(reference)]}

    return router


def _read(kind: type[CommissionRequest], body: bytes) -> CommissionRequest:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_input=False)) from None
