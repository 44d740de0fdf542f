"""The HTTP side of every service: problem details, authentication, limits, health, metrics, parked messages."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from caas_chassis.auth import Forbidden, Principal, TokenVerifier
from caas_chassis.cards import holds_card_data_in
from caas_chassis.cause import Cause, child_traceparent, new_traceparent
from caas_chassis.database import TRANSIENT
from caas_chassis.errors import Problem
from caas_chassis.idempotency import Answer
from caas_chassis.operating import operations_router
from caas_chassis.runtime import Runtime

MAX_BODY_BYTES: Final = 64 * 1024
PROBLEM_JSON: Final = "application/problem+json"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """A POST route that answers before anything of the framework runs, for requests that come by the thousand.

    It guards itself: no limit, no token and no card number is checked for it. `documentation` is its operation in
    the OpenAPI document.
    """

    path: str
    app: ASGIApp
    documentation: Mapping[str, Any]


def create_app(
    runtime: Runtime,
    routers: Sequence[APIRouter],
    *,
    verifier: TokenVerifier | None = None,
    doors: Sequence[Door] = (),
) -> FastAPI:
    """The service's HTTP application; its lifespan starts and stops the runtime.

    HTTP answers before Kafka and the database are there: `/health/live` always, `/health/ready` with what
    is missing. Every other route needs a bearer token, but for routes that verify a signature themselves,
    and customers' single-use links, whose secret is the proof (PAY-9).
    """
    settings = runtime.settings
    tokens = verifier or TokenVerifier(settings.jwks_url, settings.jwt_issuer, settings.jwt_audience)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await runtime.start()
        try:
            yield
        finally:
            await runtime.stop()
            await tokens.close()

    app = _Application(
        title=f"CaaS {runtime.service.name}",
        lifespan=lifespan,
        middleware=[Middleware(_Doors, doors=doors), Middleware(_Guard)],
        redoc_url=None,
    )
    app.doors = doors
    app.state.runtime = runtime
    app.state.tokens = tokens
    app.include_router(_health_router(runtime))
    app.include_router(operations_router(runtime, requires("operator")))
    for router in routers:
        app.include_router(router)
    _handle_errors(app)
    return app


def requires(*roles: str) -> Callable[..., Awaitable[Principal]]:
    """A dependency that gives the verified caller. Raises Unauthenticated, or Forbidden without one of the roles."""

    async def authenticate(request: Request, authorization: Annotated[str | None, Header()] = None) -> Principal:
        verifier: TokenVerifier = request.app.state.tokens
        principal = await verifier.verify(authorization)
        if not principal.roles & frozenset(roles):
            raise Forbidden(f"one of these roles is needed: {', '.join(roles)}")
        return principal

    return authenticate


def cause_of(request: Request, principal: Principal) -> Cause:
    """Why this request's transaction runs: its caller, in the trace that the caller may have sent."""
    sent = request.headers.get("traceparent")
    return Cause.of_person(principal.actor, child_traceparent(sent) if sent else new_traceparent())


def respond(answer: Answer) -> Response:
    """An answer as JSON, as problem details when it is a refusal."""
    kind = PROBLEM_JSON if answer.status >= 400 else "application/json"
    return JSONResponse(answer.body, answer.status, dict(answer.headers), media_type=kind)


def refusal(problem: Problem) -> Answer:
    """A problem as it is answered."""
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    return Answer(problem.status, problem_body(problem), headers)


def objection_to(*parts: bytes) -> Problem | None:
    """What stands against input before anything reads it: card data (GW-6), or a NUL, which no column can hold."""
    if any(holds_card_data_in(part) for part in parts):
        return CardNumberRefused("send the gateway's token instead")
    if any(b"\x00" in part or b"\\u0000" in part or b"%00" in part for part in parts):
        return InvalidRequest("the NUL character is not accepted")
    return None


def problem_body(problem: Problem) -> dict[str, Any]:
    """RFC 9457 members; `code` is the stable word for machines."""
    return {
        "type": f"urn:caas:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
    }


class PayloadTooLarge(Problem):
    """A body over 64 KiB."""

    status = 413
    code = "payload_too_large"
    title = "The body is too large"


class CardNumberRefused(Problem):
    """Card data came in: a number, a security code or a magnetic track (GW-6). It is neither stored nor echoed."""

    status = 400
    code = "card_number_refused"
    title = "Card numbers are not accepted"


class InvalidRequest(Problem):
    """The request does not fit the interface."""

    status = 400
    code = "invalid_request"
    title = "The request is not valid"


class Unavailable(Problem):
    """The database cannot be used now."""

    status = 503
    code = "unavailable"
    title = "The service cannot answer now"
    retry_after_s = 1


def _health_router(runtime: Runtime) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "live", "service": runtime.service.name}

    @router.get("/health/ready")
    async def ready() -> JSONResponse:
        checks = await runtime.readiness()
        ok = all(checks.values())
        body = {
            "status": "ready" if ok else "not_ready",
            "checks": checks,
            "details": {name: say() for name, say in runtime.service.details.items()},
            "consumer_failure": runtime.consumer.failure,
            "warnings": runtime.warnings,
        }
        return JSONResponse(body, 200 if ok else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def _handle_errors(app: FastAPI) -> None:
    async def on_problem(_: Request, problem: Exception) -> Response:
        assert isinstance(problem, Problem)
        return respond(refusal(problem))

    async def on_invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        places = [f"{'.'.join(str(part)[:64] for part in e['loc'])}: {e['msg']}" for e in error.errors()[:5]]
        return await on_problem(_, InvalidRequest("; ".join(places)))

    async def on_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        body = {
            "type": "about:blank",
            "title": str(error.detail),
            "status": error.status_code,
            "code": "http_error",
        }
        return respond(Answer(error.status_code, body, dict(error.headers or {})))

    async def on_transient(request: Request, error: Exception) -> Response:
        _log.warning("unavailable", path=request.url.path, error=f"{type(error).__name__}: {error}")
        return await on_problem(request, Unavailable("the database cannot be reached; repeat the request unchanged"))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    for transient in TRANSIENT:
        app.add_exception_handler(transient, on_transient)


class _Application(FastAPI):
    """FastAPI, with the doors in its OpenAPI document."""

    doors: Sequence[Door] = ()

    def openapi(self) -> dict[str, Any]:
        schema = super().openapi()
        for door in self.doors:
            schema["paths"].setdefault(door.path, {})["post"] = dict(door.documentation)
        return schema


class _Doors:
    """Leads a POST to its door, everything else past them."""

    def __init__(self, app: ASGIApp, doors: Sequence[Door]) -> None:
        self._app = app
        self._doors = {door.path: door.app for door in doors}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = self._doors.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        await (door or self._app)(scope, receive, send)


class _Guard:
    """Refuses oversized bodies and card numbers before anything reads them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        body = await _read(receive) if scope["method"] in ("POST", "PUT", "PATCH", "DELETE") else b""
        if body is None:
            return await _refuse(PayloadTooLarge(f"at most {MAX_BODY_BYTES} bytes are accepted"), scope, receive, send)
        headers = b"\n".join(part for header in scope["headers"] for part in header)
        path = scope["path"].encode(errors="replace")
        objection = objection_to(path, scope.get("query_string", b""), headers, body)
        if objection is not None:
            return await _refuse(objection, scope, receive, send)
        replayed = _Replay(body, receive)
        return await self._app(scope, replayed, send)


class _Replay:
    """Gives the application the body that was already read, then what comes after it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _read(receive: Receive) -> bytes | None:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    await respond(refusal(problem))(scope, receive, send)


__all__ = [
    "Depends",
    "Door",
    "Principal",
    "cause_of",
    "create_app",
    "objection_to",
    "problem_body",
    "refusal",
    "requires",
    "respond",
]
