"""The one place where orders is put together: partners, handlers, runtime, HTTP."""

import httpx
from fastapi import FastAPI

from caas_chassis.answers import CLEAN_ANSWERS
from caas_chassis.clock import BusinessClock
from caas_chassis.effects import Effect
from caas_chassis.main import run
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.web import create_app
from caas_orders.gateway import Mailer, MailOutcome, Maintenance, MaintenanceAnswer, MaintenanceQuestion, OutgoingMail
from caas_orders.gateway.mail import SmtpMailer, SmtpServer
from caas_orders.gateway.vss import VssClient
from caas_orders.handlers import HANDLERS
from caas_orders.handlers.placing import MAINTENANCE_EFFECT
from caas_orders.handlers.purchasing import record_maintenance
from caas_orders.handlers.telling import ALERT_MAIL_EFFECT, MAIL_EFFECT, record_alert_mails, record_mails
from caas_orders.http import routers
from caas_orders.settings import OrdersSettings


def main() -> None:
    """The command line: `serve` or `migrate`."""
    run(OrdersSettings, build)


def build(settings: OrdersSettings, *, maintenance: Maintenance | None = None, mailer: Mailer | None = None) -> FastAPI:
    """The application. Partners that are given replace the ones over HTTP and SMTP (benchmarks, tests)."""
    service = orders_service(maintenance or vss_client(settings), mailer or _smtp(settings))
    runtime = Runtime(service, settings)
    return create_app(runtime, routers(runtime))


def orders_service(maintenance: Maintenance, mailer: Mailer) -> Service:
    """What orders is made of, with these partners."""
    return Service(
        name="orders",
        migrations="caas_orders.migrations",
        handlers=HANDLERS,
        effects=[
            Effect[MaintenanceQuestion, MaintenanceAnswer](
                MAINTENANCE_EFFECT, MaintenanceQuestion, maintenance.ask, record_maintenance
            ),
            Effect[OutgoingMail, MailOutcome](MAIL_EFFECT, OutgoingMail, mailer.send, record_mails),
            Effect[OutgoingMail, MailOutcome](
                ALERT_MAIL_EFFECT, OutgoingMail, mailer.send, record_alert_mails, concurrency=4
            ),
        ],
    )


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
