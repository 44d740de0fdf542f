"""Billing with a mail server that takes every document, and a typesetter that gives blank pages at once.

A real page costs 10 ms of a core, at the lowest priority: it follows its invoice when there is nothing else to
do. Measured with the others it would be the only thing that is measured.
"""

from typing import Any

from fastapi import FastAPI

from caas_billing.app import MIGRATIONS, NAME, app_of
from caas_billing.gateway.postman import MailDocument, MailResult, Sent
from caas_billing.gateway.typesetting import Typeset, TypesetDocument
from caas_billing.handlers import HANDLERS, MAIL, TYPESET, bulk_handlers, record_mailed, record_typeset
from caas_billing.settings import BillingSettings
from caas_chassis.effects import Effect
from caas_chassis.main import run
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service


async def typeset_blank(task: TypesetDocument) -> Typeset:
    """A blank page."""
    return Typeset(task.document, b"%PDF-1.7 blank")


async def take(_: MailDocument) -> MailResult:
    """The mail server's answer."""
    return Sent("250 taken")


def build(settings: BillingSettings) -> FastAPI:
    """Billing's own application over these two partners, called as often at once as in production."""
    effects: list[Effect[Any, Any]] = [
        Effect(TYPESET, TypesetDocument, typeset_blank, record_typeset, concurrency=settings.typeset_concurrency),
        Effect(MAIL, MailDocument, take, record_mailed, concurrency=settings.mail_concurrency),
    ]
    service = Service(NAME, MIGRATIONS, HANDLERS, effects, bulk=bulk_handlers(settings.billing_time_zone))
    return app_of(Runtime(service, settings), settings)


if __name__ == "__main__":
    run(BillingSettings, build)
