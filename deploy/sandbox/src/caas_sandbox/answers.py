"""Turns answers into HTTP responses, spoiled by a fault where one fires."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, assert_never, override

from fastapi import Response
from starlette.types import Receive, Scope, Send

from caas_sandbox.faults import Fault, FaultKind
from caas_sandbox.idempotency import PROBLEM_JSON, Answer
from caas_sandbox.serving import close_without_answer, send_half


class _NoAnswer(Response):
    """Keeps the connection open for `hang_s` seconds, then closes it without a word."""

    def __init__(self, hang_s: float) -> None:
        super().__init__()
        self._hang_s = hang_s

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(self._hang_s)
        await close_without_answer(scope, receive)


class LateResponse(Response):
    """The answer as it is meant, `late_s` seconds after the effect."""

    def __init__(self, answer: Response, late_s: float) -> None:
        super().__init__()
        self._answer = answer
        self._late_s = late_s

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(self._late_s)
        await self._answer(scope, receive, send)


class _HalfAnswer(Response):
    """Sends half of the body and closes the connection."""

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_half(bytes(self.body), scope, receive, send)


class AccompaniedResponse(Response):
    """An answer that waits for `before`, and is followed by `after` when it, or its silence, is over."""

    def __init__(self, answer: Response, before: Callable[[], Awaitable[None]], after: Callable[[], None]) -> None:
        super().__init__()
        self._answer = answer
        self._before = before
        self._after = after

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._before()
        try:
            await self._answer(scope, receive, send)
        finally:
            self._after()


def response_of(answer: Answer) -> Response:
    """The answer as it is meant."""
    headers = {"idempotency-replayed": "true"} if answer.replayed else None
    return Response(json.dumps(answer.body), status_code=answer.status, media_type=answer.media_type, headers=headers)


def response_instead(fault: Fault, hang_s: float) -> Response:
    """What is sent when the fault strikes before anything was booked."""
    match fault.kind:
        case FaultKind.TIMEOUT_BEFORE:
            return _NoAnswer(hang_s)
        case FaultKind.OUTAGE:
            return _NoAnswer(0)
        case FaultKind.UNAVAILABLE:
            return _problem(503, "service_unavailable", fault.retry_after_s)
        case FaultKind.TOO_MANY_REQUESTS:
            return _problem(429, "too_many_requests", fault.retry_after_s or 0)
        case FaultKind.NOT_FOUND:
            return _problem(404, "not_found")
        case _:
            raise ValueError(f"the fault {fault.kind} strikes only after the effect")


def response_spoiled(answer: Answer, kind: FaultKind, hang_s: float) -> Response:
    """What is sent when the fault strikes after the effect was booked."""
    match kind:
        case FaultKind.TIMEOUT_AFTER | FaultKind.KEY_EXPIRED:
            return _NoAnswer(hang_s)
        case FaultKind.ERROR_AFTER:
            return _problem(500, "internal_error")
        case FaultKind.GARBAGE:
            return Response("<html>{partner", media_type="application/json")
        case FaultKind.HALF:
            return _HalfAnswer(json.dumps(answer.body))
        case FaultKind.WRONG_AMOUNT:
            body = _with_wrong_amounts(answer.body)
            return response_of(Answer(status=answer.status, body=body, media_type=answer.media_type))
        case (
            FaultKind.TIMEOUT_BEFORE
            | FaultKind.OUTAGE
            | FaultKind.UNAVAILABLE
            | FaultKind.TOO_MANY_REQUESTS
            | FaultKind.NOT_FOUND
            | FaultKind.REJECTION
            | FaultKind.DELAY
            | FaultKind.DUPLICATE
            | FaultKind.HELD_BACK
            | FaultKind.SLOW
        ):
            raise ValueError(f"the fault {kind} does not spoil what was booked")
        case _:
            assert_never(kind)


def _problem(status: int, code: str, retry_after_s: int | None = None) -> Response:
    body = {
        "type": f"urn:caas-sandbox:{code}",
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
    }
    headers = None if retry_after_s is None else {"retry-after": str(retry_after_s)}
    return Response(json.dumps(body), status_code=status, media_type=PROBLEM_JSON, headers=headers)


def _with_wrong_amounts(body: dict[str, Any]) -> dict[str, Any]:
    wrong = {name: _wrong(name, value) for name, value in body.items()}
    for name in ("transactions", "lines"):
        if isinstance(body.get(name), list):
            wrong[name] = [_with_wrong_amounts(member) for member in body[name]]
    return wrong


def _wrong(name: str, value: Any) -> Any:
    return value + 1 if name in ("amount_minor", "gross_minor") else value
