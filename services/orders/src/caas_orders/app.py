"""The one place where orders is put together: partners, handlers, runtime, HTTP."""

from datetime import timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from fastapi import FastAPI

from caas_chassis.answers import CLEAN_ANSWERS
from caas_chassis.clock import BusinessClock
from caas_chassis.effects import Effect
from caas_chassis.main import run
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.web import create_app
from caas_orders.domain.sales_policy import ForfeitOn, SalesPolicy
from caas_orders.gateway import Mailer, MailOutcome, Maintenance, MaintenanceAnswer, MaintenanceQuestion, OutgoingMail
from caas_orders.gateway.connecting import connect, webhooks
from caas_orders.gateway.mail import SmtpMailer, SmtpServer
from caas_orders.gateway.supply import (
    FactoryAnswer,
    FactoryOrder,
    RegistrationAnswer,
    RegistrationRequest,
    Suppliers,
    TransportAnswer,
    TransportBooking,
)
from caas_orders.gateway.vss import VssClient
from caas_orders.handlers import handlers
from caas_orders.handlers.deadlines import ACTIVATION_TIMER, EXPIRY_TIMER, REFUND_TIMER, RENEWAL_TIMER
from caas_orders.handlers.errands import FACTORY_EFFECT, REGISTRATION_EFFECT, TRANSPORT_EFFECT
from caas_orders.handlers.expiring import expire_due
from caas_orders.handlers.order_amending import DEADLINE_TIMER
from caas_orders.handlers.order_paying import forfeit_overdue
from caas_orders.handlers.paying_ahead import activate_due
from caas_orders.handlers.placing import MAINTENANCE_EFFECT
from caas_orders.handlers.publishing_plans import RatePlanPublisher
from caas_orders.handlers.purchasing import record_maintenance
from caas_orders.handlers.renewing import renew_due
from caas_orders.handlers.supplying import record_factory_orders, record_registrations, record_transports
from caas_orders.handlers.telling import ALERT_MAIL_EFFECT, MAIL_EFFECT, record_alert_mails, record_mails
from caas_orders.handlers.withdrawing import ask_again
from caas_orders.http import routers
from caas_orders.http.following import partner_webhooks_router
from caas_orders.settings import OrdersSettings


def main() -> None:
    """The command line: `serve` or `migrate`."""
    run(OrdersSettings, build)


def build(
    settings: OrdersSettings,
    *,
    maintenance: Maintenance | None = None,
    mailer: Mailer | None = None,
    suppliers: Suppliers | None = None,
) -> FastAPI:
    """The application. Partners that are given replace the ones over HTTP and SMTP (benchmarks, tests)."""
    policy = sales_policy(settings)
    service = orders_service(
        maintenance or vss_client(settings),
        mailer or _smtp(settings),
        suppliers=suppliers or connect(settings),
        policy=policy,
    )
    runtime = Runtime(service, settings)
    told_by_suppliers = partner_webhooks_router(runtime, webhooks(settings), policy)
    return create_app(runtime, [*routers(runtime, policy, ZoneInfo(settings.billing_time_zone)), told_by_suppliers])


def orders_service(
    maintenance: Maintenance,
    mailer: Mailer,
    *,
    suppliers: Suppliers | None = None,
    policy: SalesPolicy | None = None,
) -> Service:
    """What orders is made of, with these partners; without suppliers their tasks wait."""
    rules = policy or SalesPolicy()
    return Service(
        name="orders",
        migrations="caas_orders.migrations",
        handlers=handlers(rules),
        effects=[
            Effect[MaintenanceQuestion, MaintenanceAnswer](
                MAINTENANCE_EFFECT, MaintenanceQuestion, maintenance.ask, record_maintenance
            ),
            Effect[OutgoingMail, MailOutcome](MAIL_EFFECT, OutgoingMail, mailer.send, record_mails),
            Effect[OutgoingMail, MailOutcome](
                ALERT_MAIL_EFFECT, OutgoingMail, mailer.send, record_alert_mails, concurrency=4
            ),
            *(_supply_effects(suppliers, rules) if suppliers else ()),
        ],
        loops=[RatePlanPublisher],
        append_only=("published_rate_plan",),
        timers={
            DEADLINE_TIMER: partial(forfeit_overdue, policy=rules),
            ACTIVATION_TIMER: activate_due,
            RENEWAL_TIMER: renew_due,
            EXPIRY_TIMER: expire_due,
            REFUND_TIMER: ask_again,
        },
    )


def sales_policy(settings: OrdersSettings) -> SalesPolicy:
    """The policy of selling vehicles that the settings make."""
    return SalesPolicy(
        payment_deadline=timedelta(days=settings.final_payment_days),
        retry_grace=timedelta(hours=settings.final_payment_retry_hours),
        forfeit_on=ForfeitOn(settings.forfeit_on),
        invitation_life=timedelta(days=settings.invitation_days),
        platform_url=settings.platform_url.rstrip("/"),
    )


def _supply_effects(suppliers: Suppliers, policy: SalesPolicy) -> list[Effect[Any, Any]]:
    return [
        Effect[FactoryOrder, FactoryAnswer](
            FACTORY_EFFECT, FactoryOrder, suppliers.factory.order, partial(record_factory_orders, policy=policy)
        ),
        Effect[RegistrationRequest, RegistrationAnswer](
            REGISTRATION_EFFECT,
            RegistrationRequest,
            suppliers.registration.register,
            partial(record_registrations, policy=policy),
        ),
        Effect[TransportBooking, TransportAnswer](
            TRANSPORT_EFFECT, TransportBooking, suppliers.transport.book, partial(record_transports, policy=policy)
        ),
    ]


def vss_client(settings: OrdersSettings) -> VssClient:
    """The maintenance system over HTTP."""
    client = httpx.AsyncClient(
        base_url=settings.vss_url,
        headers={"Authorization": f"Bearer {settings.vss_api_key.get_secret_value()}"},
        timeout=httpx.Timeout(settings.vss_timeout_s),
        # One reconnection, for a connection that the VSS has closed while it idled.
        transport=httpx.AsyncHTTPTransport(retries=1, limits=httpx.Limits(max_connections=32)),
        event_hooks=CLEAN_ANSWERS,
    )
    return VssClient(client, settings.vss_timeout_s)


def _smtp(settings: OrdersSettings) -> SmtpMailer:
    server = SmtpServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        sender=settings.mail_sender,
        operations=settings.operations_address,
        timeout_s=settings.smtp_timeout_s,
        username=settings.smtp_username,
        password=settings.smtp_password,
        start_tls=settings.smtp_start_tls,
    )
    return SmtpMailer(server, BusinessClock(settings.clock_file))
