"""Starts a partner from the command line: books, agenda, webhooks and HTTP, wired for one trade."""

import argparse
from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI

from caas_sandbox import fault_script, idempotency, webhooks
from caas_sandbox.clock import BusinessClock
from caas_sandbox.commissions import store
from caas_sandbox.commissions.books import Books
from caas_sandbox.commissions.commission import Operation, Trade
from caas_sandbox.commissions.http import books_router, commissions_router
from caas_sandbox.database import open_database
from caas_sandbox.fault_control import faults_router
from caas_sandbox.fault_script import FaultScript
from caas_sandbox.faults import FaultKind
from caas_sandbox.refusing import refuse_with_problems
from caas_sandbox.serving import Loop, run_partner
from caas_sandbox.webhooks import OutgoingWebhooks, WebhookSender

KINDS = frozenset(FaultKind) - {FaultKind.WRONG_AMOUNT, FaultKind.KEY_EXPIRED, FaultKind.SLOW}


def run_trade(name: str, trade_of: Callable[[argparse.Namespace], Trade], *options: tuple[str, float, str]) -> None:
    """Runs the partner until SIGTERM. `options` are its own durations: flag, default in days, help."""
    parser = argparse.ArgumentParser(prog=f"caas_sandbox.{name}", description=f"Sandbox {name}")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free port")
    parser.add_argument("--state-dir", type=Path, required=True, help="where the books are kept")
    parser.add_argument("--api-key", required=True, help="bearer key of the merchant")
    parser.add_argument("--webhook-url", help="where signed events are sent; none are made without it")
    parser.add_argument("--webhook-secret", help="whsec_<base64>, needed with --webhook-url")
    parser.add_argument("--hang-s", type=float, default=3.0, help="how long an unanswered request hangs")
    for flag, default, words in options:
        parser.add_argument(flag, type=float, default=default, help=f"{words}, in days of business time")
    given = parser.parse_args()
    if given.webhook_url and not (given.webhook_secret or "").startswith("whsec_"):
        parser.error("--webhook-url needs --webhook-secret whsec_<base64>")
    _run(trade_of(given), given)


def _run(trade: Trade, given: argparse.Namespace) -> None:
    schemas = (store.SCHEMA, idempotency.SCHEMA, webhooks.SCHEMA, fault_script.SCHEMA)
    connection = open_database(given.state_dir / f"{trade.name}.sqlite3", *schemas)
    clock = BusinessClock()
    script = FaultScript(connection, clock)
    outgoing = OutgoingWebhooks(connection, clock, enabled=given.webhook_url is not None)
    books = Books(connection, clock, trade, outgoing, script)
    http = FastAPI(title=f"Sandbox {trade.name}")
    http.include_router(faults_router(script, clock, Operation, KINDS))
    http.include_router(books_router(trade, books, outgoing))
    http.include_router(commissions_router(trade, books, script, given.api_key, given.hang_s))
    refuse_with_problems(http)
    loops: tuple[Loop, ...] = (books.run,)
    if given.webhook_url:
        loops += (WebhookSender(outgoing, given.webhook_url, given.webhook_secret).run,)
    run_partner(http, given.port, *loops)
