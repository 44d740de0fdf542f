"""Invoices of vehicles: the reservation's and the final one, each once, summing to the price (INV-1, INV-3, RES-5)."""

import asyncio
import random
from collections.abc import Sequence
from email.message import EmailMessage
from itertools import permutations

import pytest

from caas_billing.domain.vat import split_total
from caas_billing.handlers.vehicles import bill_confirmed_payments, bill_registrations
from caas_billing.store import reading
from caas_chassis.cause import Cause
from caas_chassis.handling import Received
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts import Message
from caas_contracts.billing import CreditNoteIssued, InvoiceIssued, InvoiceKind
from caas_contracts.payments import PaymentPurpose
from services.billing.tests.builders import euros, migrate
from services.billing.tests.running import MailSink, billing_on
from services.billing.tests.vehicle_builders import AnOrder

UNUSED_PORT = 1


def text_of(message: EmailMessage) -> str:
    """The words of an e-mail, without its attachment."""
    body = message.get_body()
    assert body is not None
    return str(body.get_content())


async def test_a_paid_reservation_is_invoiced_in_a_series_of_its_own(billing: Harness) -> None:
    order = AnOrder()
    await billing.receive(*order.reservation_story())

    (invoice,) = await billing.published(InvoiceIssued)
    assert invoice.number == f"A-{invoice.issued_at.year}-000001"
    assert invoice.kind is InvoiceKind.RESERVATION
    assert (invoice.subject_id, invoice.payment_id) == (order.order_id, order.reservation_payment_id)
    assert invoice.total == euros(100_000)
    assert [(part.base, part.vat) for part in invoice.vat] == [(euros(82_645), euros(17_355))]
    assert invoice.deducted == []


async def test_the_final_invoice_waits_for_the_plates_and_deducts_the_reservation(billing: Harness) -> None:
    order = AnOrder()
    await billing.receive(*order.reservation_story(), order.final_confirmed(), order.paid())
    assert len(await billing.published(InvoiceIssued)) == 1

    await billing.receive(order.registered())

    reservation, final = await billing.published(InvoiceIssued)
    assert final.number == f"V-{final.issued_at.year}-000001"
    assert final.kind is InvoiceKind.FINAL
    assert final.payment_id == order.final_payment_id
    assert final.total == euros(3_049_000)
    assert final.deducted == reservation.vat
    async with billing.runtime.reading() as tx:
        (read,) = await reading.list_invoices(tx, reading.InvoiceFilter(invoice_id=final.invoice_id))
    vehicle, deducted = read.lines
    assert (vehicle.vehicle_id, vehicle.plates, vehicle.total_minor) == ("WCAAS0NE5T0000001", "1234 BCD", 3_149_000)
    assert (deducted.name, deducted.deducted_invoice_id) == (reservation.number, reservation.invoice_id)
    assert deducted.total_minor == -100_000


async def test_base_and_vat_of_both_invoices_sum_to_those_of_the_price(billing: Harness, chance: random.Random) -> None:
    orders = []
    for _ in range(40):
        total = chance.randrange(2, 10**7)
        orders.append(AnOrder(total_minor=total, reservation_minor=chance.randrange(1, total)))
    await billing.receive(*[fact for order in orders for fact in order.whole_story()])

    invoices = await billing.published(InvoiceIssued)
    assert len(invoices) == 80
    for order in orders:
        parts = [part for one in invoices if one.subject_id == order.order_id for part in one.vat]
        price = split_total(order.total_minor, 2100)
        assert sum(part.base.amount_minor for part in parts) == price.base_minor
        assert sum(part.vat.amount_minor for part in parts) == price.vat_minor


async def test_any_order_of_the_facts_gives_the_same_two_invoices(billing: Harness) -> None:
    # The streams of orders and payments keep their own order; nothing keeps one behind the other.
    told = 0
    for chosen in permutations(range(6)):
        if not (chosen.index(0) < chosen.index(2) < chosen.index(4) < chosen.index(5)):
            continue
        order = AnOrder()
        story = order.whole_story()
        for index in chosen:
            await billing.receive(story[index])
        told += 1
    invoices = await billing.published(InvoiceIssued)
    assert told == 30
    assert [one.kind for one in invoices].count(InvoiceKind.RESERVATION) == told
    assert [one.kind for one in invoices].count(InvoiceKind.FINAL) == told
    assert await billing.parked() == []


async def test_repeated_facts_change_nothing(billing: Harness) -> None:
    story = AnOrder().whole_story()
    await billing.receive(*story)
    await billing.receive_again(*story)
    await billing.receive(*story)
    assert len(await billing.published(InvoiceIssued)) == 2
    assert await billing.parked() == []


async def test_a_payment_that_orders_does_not_count_is_never_invoiced(billing: Harness) -> None:
    """Two customers reserved the same vehicle: the one who did not get it is paid back, and got no invoice."""
    order = AnOrder()
    await billing.receive(order.placed(), order.reservation_confirmed())
    await billing.receive(order.refunded(PaymentPurpose.RESERVATION, 100_000))
    assert await billing.published(InvoiceIssued) == []
    assert await billing.published(CreditNoteIssued) == []
    assert await billing.parked() == []


async def test_an_orphan_of_the_gateway_and_its_refund_are_no_document(billing: Harness) -> None:
    order = AnOrder()
    await billing.receive(order.placed(), order.orphan_found())
    await billing.receive(order.refunded(PaymentPurpose.RESERVATION, 100_000))
    assert await billing.published(InvoiceIssued) == []
    assert await billing.published(CreditNoteIssued) == []
    assert await billing.parked() == []


async def test_an_order_that_payments_did_not_confirm_is_never_invoiced(billing: Harness) -> None:
    order = AnOrder()
    await billing.receive(order.placed(), order.reserved(), order.paid(), order.registered())
    assert await billing.published(InvoiceIssued) == []


async def test_another_amount_than_agreed_is_refused(billing: Harness) -> None:
    order = AnOrder()
    await billing.receive(*order.reservation_story(), order.final_confirmed(amount=euros(3_048_999)), order.paid())
    await billing.receive(order.registered())
    assert [one.kind for one in await billing.published(InvoiceIssued)] == [InvoiceKind.RESERVATION]
    (parked,) = await billing.parked()
    assert "payment_not_as_agreed" in parked["detail"]


@pytest.mark.parametrize("parts", [(3_049_000,), (1, 1_000_000, 2_048_999)])
async def test_refunds_of_a_vehicle_sum_to_its_final_invoice_to_the_cent(
    billing: Harness, parts: tuple[int, ...]
) -> None:
    order = AnOrder()
    await billing.receive(*order.whole_story())
    for part in parts:
        await billing.receive(order.refunded(PaymentPurpose.FINAL, part))

    (invoice,) = [one for one in await billing.published(InvoiceIssued) if one.kind is InvoiceKind.FINAL]
    notes = await billing.published(CreditNoteIssued)
    assert {(note.invoice_number, note.invoice_kind) for note in notes} == {(invoice.number, InvoiceKind.FINAL)}
    assert sum(note.vat[0].base.amount_minor for note in notes) == invoice.vat[0].base.amount_minor
    assert sum(note.vat[0].vat.amount_minor for note in notes) == invoice.vat[0].vat.amount_minor


async def test_more_than_was_paid_cannot_be_refunded(billing: Harness) -> None:
    order = AnOrder()
    await billing.receive(*order.whole_story(), order.refunded(PaymentPurpose.RESERVATION, 100_001))
    assert await billing.published(CreditNoteIssued) == []
    (parked,) = await billing.parked()
    assert "refund_exceeds_capture" in parked["detail"]


async def test_both_invoices_are_mailed_with_their_pdfs(billing: Harness, mail: MailSink) -> None:
    await billing.receive(*AnOrder(language="en").whole_story())
    await billing.run_effects()
    reservation, final = [text_of(message) for message in sorted(mail.messages, key=lambda one: str(one["Subject"]))]
    assert "for the reservation of your CaaS One" in reservation
    assert "registration 1234 BCD, identification number WCAAS0NE5T0000001" in final
    assert "€30,490.00" in final


async def test_the_last_two_facts_in_concurrent_transactions_make_one_invoice(billing: Harness) -> None:
    order = AnOrder()
    await billing.receive(*order.reservation_story(), order.paid())
    cause = Cause.of_person("operator:test")

    async def register() -> None:
        async with billing.transaction() as tx:
            await bill_registrations([Received(order.registered(), cause)], tx=tx)

    async with billing.transaction() as tx:
        await bill_confirmed_payments([Received(order.final_confirmed(), cause)], tx=tx)
        registering = asyncio.create_task(register())
        await asyncio.sleep(0.3)
        assert not registering.done()
    await asyncio.wait_for(registering, timeout=10)

    kinds = [one.kind for one in await billing.published(InvoiceIssued)]
    assert kinds == [InvoiceKind.RESERVATION, InvoiceKind.FINAL]


async def test_replicas_that_hear_the_two_services_apart_issue_each_invoice_once(
    make_database: MakeDatabase, chance: random.Random
) -> None:
    url = await make_database("billing", migrate)
    orders = [AnOrder() for _ in range(60)]
    async with billing_on(url, UNUSED_PORT) as one, billing_on(url, UNUSED_PORT) as other:

        async def tell(replica: Harness, stories: Sequence[Sequence[Message]]) -> None:
            for start in range(0, len(stories), 5):
                await replica.receive(*[fact for story in stories[start : start + 5] for fact in story])

        of_orders: list[Sequence[Message]] = [[o.placed(), o.reserved(), o.paid(), o.registered()] for o in orders]
        of_payments: list[Sequence[Message]] = [[o.reservation_confirmed(), o.final_confirmed()] for o in orders]
        chance.shuffle(of_payments)
        await asyncio.wait_for(asyncio.gather(tell(one, of_orders), tell(other, of_payments)), timeout=60)
        invoices = await one.published(InvoiceIssued)
    for series in ("A", "V"):
        numbers = sorted(int(invoice.number[-6:]) for invoice in invoices if invoice.number[0] == series)
        assert numbers == list(range(1, 61)), series
