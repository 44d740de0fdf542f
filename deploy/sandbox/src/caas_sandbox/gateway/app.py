"""Builds the gateway from its settings: the only place where its parts meet."""

import json
from dataclasses import dataclass

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError

from caas_sandbox.clock import BusinessClock
from caas_sandbox.gateway.agenda import Agenda
from caas_sandbox.gateway.answers import response_of
from caas_sandbox.gateway.books import Books
from caas_sandbox.gateway.cards import holds_card_number
from caas_sandbox.gateway.control import ControlApi
from caas_sandbox.gateway.database import open_database
from caas_sandbox.gateway.errors import InvalidRequest, Problem
from caas_sandbox.gateway.fault_script import FaultScript
from caas_sandbox.gateway.http import GatewayApi, Witness
from caas_sandbox.gateway.idempotency import PROBLEM_JSON, problem_answer
from caas_sandbox.gateway.request_log import RequestLog
from caas_sandbox.gateway.settings import Settings
from caas_sandbox.gateway.store import Store
from caas_sandbox.gateway.timings import Timings
from caas_sandbox.gateway.webhooks import OutgoingWebhooks, WebhookSender
from caas_sandbox.serving import Loop


@dataclass(frozen=True, slots=True)
class Gateway:
    """The HTTP application and the loops that must run beside it."""

    http: FastAPI
    loops: tuple[Loop, ...]


def build_gateway(settings: Settings) -> Gateway:
    """Opens the books and wires everything that works on them."""
    connection = open_database(settings.state_dir)
    clock = BusinessClock()
    timings, log = Timings(), RequestLog()
    webhooks = OutgoingWebhooks(connection, clock, timings, log, enabled=settings.webhook_url is not None)
    books = Books(connection, clock, webhooks, pending_s=settings.pending_s)
    agenda = Agenda(connection, clock, books, webhooks)
    script = FaultScript(connection)
    http = FastAPI(title="Sandbox payment gateway")
    http.include_router(GatewayApi(settings, books, agenda, script, Witness(log, timings, webhooks)).router())
    http.include_router(ControlApi(Store(connection), script, webhooks, timings, log).router())
    http.add_exception_handler(Problem, _answer_problem)
    http.add_exception_handler(RequestValidationError, _answer_invalid)
    loops: tuple[Loop, ...] = (agenda.run,)
    if settings.webhook_url and settings.webhook_secret:
        loops += (WebhookSender(webhooks, settings.webhook_url, settings.webhook_secret).run,)
    return Gateway(http, loops)


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
