"""A process that dies between a call to the outside and its record: the call is made again, without harm."""

from uuid import UUID

from pydantic import BaseModel

from caas_billing.gateway.postman import MailDocument, Postman, Sent
from caas_billing.gateway.typesetting import TypesetDocument
from caas_billing.handlers import MAIL, TYPESET
from caas_chassis.testing.harness import Harness
from caas_contracts.billing import InvoiceIssued
from services.billing.tests.builders import a_capture, a_mail_server, a_purchase, a_typesetter
from services.billing.tests.running import MailSink


async def an_issued_invoice(billing: Harness) -> InvoiceIssued:
    purchase = a_purchase()
    await billing.receive(purchase, a_capture(purchase))
    return (await billing.published(InvoiceIssued))[-1]


async def the_task[P: BaseModel](billing: Harness, effect: str, payload: type[P]) -> P:
    """The only waiting task of an effect."""
    async with billing.transaction() as tx:
        (row,) = await tx.fetch("SELECT payload FROM chassis.task WHERE effect = $1", effect)
    return payload.model_validate_json(row["payload"])


async def documents_of(billing: Harness) -> list[tuple[object, bytes]]:
    async with billing.transaction() as tx:
        return [(row["document_id"], row["pdf"]) for row in await tx.fetch("SELECT * FROM document")]


async def test_a_pdf_made_but_not_recorded_is_made_again_and_is_the_same(billing: Harness, mail: MailSink) -> None:
    invoice = await an_issued_invoice(billing)
    task = await the_task(billing, TYPESET, TypesetDocument)
    lost = await a_typesetter().typeset(task)

    await billing.run_effects()

    assert await documents_of(billing) == [(invoice.invoice_id, lost.pdf)]
    assert len(mail.messages) == 1


async def test_a_typeset_task_that_comes_twice_keeps_the_first_pdf_and_mails_once(
    billing: Harness, mail: MailSink
) -> None:
    await an_issued_invoice(billing)
    task = await the_task(billing, TYPESET, TypesetDocument)
    await billing.run_effects()
    kept = await documents_of(billing)

    async with billing.transaction() as tx:
        tx.enqueue(TYPESET, task, key=str(task.document.document_id))
    await billing.run_effects()

    assert await documents_of(billing) == kept
    assert len(mail.messages) == 1


async def test_a_mail_taken_but_not_recorded_goes_out_again_as_the_same_message(
    billing: Harness, mail: MailSink
) -> None:
    mail.answers = ["451 later"]
    await an_issued_invoice(billing)
    await billing.run_effects()
    task = await the_task(billing, MAIL, MailDocument)
    ((_, pdf),) = await documents_of(billing)

    async def read_pdf(_: UUID) -> bytes | None:
        return pdf

    assert isinstance(await Postman(a_mail_server(mail.port), read_pdf).send(task), Sent)

    await billing.skip_delays()
    await billing.run_effects()

    assert [message["Message-ID"] for message in mail.messages] == [
        f"<document.{task.document.document_id}@caas.example>"
    ] * 2
    async with billing.transaction() as tx:
        assert await tx.fetchval("SELECT status FROM mailing") == "sent"
        assert await tx.fetchval("SELECT count(*) FROM chassis.task") == 0
