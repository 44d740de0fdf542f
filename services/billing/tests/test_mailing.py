"""E-mails: each document once, deferred ones tried again, refused ones told to operations (NOT-1, NOT-2, INV-4)."""

import re
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from caas_billing.domain.mailing import (
    MAX_ATTEMPTS,
    TRANSITIONS,
    Mailing,
    MailingStatus,
    delay_before_attempt,
)
from caas_billing.gateway.postman import Deferred, MailDocument, Postman
from caas_billing.store import reading
from caas_chassis.testing.harness import Harness
from caas_contracts.billing import CreditNoteIssued, InvoiceIssued
from caas_contracts.operations import AlertKind, AlertRaised
from services.billing.tests.builders import (
    a_capture,
    a_mail_server,
    a_purchase,
    a_refund,
    an_invoice_document,
)
from services.billing.tests.running import MailSink, mailing_of

DIAGRAM = Path(__file__).parents[3] / "docs" / "architecture" / "billing.md"


async def test_an_invoice_is_mailed_once_with_its_pdf(billing: Harness, mail: MailSink) -> None:
    purchase = a_purchase(customer_name="María Núñez", customer_email="maria@example.org")
    await billing.receive(purchase, a_capture(purchase))
    await billing.run_effects()
    await billing.skip_delays()
    await billing.run_effects()

    (invoice,) = await billing.published(InvoiceIssued)
    (message,) = mail.messages
    assert message["To"] == "maria@example.org"
    assert message["Subject"] == f"Su factura {invoice.number}"
    assert message["Message-ID"] == f"<document.{invoice.invoice_id}@caas.example>"
    body = message.get_body()
    assert body is not None
    assert "Hola, María Núñez:" in body.get_content()
    assert "19,99" in body.get_content()
    (attachment,) = message.iter_attachments()
    assert (attachment.get_content_type(), attachment.get_filename()) == (
        "application/pdf",
        f"{invoice.number}.pdf",
    )
    assert attachment.get_content().startswith(b"%PDF-")


async def test_a_credit_note_is_mailed_in_the_customers_language(billing: Harness, mail: MailSink) -> None:
    purchase = a_purchase(customer_language="en")
    await billing.receive(purchase, a_capture(purchase), a_refund(purchase, 500))
    await billing.run_effects()
    (note,) = await billing.published(CreditNoteIssued)
    (message,) = [message for message in mail.messages if "credit note" in message["Subject"]]
    assert message["Subject"] == f"Your credit note {note.number}"
    body = message.get_body()
    assert body is not None
    assert note.invoice_number in body.get_content()
    assert "€5.00" in body.get_content()


async def test_a_deferred_mail_is_tried_again_until_it_is_taken(billing: Harness, mail: MailSink) -> None:
    mail.answers = ["451 later", "421 busy"]
    purchase = a_purchase()
    await billing.receive(purchase, a_capture(purchase))
    await billing.run_effects()
    (invoice,) = await billing.published(InvoiceIssued)
    waiting = await mailing_of(billing, invoice.invoice_id)
    assert waiting is not None
    assert (waiting.status, waiting.attempts) == (MailingStatus.WAITING, 1)
    assert waiting.last_answer.startswith("451")

    for _ in range(2):
        await billing.skip_delays()
        await billing.run_effects()

    assert len(mail.messages) == 1
    assert await mailing_of(billing, invoice.invoice_id) is None
    assert await billing.published(AlertRaised) == []


async def test_a_mail_refused_for_good_alerts_operations_once(billing: Harness, mail: MailSink) -> None:
    purchase = a_purchase(customer_email="nobody@example.org")
    await billing.receive(purchase, a_capture(purchase))
    await billing.run_effects()
    await billing.skip_delays()
    await billing.run_effects()

    (invoice,) = await billing.published(InvoiceIssued)
    (alert,) = await billing.published(AlertRaised)
    assert (alert.kind, alert.subject) == (AlertKind.RETRIES_EXHAUSTED, invoice.number)
    assert "nobody" not in alert.detail
    assert mail.messages == []
    async with billing.runtime.reading() as tx:
        (unsent,) = await reading.list_unsent_mailings(tx, 10)
    assert (unsent.number, unsent.status) == (invoice.number, MailingStatus.REFUSED)
    assert "550" in unsent.last_answer


@pytest.mark.parametrize(
    "address", ["", "nobody", "a@b\r\nBcc: c@d", "a@b, c@d", "<a@b>", "a b@c", "@", "a@", "a@b\x00"]
)
async def test_an_impossible_address_is_refused_before_any_connection(address: str) -> None:
    async def no_pdf(_: object) -> bytes | None:
        raise AssertionError("nothing is to be read for an address that cannot be")

    document = an_invoice_document()
    task = MailDocument(document=replace(document, customer=replace(document.customer, email=address)), attempt=0)
    result = await Postman(a_mail_server(1), no_pdf).send(task)
    assert "not one" in result.answer


async def test_a_mail_server_that_is_away_defers(mail: MailSink) -> None:
    async def some_pdf(_: object) -> bytes | None:
        return b"%PDF-1.7"

    task = MailDocument(document=an_invoice_document(), attempt=0)
    for server in (a_mail_server(1), a_mail_server(mail.port, username="x", password="y")):
        assert isinstance(await Postman(server, some_pdf).send(task), Deferred)


def test_a_mailing_is_given_up_after_the_last_attempt() -> None:
    mailing = Mailing(uuid4(), MailingStatus.WAITING, 0, "")
    for _ in range(MAX_ATTEMPTS - 1):
        mailing = mailing.deferred("451")
        assert mailing.status is MailingStatus.WAITING
    assert mailing.deferred("451").status is MailingStatus.GIVEN_UP


def test_a_finished_mailing_moves_no_more() -> None:
    sent = Mailing(uuid4(), MailingStatus.WAITING, 0, "").sent("250")
    with pytest.raises(ValueError, match="cannot become refused"):
        sent.refused("550")


def test_attempts_are_spread_over_days() -> None:
    delays = [delay_before_attempt(attempt) for attempt in range(MAX_ATTEMPTS)]
    assert delays == sorted(delays)
    assert 3.9 < sum(delay.total_seconds() for delay in delays) / 86_400 < 5


def test_the_diagram_shows_exactly_the_transitions() -> None:
    text = DIAGRAM.read_text(encoding="utf-8")
    (states,) = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", text, re.DOTALL)
    drawn = set(re.findall(r"^\s*(\w+) --> (\w+)", states, re.MULTILINE))
    wanted = {(before.value, after.value) for before, afters in TRANSITIONS.items() for after in afters}
    assert drawn == wanted
