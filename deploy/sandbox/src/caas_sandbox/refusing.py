"""Answers requests that a partner refuses with problem details (RFC 9457), without repeating what was sent."""

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError

from caas_sandbox.answers import response_of
from caas_sandbox.cards import holds_card_number
from caas_sandbox.idempotency import PROBLEM_JSON, problem_answer
from caas_sandbox.problems import InvalidRequest, Problem, Unauthorized


def refuse_with_problems(http: FastAPI) -> None:
    """From now on `http` answers what it refuses with problem details."""
    http.add_exception_handler(Problem, _answer_problem)
    http.add_exception_handler(RequestValidationError, _answer_invalid)


def bearer_check(api_key: str) -> Callable[[str], Awaitable[None]]:
    """A dependency that lets only requests with this API key through."""

    async def check(authorization: Annotated[str, Header()] = "") -> None:
        if not hmac.compare_digest(authorization.encode(), f"Bearer {api_key}".encode()):
            raise Unauthorized("unauthorized", "send the API key as a bearer token")

    return check


async def _answer_problem(_: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise error
    return response_of(problem_answer(error))


async def _answer_invalid(_: Request, error: Exception) -> Response:
    """Says which field is wrong and why; what was sent is never repeated, it may be a card number (GW-6)."""
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [{"field": _field(found["loc"]), "message": found["msg"]} for found in error.errors()]
    code = "card_number" if any(found["type"] == "card_number" for found in error.errors()) else "invalid_request"
    problem = InvalidRequest(code, "the request is not valid; see errors")
    body = json.dumps({**problem.body(), "errors": errors})
    return Response(body, status_code=problem.status, media_type=PROBLEM_JSON)


def _field(location: tuple[int | str, ...]) -> str:
    name = ".".join(map(str, location))
    return "(not shown)" if holds_card_number(name.replace(".", " ")) else name[:100]
