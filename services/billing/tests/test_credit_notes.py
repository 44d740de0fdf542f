"""Credit notes: one per refund, never above the invoice, summing to it to the cent (INV-3, PAY-8)."""

from caas_chassis.testing.harness import Harness
from caas_contracts.billing import CreditNoteIssued, InvoiceIssued
from caas_contracts.orders import PurchasePlaced
from services.billing.tests.builders import a_capture, a_purchase, a_refund, euros


async def an_invoiced_purchase(billing: Harness, price_minor: int = 1999) -> PurchasePlaced:
    purchase = a_purchase(price_minor=price_minor)
    await billing.receive(purchase, a_capture(purchase))
    return purchase


async def test_a_refund_gets_a_credit_note_that_names_the_invoice(billing: Harness) -> None:
    purchase = await an_invoiced_purchase(billing)
    refund = a_refund(purchase, 1999, reason="withdrawal")
    await billing.receive(refund)

    (invoice,) = await billing.published(InvoiceIssued)
    (note,) = await billing.published(CreditNoteIssued)
    assert note.number == f"R-{note.issued_at.year}-000001"
    assert (note.invoice_id, note.invoice_number) == (invoice.invoice_id, invoice.number)
    assert (note.refund_id, note.reason) == (refund.refund_id, "withdrawal")
    assert note.total == invoice.total
    assert note.vat == invoice.vat


async def test_partial_refunds_sum_to_the_invoice_to_the_cent(billing: Harness) -> None:
    purchase = await an_invoiced_purchase(billing, price_minor=1000)
    for part in (333, 333, 334):
        await billing.receive(a_refund(purchase, part))

    (invoice,) = await billing.published(InvoiceIssued)
    notes = await billing.published(CreditNoteIssued)
    assert [note.total.amount_minor for note in notes] == [333, 333, 334]
    assert sum(note.vat[0].base.amount_minor for note in notes) == invoice.vat[0].base.amount_minor
    assert sum(note.vat[0].vat.amount_minor for note in notes) == invoice.vat[0].vat.amount_minor
    assert [note.number[-6:] for note in notes] == ["000001", "000002", "000003"]


async def test_refunds_of_several_purchases_in_one_batch_are_each_credited(billing: Harness) -> None:
    purchases = [await an_invoiced_purchase(billing) for _ in range(5)]
    await billing.receive(*[a_refund(purchase, 500) for purchase in purchases])
    notes = await billing.published(CreditNoteIssued)
    assert {note.payment_id for note in notes} == {purchase.payment_id for purchase in purchases}
    assert await billing.parked() == []


async def test_a_repeated_refund_is_credited_once(billing: Harness) -> None:
    purchase = await an_invoiced_purchase(billing)
    refund = a_refund(purchase, 500)
    await billing.receive(refund)
    await billing.receive_again(refund)
    await billing.receive(refund)
    assert len(await billing.published(CreditNoteIssued)) == 1


async def test_more_than_was_captured_is_refused_and_parked(billing: Harness) -> None:
    purchase = await an_invoiced_purchase(billing, price_minor=1000)
    await billing.receive(a_refund(purchase, 600))
    await billing.receive(a_refund(purchase, 401))

    assert [note.total for note in await billing.published(CreditNoteIssued)] == [euros(600)]
    (parked,) = await billing.parked()
    assert "refund_exceeds_capture" in parked["detail"]


async def test_an_impossible_refund_does_not_hold_the_others_up(billing: Harness) -> None:
    first, second = [await an_invoiced_purchase(billing, price_minor=1000) for _ in range(2)]
    await billing.receive(a_refund(first, 1001), a_refund(second, 1000))
    (note,) = await billing.published(CreditNoteIssued)
    assert note.payment_id == second.payment_id
    await billing.receive(a_refund(first, 1000))
    assert len(await billing.published(CreditNoteIssued)) == 2


async def test_a_refund_in_another_currency_is_refused(billing: Harness) -> None:
    purchase = await an_invoiced_purchase(billing)
    dollars = euros(100).model_copy(update={"currency": "USD"})
    await billing.receive(a_refund(purchase, 100, refunded=dollars))
    assert await billing.published(CreditNoteIssued) == []
    assert len(await billing.parked()) == 1


async def test_a_refund_without_a_capture_is_refused(billing: Harness) -> None:
    await billing.receive(a_refund(a_purchase(), 100))
    (parked,) = await billing.parked()
    assert "refund_without_capture" in parked["detail"]


async def test_a_refund_that_comes_before_the_purchase_is_known_is_credited_with_its_invoice(
    billing: Harness,
) -> None:
    purchase = a_purchase(price_minor=1000)
    await billing.receive(a_capture(purchase), a_refund(purchase, 400))
    assert await billing.published(CreditNoteIssued) == []

    await billing.receive(purchase)

    (invoice,) = await billing.published(InvoiceIssued)
    (note,) = await billing.published(CreditNoteIssued)
    assert note.invoice_id == invoice.invoice_id
    assert note.total == euros(400)
