"""Builds billing from its settings: the one place where its parts meet."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import FastAPI

from caas_billing.domain.billing_policy import BillingPolicy
from caas_billing.domain.document import Document
from caas_billing.gateway.postman import MailServer, Postman
from caas_billing.gateway.typesetting import Issuer, StoredTypesetter, Typesetter
from caas_billing.handlers import MAIL, TYPESET, bulk_handlers, effects, handlers
from caas_billing.handlers.closing import BillingCycle, cycle_timers
from caas_billing.handlers.dunning import timers
from caas_billing.http import routers
from caas_billing.settings import BillingSettings
from caas_billing.store import documents, monthly_invoices
from caas_chassis.auth import TokenVerifier
from caas_chassis.main import run
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.web import create_app

NAME = "billing"
MIGRATIONS = "caas_billing.migrations"
APPEND_ONLY: Final = (
    "invoice",
    "invoice_line",
    "refund",
    "credit_note",
    "document",
    "rate_plan",
    "rate_tier",
    "subscription",
    "subscription_cancellation",
    "usage_event",
    "uncharged_usage",
    "usage_line",
    "period_close",
    "charge_attempt",
    "charge_outcome",
    "charge_action",
)


def main() -> None:
    """The command line: `serve` or `migrate`."""
    run(BillingSettings, build)


def build(settings: BillingSettings) -> FastAPI:
    """The service, ready to be served."""
    return app_of(runtime_of(settings), settings)


def app_of(runtime: Runtime, settings: BillingSettings, *, verifier: TokenVerifier | None = None) -> FastAPI:
    """The HTTP application of a runtime; tokens are verified as the settings say, unless by `verifier`."""
    every = routers(runtime, billing_policy(settings), document_wait_s=settings.document_wait_s)
    return create_app(runtime, every, verifier=verifier)


def runtime_of(settings: BillingSettings) -> Runtime:
    """The runtime with the typesetter and the mail server that the settings name."""

    async def read_pdf(document_id: UUID) -> bytes | None:
        async with runtime.reading() as tx:
            return await documents.read_pdf(tx, document_id)

    async def read_monthly(document_id: UUID) -> Document | None:
        async with runtime.reading() as tx:
            return await monthly_invoices.find_document(tx, document_id)

    postman = Postman(_mail_server(settings), read_pdf)
    runtime = Runtime(service_of(settings, postman, read_monthly), settings)
    return runtime


def service_of(
    settings: BillingSettings, postman: Postman, read_monthly: Callable[[UUID], Awaitable[Document | None]]
) -> Service:
    """What billing is made of; `read_monthly` finds a stored monthly invoice that is to be typeset."""
    typesetter, policy = Typesetter(_issuer(settings), settings.typeset_concurrency), billing_policy(settings)
    at_once = {TYPESET: settings.typeset_concurrency, MAIL: settings.mail_concurrency}
    return Service(
        name=NAME,
        migrations=MIGRATIONS,
        append_only=APPEND_ONLY,
        handlers=handlers(policy),
        bulk=bulk_handlers(settings.billing_time_zone),
        timers={**timers(policy), **cycle_timers(policy)},
        loops=[partial(BillingCycle, policy=policy, workers=settings.billing_workers)],
        effects=effects(typesetter, StoredTypesetter(typesetter, read_monthly), postman, at_once=at_once),
    )


def billing_policy(settings: BillingSettings) -> BillingPolicy:
    """The policy of billing monthly that the settings make."""
    return BillingPolicy(
        time_zone=ZoneInfo(settings.billing_time_zone),
        retry_days=tuple(settings.dunning_retry_days),
        charge_hour=settings.dunning_charge_hour,
        business_days_only=settings.dunning_business_days_only,
        holidays=frozenset(settings.dunning_holidays),
        technical_retry=timedelta(hours=settings.dunning_technical_retry_hours),
        grace=timedelta(hours=settings.billing_grace_hours),
    )


def _issuer(settings: BillingSettings) -> Issuer:
    return Issuer(
        name=settings.issuer_name,
        tax_id=settings.issuer_tax_id,
        address=tuple(line.strip() for line in settings.issuer_address.split("|")),
        email=settings.issuer_email,
        phone=settings.issuer_phone,
        website=settings.issuer_website,
        registration=settings.issuer_registration,
    )


def _mail_server(settings: BillingSettings) -> MailServer:
    return MailServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
        timeout_s=settings.smtp_timeout_s,
        sender_name=settings.issuer_name,
        sender_address=settings.mail_from,
    )
