"""The one place that builds the reconciliation process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, assert_never
from zoneinfo import ZoneInfo

import httpx
from fastapi import APIRouter, FastAPI

from caas_chassis.answers import CLEAN_ANSWERS
from caas_chassis.loops import Loop
from caas_chassis.main import run
from caas_chassis.processing import OpenTransaction
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.web import create_app
from caas_reconciliation.domain.policy import Policy
from caas_reconciliation.gateway import GatewaySettlements, SettlementFeed, StripeSettlements
from caas_reconciliation.handlers import HANDLERS
from caas_reconciliation.handlers.runs import Schedule, pulling, timers
from caas_reconciliation.http import cases, ledger, runs
from caas_reconciliation.settings import GatewayKind, ReconciliationSettings


def main() -> None:
    """`python -m caas_reconciliation serve|migrate`."""
    run(ReconciliationSettings, build)


def build(settings: ReconciliationSettings, *, feed: SettlementFeed | None = None) -> FastAPI:
    """The application; `feed` takes the place of the gateway over HTTP, for a partner in the same process."""
    client = _gateway_client(settings)
    partner = feed or feed_of(settings, client)
    runtime = Runtime(build_service(settings, partner), settings)
    app = create_app(runtime, routers_of(runtime))
    _close_at_the_end(app, client)
    return app


def feed_of(settings: ReconciliationSettings, client: httpx.AsyncClient) -> SettlementFeed:
    """The settlement feed of the deployment's gateway (GW-7)."""
    key = settings.gateway_api_key.get_secret_value()
    match settings.gateway_kind:
        case GatewayKind.CAAS:
            return GatewaySettlements(client, key)
        case GatewayKind.STRIPE:
            return StripeSettlements(client, key)
        case _:
            assert_never(settings.gateway_kind)


def routers_of(runtime: Runtime) -> list[APIRouter]:
    """Everything that operators may ask."""
    return [runs.router_of(runtime), cases.router_of(runtime), ledger.router_of(runtime)]


def build_service(settings: ReconciliationSettings, feed: SettlementFeed) -> Service:
    """The service reading this feed."""
    policy = policy_of(settings)

    def schedule(transaction: OpenTransaction) -> Loop:
        return Schedule(transaction, policy)

    return Service(
        name="reconciliation",
        migrations="caas_reconciliation.migrations",
        handlers=HANDLERS,
        effects=[pulling(feed, policy, page_size=settings.page_size)],
        timers=timers(policy),
        loops=[schedule],
        append_only=(
            "fact",
            "journal_entry",
            "journal_line",
            "settlement_line",
            "match",
            "case_history",
            "audit_anchor",
        ),
    )


def policy_of(settings: ReconciliationSettings) -> Policy:
    """What operations decided about reconciliation."""
    return Policy(
        time_zone=ZoneInfo(settings.time_zone),
        currency=settings.currency,
        run_every=settings.run_every,
        delayed_after_business_days=settings.delayed_after_business_days,
        case_overdue_after=timedelta(days=settings.case_overdue_after_days),
        pull_retry_delays_s=settings.pull_retry_delays_s,
    )


def _gateway_client(settings: ReconciliationSettings) -> httpx.AsyncClient:
    # One page at a time is fetched; the deadline leaves room for a page of many lines.
    return httpx.AsyncClient(
        base_url=settings.gateway_url,
        timeout=settings.gateway_timeout_s,
        limits=httpx.Limits(max_connections=4, max_keepalive_connections=2),
        event_hooks=CLEAN_ANSWERS,
    )


def _close_at_the_end(app: FastAPI, client: httpx.AsyncClient) -> None:
    """Close the connections to the gateway after the runtime has recorded the last page."""
    serve = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(served: FastAPI) -> AsyncIterator[Any]:
        try:
            async with serve(served) as state:
                yield state
        finally:
            await client.aclose()

    app.router.lifespan_context = lifespan
