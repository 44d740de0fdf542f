"""Billing under test: its real handlers and effects on a real database, mailing to a real SMTP server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from uuid import UUID

from aiosmtpd.smtp import SMTP, Envelope, Session

from caas_billing.app import service_of
from caas_billing.domain.document import Document
from caas_billing.domain.mailing import Mailing
from caas_billing.gateway.postman import Postman
from caas_billing.settings import BillingSettings
from caas_billing.store import documents, monthly_invoices
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from services.billing.tests.builders import a_mail_server, migrate


class MailSink:
    """Keeps what an SMTP server accepts; `answers` are given, one by one, before it starts to accept."""

    def __init__(self) -> None:
        self.port = 0
        self.messages: list[EmailMessage] = []
        self.answers: list[str] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.answers:
            return self.answers.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        self.messages.append(message_from_bytes(content, policy=policy.default))
        return "250 kept"

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 ok"


@asynccontextmanager
async def a_mail_sink() -> AsyncIterator[MailSink]:
    """An SMTP server on a free port of this machine."""
    sink = MailSink()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(sink), "127.0.0.1", 0)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def billing_on(url: str, smtp_port: int) -> AsyncIterator[Harness]:
    """Billing on a migrated database."""

    async def read_pdf(document_id: UUID) -> bytes | None:
        async with harness.runtime.reading() as tx:
            return await documents.read_pdf(tx, document_id)

    async def read_monthly(document_id: UUID) -> Document | None:
        async with harness.runtime.reading() as tx:
            return await monthly_invoices.find_document(tx, document_id)

    settings = BillingSettings(database_url=url)
    postman = Postman(a_mail_server(smtp_port), read_pdf)
    harness = Harness(service_of(settings, postman, read_monthly), url)
    async with harness:
        yield harness


@asynccontextmanager
async def a_billing(make_database: MakeDatabase) -> AsyncIterator[tuple[Harness, MailSink]]:
    """Billing on a database of its own, and the mail server it sends to."""
    url = await make_database("billing", migrate)
    async with a_mail_sink() as sink, billing_on(url, sink.port) as harness:
        yield harness, sink


async def mailing_of(harness: Harness, document_id: UUID) -> Mailing | None:
    """The e-mail of a document, while it waits."""
    async with harness.transaction() as tx:
        return (await documents.lock_waiting_mailings(tx, [document_id])).get(document_id)
