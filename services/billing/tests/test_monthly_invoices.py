"""Monthly invoices that are stored already: typeset from their rows, mailed, read by their customer, credited."""

import asyncio
import os
import random
import signal
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from caas_billing.domain.credit_note import CreditNote, Refund, credit_note_of
from caas_billing.domain.document import document_of_invoice
from caas_billing.domain.invoice import Invoice, Issue
from caas_billing.domain.numbering import DocumentNumber, Series
from caas_billing.gateway.postman import MailDocument
from caas_billing.gateway.typesetting import TypesetStored
from caas_billing.handlers import MAIL, TYPESET_STORED
from caas_billing.store import monthly_invoices
from caas_chassis.testing.harness import Harness
from caas_contracts.billing import CreditNoteIssued, InvoiceKind
from services.billing.tests.builders import AN_INSTANT, a_customer, a_typesetter, euros
from services.billing.tests.callers import ANA, BEN, OPERATOR
from services.billing.tests.monthly_builders import (
    a_flat_line,
    a_monthly_invoice,
    a_monthly_refund,
    a_stored_invoice,
    a_subscription,
    a_usage_line,
    an_attempt,
    an_outcome,
    days_of_october,
    tiered_lines,
)
from services.billing.tests.running import MailSink
from services.billing.tests.test_documents import words_in

ROOT = Path(__file__).parents[3]


async def stored(billing: Harness, invoice: Invoice | None = None, *, paid: bool = False) -> Invoice:
    """A monthly invoice with the task of its page, as closing a period leaves it."""
    async with billing.transaction() as tx:
        kept = await a_stored_invoice(tx, invoice, paid=paid)
        tx.enqueue(TYPESET_STORED, TypesetStored(document_id=kept.invoice_id), key=str(kept.invoice_id))
    return kept


async def pdf_of(billing: Harness, document_id: UUID) -> bytes:
    async with billing.transaction() as tx:
        (row,) = await tx.fetch("SELECT pdf FROM document WHERE document_id = $1", document_id)
    return bytes(row["pdf"])


async def counted(billing: Harness, table: str) -> object:
    async with billing.transaction() as tx:
        return await tx.fetchval(f"SELECT count(*) FROM {table}")


async def test_what_is_stored_is_read_back_as_it_was_billed(billing: Harness) -> None:
    late = a_usage_line(used_in=date(2026, 9, 1), first_day=date(2026, 9, 1), quantity=Decimal(12), total_minor=42)
    for lines in ((*tiered_lines(), late), (a_flat_line(18),), (a_usage_line(),)):
        first = min(line.first_day for line in lines if line.used_in == lines[0].used_in)
        sold = a_subscription(lines=tuple(replace(line, first_day=max(first, line.used_in)) for line in lines))
        invoice = await stored(billing, a_monthly_invoice(sold))
        async with billing.runtime.reading() as tx:
            document = await monthly_invoices.find_document(tx, invoice.invoice_id)
        assert document == document_of_invoice(invoice)


async def test_a_stored_invoice_is_typeset_and_mailed_once(billing: Harness, mail: MailSink) -> None:
    invoice = await stored(billing)
    await billing.run_effects()
    async with billing.transaction() as tx:
        tx.enqueue(TYPESET_STORED, TypesetStored(document_id=invoice.invoice_id), key=str(invoice.invoice_id))
    await billing.run_effects()

    pdf = await pdf_of(billing, invoice.invoice_id)
    assert pdf == a_typesetter().pdf(document_of_invoice(invoice))
    (message,) = mail.messages
    assert message["To"] == invoice.customer.email
    assert message["Subject"] == f"Su factura {invoice.number} de octubre de 2026"
    body = message.get_body()
    assert body is not None
    words = " ".join(body.get_content().split())
    for expected in (
        "Hola, María Núñez:",
        "por un total de 4,22 €, de «Asistente de carril, octubre de 2026» para el vehículo WVWZZZ1JZXW000001.",
        "cargo en su medio de pago, con vencimiento el 8 de noviembre de 2026.",
    ):
        assert expected in words.replace("\xa0", " "), words
    (attachment,) = message.iter_attachments()
    assert attachment.get_content() == pdf


async def test_the_mail_is_in_the_customers_language(billing: Harness, mail: MailSink) -> None:
    invoice = await stored(billing, a_monthly_invoice(customer=a_customer(language="en")))
    await billing.run_effects()
    (message,) = mail.messages
    assert message["Subject"] == f"Your invoice {invoice.number} for October 2026"
    body = message.get_body()
    assert body is not None
    assert "€4.22 in total" in body.get_content()


async def test_what_waits_for_the_mail_server_does_not_carry_the_lines(billing: Harness, mail: MailSink) -> None:
    mail.answers = ["451 later"]
    lines = tuple(a_usage_line(quantity=Decimal(quantity)) for quantity in range(1, 41))
    await stored(billing, a_monthly_invoice(a_subscription(lines=lines)))
    await billing.run_effects()
    async with billing.transaction() as tx:
        (row,) = await tx.fetch("SELECT payload FROM chassis.task WHERE effect = $1", MAIL)
    assert MailDocument.model_validate_json(row["payload"]).document.sold == a_subscription(lines=(), usage_days=())
    assert len(row["payload"]) < 1500


@pytest.mark.parametrize(
    "point", ["effect.before_call", "effect.after_call", "effect.before_commit", "effect.after_commit"]
)
async def test_a_process_that_dies_while_typesetting_leaves_one_document_and_one_mail(
    billing: Harness, mail: MailSink, tmp_path: Path, point: str
) -> None:
    invoice = await stored(billing)
    armed = tmp_path / "points"
    armed.write_text(f"{point}:{TYPESET_STORED}")
    command = [sys.executable, "-m", "services.billing.tests.run_effects", billing.owner_url, str(mail.port)]
    environment = {**os.environ, "CAAS_CRASH_FILE": str(armed)}
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment)
    assert await asyncio.wait_for(process.wait(), timeout=60) == -signal.SIGKILL

    await billing.skip_delays()
    await billing.run_effects()

    assert await counted(billing, "document") == 1
    assert await pdf_of(billing, invoice.invoice_id) == a_typesetter().pdf(document_of_invoice(invoice))
    assert len(mail.messages) == 1
    assert await counted(billing, "chassis.task") == 0


async def test_a_customer_reads_a_monthly_invoice_with_how_it_was_reckoned(
    billing: Harness, http: httpx.AsyncClient
) -> None:
    sold = a_subscription(lines=tiered_lines(), usage_days=days_of_october(3, 1))
    invoice = await stored(billing, a_monthly_invoice(sold, customer=a_customer(customer_id="ana")))
    await billing.run_effects()

    read = (await http.get(f"/invoices/{invoice.invoice_id}", headers=ANA)).json()
    assert (await http.get("/invoices", headers=ANA)).json()["invoices"] == [read]
    assert (read["kind"], read["period"], read["due_on"]) == ("subscription", "2026-10", "2026-11-08")
    assert read["usage_days"] == ["2026-10-01", "2026-10-03"]
    assert [line["concept"] for line in read["lines"]] == ["subscription"]
    first, second, third = read["usage_lines"]
    assert (first["kind"], first["used_in"], first["unit"]) == ("tiered", "2026-10", "km")
    assert (first["quantity"], first["rate"], first["total_minor"]) == ("500", "2.5", 1250)
    assert [(line["tier_above"], line["tier_up_to"]) for line in (first, second, third)] == [
        ("0", "500"),
        ("500", "1500"),
        ("1500", None),
    ]
    assert sum(line["total_minor"] for line in read["usage_lines"]) == read["total"]["amount_minor"]
    pdf = await http.get(read["document_url"], headers=ANA)
    assert str(invoice.number) in words_in(pdf.content)


async def test_a_monthly_invoice_of_others_does_not_exist(billing: Harness, http: httpx.AsyncClient) -> None:
    invoice = await stored(billing, a_monthly_invoice(customer=a_customer(customer_id="ana")), paid=True)
    await billing.receive(a_monthly_refund(invoice, 100))
    await billing.run_effects()
    (note,) = await billing.published(CreditNoteIssued)
    for path in (f"/invoices/{invoice.invoice_id}", f"/credit-notes/{note.credit_note_id}"):
        for suffix in ("", "/document"):
            assert (await http.get(path + suffix, headers=BEN)).status_code == 404
            assert (await http.get(path + suffix, headers=ANA)).status_code == 200
            assert (await http.get(path + suffix, headers=OPERATOR)).status_code == 200
    assert (await http.get("/invoices", headers=BEN)).json()["invoices"] == []


async def test_a_refund_of_a_monthly_invoice_is_credited_and_names_its_month(billing: Harness, mail: MailSink) -> None:
    invoice = await stored(billing, paid=True)
    refund = a_monthly_refund(invoice, 200)
    await billing.receive(refund)
    await billing.receive_again(refund)
    await billing.run_effects()

    (note,) = await billing.published(CreditNoteIssued)
    assert (note.invoice_id, note.invoice_number) == (invoice.invoice_id, str(invoice.number))
    assert (note.invoice_kind, note.subject_id) == (InvoiceKind.SUBSCRIPTION, invoice.subject_id)
    assert (note.payment_id, note.total) == (invoice.payment_id, euros(200))
    words = words_in(await pdf_of(billing, note.credit_note_id))
    for expected in (
        "Factura rectificativa",
        f"Rectifica la factura {invoice.number} del 1 de noviembre de 2026. Motivo: cortesía comercial.",
        "Periodo: octubre de 2026",
        "-2,00 €",
        str(invoice.payment_id),
    ):
        assert expected in words, (expected, words)
    assert "Detalle del mes" not in words
    texts = [body.get_content() for message in mail.messages if (body := message.get_body())]
    assert sum("«Asistente de carril, octubre de 2026»" in text and "rectificativa" in text for text in texts) == 1


async def test_a_refund_of_the_attempt_that_paid_finds_its_invoice(billing: Harness) -> None:
    invoice = await stored(billing)
    later = uuid4()
    async with billing.transaction() as tx:
        await an_outcome(tx, invoice, 1, "failed")
        await an_attempt(tx, invoice, 2, later)
        await an_outcome(tx, invoice, 2, "paid")
    for part in (100, 322):
        await billing.receive(a_monthly_refund(invoice, part, payment_id=later))

    notes = await billing.published(CreditNoteIssued)
    assert [(note.invoice_id, note.payment_id) for note in notes] == [(invoice.invoice_id, later)] * 2
    assert sum(note.vat[0].base.amount_minor for note in notes) == invoice.amount.base_minor
    assert sum(note.vat[0].vat.amount_minor for note in notes) == invoice.amount.vat_minor


async def test_money_that_came_twice_is_given_back_without_a_credit_note(billing: Harness) -> None:
    invoice = await stored(billing, paid=True)
    twice = uuid4()
    async with billing.transaction() as tx:
        await an_attempt(tx, invoice, 2, twice)
        await an_outcome(tx, invoice, 2, "surplus")
    await billing.receive(a_monthly_refund(invoice, invoice.amount.total_minor, payment_id=twice))
    assert await billing.published(CreditNoteIssued) == []
    assert await counted(billing, "refund") == 1

    await billing.receive(a_monthly_refund(invoice, invoice.amount.total_minor))
    (note,) = await billing.published(CreditNoteIssued)
    assert note.payment_id == invoice.payment_id
    assert await billing.parked() == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"refunded": euros(423)}, "refund_exceeds_capture"),
        ({"refunded": euros(1).model_copy(update={"currency": "USD"})}, "refund_exceeds_capture"),
        ({"payment_id": uuid4()}, "refund_without_capture"),
    ],
)
async def test_a_refund_that_cannot_be_is_parked(billing: Harness, changes: dict[str, Any], code: str) -> None:
    invoice = await stored(billing, paid=True)
    await billing.receive(a_monthly_refund(invoice, 1, **changes))
    assert await billing.published(CreditNoteIssued) == []
    (parked,) = await billing.parked()
    assert code in parked["detail"]


async def test_several_refunds_in_one_batch_never_pass_the_invoice(billing: Harness) -> None:
    invoice = await stored(billing, paid=True)
    await billing.receive(*[a_monthly_refund(invoice, 211) for _ in range(2)], a_monthly_refund(invoice, 1))
    assert [note.total for note in await billing.published(CreditNoteIssued)] == [euros(211), euros(211)]
    assert len(await billing.parked()) == 1


def test_lines_and_credit_notes_sum_to_the_invoice_to_the_cent(chance: random.Random) -> None:
    for _ in range(300):
        lines = tuple(a_usage_line(total_minor=chance.randrange(0, 5000)) for _ in range(chance.randint(1, 40)))
        invoice = a_monthly_invoice(a_subscription(lines=lines))
        assert sum(line.total_minor for line in lines) == invoice.amount.base_minor + invoice.amount.vat_minor
        notes = credited_at_random(invoice, chance)
        assert sum(note.amount.base_minor for note in notes) == invoice.amount.base_minor
        assert sum(note.amount.vat_minor for note in notes) == invoice.amount.vat_minor
        assert all(min(note.amount.base_minor, note.amount.vat_minor) >= 0 for note in notes)


def credited_at_random(invoice: Invoice, chance: random.Random) -> list[CreditNote]:
    """The credit notes of refunds that give the whole invoice back, in parts."""
    notes: list[CreditNote] = []
    before = 0
    while before < invoice.amount.total_minor:
        part = chance.randint(1, invoice.amount.total_minor - before)
        refund = Refund(uuid4(), invoice.payment_id, euros(part), before, "goodwill", AN_INSTANT)
        number = DocumentNumber(Series.CREDIT_NOTE, 2026, len(notes) + 1)
        notes.append(credit_note_of(invoice, refund, Issue(uuid4(), number, AN_INSTANT)))
        before += part
    return notes
