"""Builds the gateway from its settings: the only place where its parts meet."""

from dataclasses import dataclass

from fastapi import FastAPI

from caas_sandbox import fault_script, idempotency
from caas_sandbox import webhooks as outgoing
from caas_sandbox.clock import BusinessClock
from caas_sandbox.database import open_database
from caas_sandbox.fault_control import faults_router
from caas_sandbox.fault_script import FaultScript
from caas_sandbox.faults import OF_REQUESTS
from caas_sandbox.gateway.actions import action_pages
from caas_sandbox.gateway.agenda import Agenda
from caas_sandbox.gateway.books import Books
from caas_sandbox.gateway.control import ControlApi
from caas_sandbox.gateway.database import SCHEMA
from caas_sandbox.gateway.http import GatewayApi, Witness
from caas_sandbox.gateway.operations import Operation
from caas_sandbox.gateway.request_log import RequestLog
from caas_sandbox.gateway.settings import Settings
from caas_sandbox.gateway.store import Store
from caas_sandbox.gateway.timings import Timings
from caas_sandbox.gateway.webhooks import GatewayWebhooks
from caas_sandbox.refusing import refuse_with_problems
from caas_sandbox.serving import Loop
from caas_sandbox.webhooks import WebhookSender


@dataclass(frozen=True, slots=True)
class Gateway:
    """The HTTP application and the loops that must run beside it."""

    http: FastAPI
    loops: tuple[Loop, ...]


def build_gateway(settings: Settings) -> Gateway:
    """Opens the books and wires everything that works on them."""
    connection = open_database(
        settings.state_dir / "gateway.sqlite3", SCHEMA, idempotency.SCHEMA, outgoing.SCHEMA, fault_script.SCHEMA
    )
    clock = BusinessClock()
    timings, log = Timings(), RequestLog()
    webhooks = GatewayWebhooks(connection, clock, timings, log, enabled=settings.webhook_url is not None)
    books = Books(connection, clock, webhooks, pending_s=settings.pending_s)
    agenda = Agenda(connection, clock, books, webhooks)
    script = FaultScript(connection, clock)
    http = FastAPI(title="Sandbox payment gateway")
    http.include_router(GatewayApi(settings, books, agenda, script, Witness(log, timings, webhooks)).router())
    http.include_router(action_pages(books))
    http.include_router(ControlApi(Store(connection), webhooks, timings, log).router())
    http.include_router(faults_router(script, clock, Operation, OF_REQUESTS))
    refuse_with_problems(http)
    loops: tuple[Loop, ...] = (agenda.run,)
    if settings.webhook_url and settings.webhook_secret:
        loops += (WebhookSender(webhooks, settings.webhook_url, settings.webhook_secret).run,)
    return Gateway(http, loops)
