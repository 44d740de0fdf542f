"""Invoices: exactly one per captured purchase, whichever fact comes first (INV-1, INV-2, SVC-4)."""

import random
from datetime import timedelta

from caas_chassis.testing.harness import Harness
from caas_contracts.billing import InvoiceIssued, InvoiceKind
from caas_contracts.orders import PurchaseKind
from caas_contracts.payments import PaymentPurpose
from services.billing.tests.builders import a_capture, a_purchase, euros


async def test_a_captured_purchase_is_invoiced(billing: Harness) -> None:
    purchase = a_purchase(price_minor=1999)
    await billing.receive(purchase)
    assert await billing.published(InvoiceIssued) == []

    await billing.receive(a_capture(purchase))

    (invoice,) = await billing.published(InvoiceIssued)
    year = invoice.issued_at.year
    assert invoice.number == f"S-{year}-000001"
    assert invoice.kind is InvoiceKind.SERVICE
    assert (invoice.customer_id, invoice.subject_id) == (purchase.customer_id, purchase.purchase_id)
    assert invoice.total == euros(1999)
    assert [(part.rate_bp, part.base, part.vat) for part in invoice.vat] == [(2100, euros(1652), euros(347))]
    assert invoice.document_url == f"/invoices/{invoice.invoice_id}/document"


async def test_a_capture_that_comes_before_its_purchase_waits_for_it(billing: Harness) -> None:
    purchase = a_purchase()
    await billing.receive(a_capture(purchase))
    assert await billing.published(InvoiceIssued) == []

    await billing.receive(purchase)

    (invoice,) = await billing.published(InvoiceIssued)
    assert invoice.payment_id == purchase.payment_id


async def test_both_facts_in_one_batch_make_one_invoice(billing: Harness) -> None:
    purchase = a_purchase()
    await billing.receive(a_capture(purchase), purchase)
    assert len(await billing.published(InvoiceIssued)) == 1


async def test_an_unpaid_purchase_has_no_invoice(billing: Harness) -> None:
    await billing.receive(*[a_purchase() for _ in range(3)])
    assert await billing.published(InvoiceIssued) == []


async def test_repeated_messages_change_nothing(billing: Harness) -> None:
    purchase = a_purchase()
    capture = a_capture(purchase)
    await billing.receive(purchase, capture)
    await billing.receive_again(purchase, capture)
    await billing.receive_again(capture)
    assert len(await billing.published(InvoiceIssued)) == 1


async def test_the_same_facts_under_new_message_ids_change_nothing(billing: Harness) -> None:
    purchase = a_purchase()
    capture = a_capture(purchase)
    await billing.receive(purchase, capture)
    await billing.receive(purchase, capture)
    assert len(await billing.published(InvoiceIssued)) == 1
    assert await billing.parked() == []


async def test_any_order_of_many_facts_gives_each_purchase_one_number(billing: Harness, chance: random.Random) -> None:
    purchases = [a_purchase(price_minor=chance.randrange(1, 10**6)) for _ in range(60)]
    facts = [*purchases, *[a_capture(purchase) for purchase in purchases]]
    facts += chance.sample(facts, 20)
    chance.shuffle(facts)

    while facts:
        size = chance.randrange(1, 30)
        await billing.receive(*facts[:size])
        del facts[:size]

    invoices = await billing.published(InvoiceIssued)
    assert {invoice.payment_id: invoice.total for invoice in invoices} == {
        purchase.payment_id: purchase.price for purchase in purchases
    }
    assert sorted(int(invoice.number[-6:]) for invoice in invoices) == list(range(1, 61))
    assert all(
        part.base.amount_minor + part.vat.amount_minor == invoice.total.amount_minor
        for invoice in invoices
        for part in invoice.vat
    )


async def test_payments_of_other_purposes_are_left_to_others(billing: Harness) -> None:
    purchase = a_purchase()
    await billing.receive(purchase, a_capture(purchase, purpose=PaymentPurpose.RESERVATION))
    assert await billing.published(InvoiceIssued) == []


async def test_every_year_begins_again_at_one(billing: Harness) -> None:
    for _ in range(2):
        purchase = a_purchase()
        await billing.receive(purchase, a_capture(purchase))
        await billing.move_clock(timedelta(days=366))
    numbers = [invoice.number for invoice in await billing.published(InvoiceIssued)]
    years = [int(number[2:6]) for number in numbers]
    assert [number[-6:] for number in numbers] == ["000001", "000001"]
    assert years[1] > years[0]


async def test_what_was_captured_is_what_is_invoiced(billing: Harness) -> None:
    purchase = a_purchase(price_minor=2000)
    await billing.receive(purchase, a_capture(purchase, captured=euros(1500)))
    (invoice,) = await billing.published(InvoiceIssued)
    assert invoice.total == euros(1500)


async def test_a_subscription_is_no_sale_that_waits_for_its_payment(billing: Harness) -> None:
    subscribed = a_purchase(0, kind=PurchaseKind.SUBSCRIPTION, duration_days=None, payment_id=None)  # SUB-1
    bought = a_purchase()
    await billing.receive(subscribed)
    await billing.receive(subscribed, bought, a_capture(bought))
    [invoice] = await billing.published(InvoiceIssued)
    assert invoice.payment_id == bought.payment_id
    async with billing.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM billable_purchase") == 1
    assert await billing.parked() == []
