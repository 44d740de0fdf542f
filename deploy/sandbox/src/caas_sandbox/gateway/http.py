"""The HTTP API of GW-1: authentication, validation, faults, and the routes."""

import hashlib
from collections.abc import Callable
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel

from caas_sandbox.answers import response_instead, response_of, response_spoiled
from caas_sandbox.fault_script import FaultScript
from caas_sandbox.faults import BEFORE_EFFECT, Fault
from caas_sandbox.gateway.agenda import Agenda
from caas_sandbox.gateway.books import Books, Intent
from caas_sandbox.gateway.operations import Operation
from caas_sandbox.gateway.requests import AuthorizeRequest, CaptureRequest, RefundRequest, VoidRequest
from caas_sandbox.gateway.settings import Settings
from caas_sandbox.idempotency import Answer, problem_answer
from caas_sandbox.problems import Problem
from caas_sandbox.refusing import bearer_check

type IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=255)]
type Cursor = Annotated[str, Query(pattern=r"^\d{1,18}$")]
type Limit = Annotated[int, Query(ge=1, le=1000)]


class GatewayApi:
    """The routes that the merchant calls; each call passes the fault script on its way in and out."""

    def __init__(self, settings: Settings, books: Books, agenda: Agenda, script: FaultScript) -> None:
        self._api_key = settings.api_key
        self._hang_s = settings.hang_s
        self._books = books
        self._agenda = agenda
        self._script = script

    def router(self) -> APIRouter:
        """All routes, behind the API key."""
        router = APIRouter(dependencies=[Depends(bearer_check(self._api_key))])
        router.add_api_route("/transactions", self._authorize, methods=["POST"])
        router.add_api_route("/transactions", self._find_by_reference, methods=["GET"])
        router.add_api_route("/transactions/{transaction_id}", self._find, methods=["GET"])
        router.add_api_route("/transactions/{transaction_id}/capture", self._capture, methods=["POST"])
        router.add_api_route("/transactions/{transaction_id}/void", self._void, methods=["POST"])
        router.add_api_route("/transactions/{transaction_id}/refund", self._refund, methods=["POST"])
        router.add_api_route("/settlements", self._settlements, methods=["GET"])
        return router

    async def _authorize(self, request: AuthorizeRequest, key: IdempotencyKey) -> Response:
        intent = _intent(key, "transactions", request)
        fault = self._script.take(Operation.AUTHORIZE, request.reference)
        if fault is None:
            kind = self._books.disturbance(request)
            fault = Fault(kind=kind) if kind else None
        return self._respond(fault, lambda: self._books.authorize(request, intent))

    async def _capture(self, transaction_id: str, request: CaptureRequest, key: IdempotencyKey) -> Response:
        intent = _intent(key, f"{transaction_id}/capture", request)
        fault = self._fault_of(Operation.CAPTURE, transaction_id)
        return self._respond(fault, lambda: self._books.capture(transaction_id, request, intent))

    async def _void(self, transaction_id: str, key: IdempotencyKey, request: VoidRequest | None = None) -> Response:
        intent = _intent(key, f"{transaction_id}/void", request or VoidRequest())
        fault = self._fault_of(Operation.VOID, transaction_id)
        return self._respond(fault, lambda: self._books.void(transaction_id, intent))

    async def _refund(self, transaction_id: str, request: RefundRequest, key: IdempotencyKey) -> Response:
        intent = _intent(key, f"{transaction_id}/refund", request)
        fault = self._fault_of(Operation.REFUND, transaction_id)
        return self._respond(fault, lambda: self._books.refund(transaction_id, request, intent))

    async def _find(self, transaction_id: str) -> Response:
        fault = self._fault_of(Operation.LOOKUP, transaction_id)
        return self._respond(fault, lambda: Answer(status=200, body=self._books.find(transaction_id).as_json()))

    async def _find_by_reference(self, reference: Annotated[str, Query(min_length=1, max_length=200)]) -> Response:
        fault = self._script.take(Operation.LOOKUP, reference)

        def find() -> Answer:
            found = [transaction.as_json() for transaction in self._books.find_by_reference(reference)]
            return Answer(status=200, body={"transactions": found})

        return self._respond(fault, find)

    async def _settlements(
        self,
        settled_from: Annotated[date, Query(alias="from")] = date.min,
        cursor: Cursor = "0",
        limit: Limit = 100,
    ) -> Response:
        fault = self._script.take(Operation.SETTLEMENTS, None)
        await self._agenda.catch_up()

        def page() -> Answer:
            rows = self._agenda.store.lines_after(int(cursor), limit + 1, settled_from)
            shown = rows[:limit]
            body: dict[str, object] = {
                "lines": [line.as_json() for _, line in shown],
                "next_cursor": str(shown[-1][0]) if shown else cursor,
                "has_more": len(rows) > limit,
            }
            return Answer(status=200, body=body)

        return self._respond(fault, page)

    def _fault_of(self, operation: Operation, transaction_id: str) -> Fault | None:
        found = self._agenda.store.transaction(transaction_id)
        return self._script.take(operation, found.reference if found else None)

    def _respond(self, fault: Fault | None, run: Callable[[], Answer]) -> Response:
        if fault and fault.kind in BEFORE_EFFECT:
            return response_instead(fault, self._hang_s)
        try:
            answer = run()
        except Problem as problem:
            answer = problem_answer(problem)
        return response_spoiled(answer, fault.kind, self._hang_s) if fault else response_of(answer)


def _intent(key: str, path: str, request: BaseModel) -> Intent:
    """The request is kept as a digest only: its payment method is none of the books' business."""
    content = f"{path} {request.model_dump_json()}"
    return Intent(key, hashlib.sha256(content.encode()).hexdigest())
