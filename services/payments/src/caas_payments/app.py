"""Builds the payments service: settings in, an application out; the one place that knows all rooms."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, assert_never

import httpx
from fastapi import FastAPI

from caas_chassis.answers import CLEAN_ANSWERS
from caas_chassis.clock import BusinessClock
from caas_chassis.main import run
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.web import create_app
from caas_payments.domain.attempt import RetryPolicy
from caas_payments.domain.payment import Terms
from caas_payments.domain.risk import released_policies
from caas_payments.domain.rules import Rules
from caas_payments.gateway import GatewayClient, PaymentGateway
from caas_payments.gateway.breaker import BreakingGateway
from caas_payments.gateway.standard_webhooks import StandardWebhooks
from caas_payments.gateway.stripe import StripeGateway, StripeWebhooks
from caas_payments.gateway.webhooks import WebhookReader
from caas_payments.handlers.anchoring import AuditAnchors
from caas_payments.handlers.circuit import CircuitAlarm
from caas_payments.handlers.exposing import ExposureGauges
from caas_payments.handlers.outcomes import gateway_effect
from caas_payments.handlers.table import handlers_under, timers_under
from caas_payments.http.actions import actions_router
from caas_payments.http.bridge import webhook_door
from caas_payments.http.cases import cases_router
from caas_payments.http.operating import captures_router, operating_router
from caas_payments.http.oversight import oversight_router
from caas_payments.http.payments import payments_router
from caas_payments.http.risk import risk_router
from caas_payments.http.webhooks import webhooks_router
from caas_payments.settings import GatewayKind, PaymentsSettings


def main() -> None:
    """`python -m caas_payments serve` and `migrate`."""
    run(PaymentsSettings, build)


def build(settings: PaymentsSettings, gateway: PaymentGateway | None = None) -> FastAPI:
    """The application; `gateway` takes the place of the HTTP client, for a partner in the same process."""
    partner = gateway or gateway_of(settings)
    breaker = BreakingGateway(partner, settings.breaker_failures, settings.breaker_open_s)
    clock = BusinessClock(settings.clock_file)
    rules = rules_of(settings)
    reader = reader_of(settings)
    service = service_of(rules, breaker, settings.gateway_concurrency, reader, clock)
    watched = replace(
        service,
        loops=[
            partial(CircuitAlarm, breaker),
            partial(AuditAnchors, settings.audit_anchor_every_s),
            partial(ExposureGauges, settings.exposure_every_s),
        ],
        details={"gateway_circuit": lambda: breaker.state.value},
    )
    runtime = Runtime(watched, settings, clock)
    routers = [
        payments_router(runtime, rules),
        operating_router(runtime, rules),
        captures_router(runtime, rules),
        cases_router(runtime, rules),
        oversight_router(runtime),
        risk_router(runtime, rules),
        webhooks_router(runtime, rules, reader),
        actions_router(runtime),
    ]
    app = create_app(runtime, routers, doors=[webhook_door(runtime, reader)])
    _close_at_the_end(app, partner)
    return app


def service_of(
    rules: Rules,
    gateway: PaymentGateway,
    gateway_concurrency: int = 100,
    reader: WebhookReader | None = None,
    clock: BusinessClock | None = None,
) -> Service:
    """Payments as the chassis runs it; `reader` says what the gateway's webhooks mean, `clock` how old a key is."""
    now = (clock or BusinessClock()).now
    return Service(
        name="payments",
        migrations="caas_payments.migrations",
        handlers=handlers_under(rules, reader or StandardWebhooks(())),
        effects=[gateway_effect(gateway, rules, gateway_concurrency, now)],
        timers=timers_under(rules),
        append_only=("audit_log", "delivery_proofs", "captures", "attempt_calls", "risk_inputs"),
    )


def rules_of(settings: PaymentsSettings) -> Rules:
    """The deployment's rules; raises KeyError at the start for a risk policy that does not exist."""
    retries = RetryPolicy(
        call_delays=settings.retry_delays,
        pending_poll=timedelta(seconds=settings.pending_poll_s),
        action_poll=timedelta(seconds=settings.action_poll_s),
        longest=timedelta(seconds=settings.longest_pause_s),
        first_look_up=timedelta(seconds=settings.first_look_up_s),
        while_frozen=timedelta(seconds=settings.frozen_look_up_s),
        key_life=timedelta(seconds=settings.key_life_s),
        key_safety=timedelta(seconds=settings.key_safety_s),
        believe_absence_after=timedelta(seconds=settings.believe_absence_after_s),
    )
    terms = Terms(
        retries=retries,
        activation_margin=timedelta(seconds=settings.activation_margin_s),
        void_margin=timedelta(seconds=settings.void_margin_s),
        action_life=timedelta(seconds=settings.action_life_s),
        public_url=settings.public_url,
    )
    return Rules(terms=terms, policy=released_policies()[settings.risk_policy_version], jitter=settings.retry_jitter)


def gateway_of(settings: PaymentsSettings) -> PaymentGateway:
    """The adapter for the deployment's gateway (GW-7)."""
    match settings.gateway_kind:
        case GatewayKind.CAAS:
            return GatewayClient(http_client(settings))
        case GatewayKind.STRIPE:
            return StripeGateway(http_client(settings), settings.return_url)
        case _:
            assert_never(settings.gateway_kind)


def reader_of(settings: PaymentsSettings) -> WebhookReader:
    """How the deployment's gateway signs and words its webhooks; raises ValueError for an unusable secret."""
    match settings.gateway_kind:
        case GatewayKind.CAAS:
            return StandardWebhooks(settings.webhook_secrets)
        case GatewayKind.STRIPE:
            return StripeWebhooks(settings.webhook_secrets)
        case _:
            assert_never(settings.gateway_kind)


def http_client(settings: PaymentsSettings) -> httpx.AsyncClient:
    """The client with the gateway's address, our key, and a deadline on everything."""
    connections = settings.gateway_concurrency
    return httpx.AsyncClient(
        base_url=settings.gateway_url,
        headers={"Authorization": f"Bearer {settings.gateway_api_key.get_secret_value()}"},
        timeout=httpx.Timeout(settings.gateway_timeout_s, connect=settings.gateway_connect_timeout_s),
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        event_hooks=CLEAN_ANSWERS,
    )


def _close_at_the_end(app: FastAPI, gateway: PaymentGateway) -> None:
    """Close the gateway's connections after the runtime has recorded the last calls."""
    serve = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(served: FastAPI) -> AsyncIterator[Any]:
        try:
            async with serve(served) as state:
                yield state
        finally:
            await gateway.close()

    app.router.lifespan_context = lifespan
