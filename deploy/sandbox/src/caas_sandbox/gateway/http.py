"""The HTTP API of GW-1: authentication, validation, faults, and the routes."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel

from caas_sandbox.answers import AccompaniedResponse, LateResponse, response_instead, response_of, response_spoiled
from caas_sandbox.fault_script import FaultScript
from caas_sandbox.faults import BEFORE_EFFECT, Fault, FaultKind
from caas_sandbox.gateway.agenda import Agenda
from caas_sandbox.gateway.books import Books, Intent
from caas_sandbox.gateway.operations import Operation
from caas_sandbox.gateway.request_log import Entry, Happening, RequestLog
from caas_sandbox.gateway.requests import AuthorizeRequest, CaptureRequest, RefundRequest, VoidRequest
from caas_sandbox.gateway.settings import Settings
from caas_sandbox.gateway.timings import Timings
from caas_sandbox.gateway.webhooks import GatewayWebhooks
from caas_sandbox.idempotency import Answer, problem_answer
from caas_sandbox.problems import Problem
from caas_sandbox.refusing import bearer_check

type IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=255)]
type Cursor = Annotated[str, Query(pattern=r"^\d{1,18}$")]
type Limit = Annotated[int, Query(ge=1, le=1000)]


class GatewayApi:
    """The routes that the merchant calls; each call passes the fault script on its way in and out."""

    def __init__(
        self, settings: Settings, books: Books, agenda: Agenda, script: FaultScript, witness: "Witness"
    ) -> None:
        self._witness = witness
        self._api_key = settings.api_key
        self._public_url = settings.public_url
        self._hang_s = settings.hang_s
        self._slow_s = settings.slow_s
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

    async def _authorize(self, request: AuthorizeRequest, key: IdempotencyKey, asked: Request) -> Response:
        address = self._public_url or str(asked.base_url).rstrip("/")
        intent = _intent(key, "transactions", request)
        question = Question(Operation.AUTHORIZE, request.reference, key)
        fault = self._script.take(Operation.AUTHORIZE, request.reference)
        if fault is None:
            kind = self._books.disturbance(request)
            fault = Fault(kind=kind) if kind else None
        return self._respond(question, fault, lambda: self._books.authorize(request, intent, address))

    async def _capture(self, transaction_id: str, request: CaptureRequest, key: IdempotencyKey) -> Response:
        intent = _intent(key, f"{transaction_id}/capture", request)
        question = self._question(Operation.CAPTURE, transaction_id, key)
        fault = self._fault_of(question)
        return self._respond(question, fault, lambda: self._books.capture(transaction_id, request, intent))

    async def _void(self, transaction_id: str, key: IdempotencyKey, request: VoidRequest | None = None) -> Response:
        intent = _intent(key, f"{transaction_id}/void", request or VoidRequest())
        question = self._question(Operation.VOID, transaction_id, key)
        fault = self._fault_of(question)
        return self._respond(question, fault, lambda: self._books.void(transaction_id, intent))

    async def _refund(self, transaction_id: str, request: RefundRequest, key: IdempotencyKey) -> Response:
        intent = _intent(key, f"{transaction_id}/refund", request)
        question = self._question(Operation.REFUND, transaction_id, key)
        fault = self._fault_of(question)
        if fault is None:
            kind = self._books.refund_disturbance(transaction_id, request)
            fault = Fault(kind=kind) if kind else None
        return self._respond(question, fault, lambda: self._books.refund(transaction_id, request, intent))

    async def _find(self, transaction_id: str) -> Response:
        question = self._question(Operation.LOOKUP, transaction_id)
        fault = self._fault_of(question)
        return self._respond(
            question, fault, lambda: Answer(status=200, body=self._books.find(transaction_id).as_json())
        )

    async def _find_by_reference(self, reference: Annotated[str, Query(min_length=1, max_length=200)]) -> Response:
        question = Question(Operation.LOOKUP, reference)
        fault = self._fault_of(question)

        def find() -> Answer:
            found = [transaction.as_json() for transaction in self._books.find_by_reference(reference)]
            return Answer(status=200, body={"transactions": found})

        return self._respond(question, fault, find)

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

        return self._respond(Question(Operation.SETTLEMENTS), fault, page)

    def _question(self, operation: Operation, transaction_id: str, key: str = "") -> "Question":
        found = self._agenda.store.transaction(transaction_id)
        return Question(operation, found.reference if found else "", key)

    def _fault_of(self, question: "Question") -> Fault | None:
        return self._script.take(question.operation, question.reference or None)

    def _respond(self, question: "Question", fault: Fault | None, run: Callable[[], Answer]) -> Response:
        if fault and fault.kind in BEFORE_EFFECT:
            response = response_instead(fault, self._hang_s)
            return self._witness.accompany(question, fault, response, response.status_code)
        try:
            answer = run()
        except Problem as problem:
            answer = problem_answer(problem)
        if fault and fault.kind is FaultKind.KEY_EXPIRED:
            self._books.expire_key(question.idempotency_key)
        response = self._spoiled(answer, fault.kind) if fault else response_of(answer)
        return self._witness.accompany(question, fault, response, answer.status)

    def _spoiled(self, answer: Answer, kind: FaultKind) -> Response:
        if kind is FaultKind.SLOW:
            return LateResponse(response_of(answer), self._slow_s)
        return response_spoiled(answer, kind, self._hang_s)


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked about which reference, under which key; a reading has no key."""

    operation: Operation
    reference: str = ""
    idempotency_key: str = ""


class Witness:
    """Writes down what is asked and answered, and puts answers and webhooks in the order that was scripted."""

    def __init__(self, log: RequestLog, timings: Timings, webhooks: GatewayWebhooks) -> None:
        self._log = log
        self._timings = timings
        self._webhooks = webhooks

    def accompany(self, question: Question, fault: Fault | None, response: Response, status: int) -> Response:
        """The response, which waits for the webhooks that come first and then lets the others go."""
        asked = Entry(
            happening=Happening.ASKED,
            operation=question.operation,
            reference=question.reference,
            idempotency_key=question.idempotency_key,
            fault=fault.kind if fault else None,
            status=status,
        )
        self._log.add(asked)

        async def before() -> None:
            if question.idempotency_key:
                await self._timings.until_delivered(question.reference)

        def after() -> None:
            self._log.add(replace(asked, happening=Happening.ANSWERED))
            if question.idempotency_key:
                self._webhooks.release(question.reference)

        return AccompaniedResponse(response, before, after)


def _intent(key: str, path: str, request: BaseModel) -> Intent:
    """The request is kept as a digest only: its payment method is none of the books' business."""
    content = f"{path} {request.model_dump_json()}"
    return Intent(key, hashlib.sha256(content.encode()).hexdigest())
