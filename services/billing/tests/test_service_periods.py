"""Invoices of what is paid ahead or by the period: after the delivery, one per payment, with the period (INV-1)."""

import random
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts import Message
from caas_contracts.billing import CreditNoteIssued, InvoiceIssued
from caas_contracts.orders import PurchaseKind
from caas_contracts.payments import OrphanSaleFound, PaymentConfirmed
from caas_contracts.purchase_life import PurchaseRenewed
from services.billing.tests.builders import (
    a_capture,
    a_confirmation,
    a_planned_purchase,
    a_purchase,
    a_recurring_purchase,
    a_refund,
    a_renewal,
    an_activation,
    euros,
)

STARTS = datetime(2026, 12, 13, 23, tzinfo=UTC)
JANUARY_31 = datetime(2027, 1, 31, 9, tzinfo=UTC)
FEBRUARY_28 = datetime(2027, 2, 28, 9, tzinfo=UTC)
MARCH_31 = datetime(2027, 3, 31, 8, tzinfo=UTC)


async def invoiced(billing: Harness) -> list[InvoiceIssued]:
    return await billing.published(InvoiceIssued)


async def lines(billing: Harness) -> list[tuple[object, ...]]:
    async with billing.transaction() as tx:
        rows = await tx.fetch(
            """SELECT i.payment_id, l.purchase_kind, l.duration_days, l.period_number, i.supplied_at, l.period_ends_at
            FROM invoice i JOIN invoice_line l USING (invoice_id) ORDER BY i.position"""
        )
    return [tuple(row) for row in rows]


async def test_what_is_planned_is_invoiced_when_it_is_delivered_and_not_when_it_is_paid(billing: Harness) -> None:
    purchase = a_planned_purchase()
    await billing.receive(purchase, a_confirmation(purchase))
    assert await invoiced(billing) == []

    await billing.receive(an_activation(purchase, STARTS))

    [invoice] = await invoiced(billing)
    assert (invoice.payment_id, invoice.subject_id) == (purchase.payment_id, purchase.purchase_id)
    assert invoice.total == purchase.price
    assert await lines(billing) == [(purchase.payment_id, "planned", 30, None, STARTS, None)]


@pytest.mark.parametrize("confirmed_as", range(3))
async def test_the_payment_may_become_known_at_any_time(billing: Harness, confirmed_as: int) -> None:
    purchase = a_planned_purchase()
    facts: list[Message] = [purchase, an_activation(purchase, STARTS)]  # orders tells both in one stream
    facts.insert(confirmed_as, a_confirmation(purchase))
    for fact in facts:
        await billing.receive(fact)
        await billing.receive(fact.model_copy())
    assert len(await invoiced(billing)) == 1
    assert await billing.parked() == []


async def test_what_is_planned_and_fails_has_no_invoice_and_no_credit_note(billing: Harness) -> None:
    purchase = a_planned_purchase()
    refund = a_refund(purchase, purchase.price.amount_minor, reason="activation_failed")
    await billing.receive(purchase, a_confirmation(purchase), refund)
    await billing.receive_again(refund)
    assert await invoiced(billing) == []
    assert await billing.published(CreditNoteIssued) == []
    assert await billing.parked() == []


async def test_a_withdrawal_whose_refund_is_heard_of_before_the_delivery_has_both_documents(billing: Harness) -> None:
    purchase = a_planned_purchase()
    await billing.receive(purchase, a_confirmation(purchase), a_refund(purchase, purchase.price.amount_minor))
    await billing.receive(an_activation(purchase, STARTS))
    [invoice] = await invoiced(billing)
    [note] = await billing.published(CreditNoteIssued)
    assert (note.invoice_id, note.total) == (invoice.invoice_id, purchase.price)


async def test_a_delivery_that_waited_for_the_settlement_is_invoiced_like_a_planned_one(billing: Harness) -> None:
    purchase = a_purchase()  # RSK-2: temporary, and its money was taken ahead all the same
    await billing.receive(purchase, a_confirmation(purchase), an_activation(purchase, STARTS))
    assert await lines(billing) == [(purchase.payment_id, "temporary", 30, None, STARTS, None)]


async def test_what_was_held_is_supplied_when_the_car_says_so(billing: Harness) -> None:
    purchase = a_purchase()
    capture = a_capture(purchase)
    await billing.receive(purchase, an_activation(purchase, STARTS))
    await billing.receive(capture)
    await billing.receive(an_activation(purchase, STARTS))
    assert await lines(billing) == [(purchase.payment_id, "temporary", 30, None, capture.activated_at, None)]


async def test_each_period_has_an_invoice_of_its_own_that_names_it(billing: Harness) -> None:
    purchase = a_recurring_purchase()
    await billing.receive(purchase, a_capture(purchase, activated_at=JANUARY_31))
    assert await invoiced(billing) == []  # its end is orders' to say (REC-4)
    await billing.receive(an_activation(purchase, JANUARY_31, ends_at=FEBRUARY_28))
    renewal = a_renewal(purchase, FEBRUARY_28, MARCH_31)
    await billing.receive(renewal)
    assert len(await invoiced(billing)) == 1
    await billing.receive(a_period_payment(renewal))
    assert await lines(billing) == [
        (purchase.payment_id, "recurring", None, 1, JANUARY_31, FEBRUARY_28),
        (renewal.payment_id, "recurring", None, 2, FEBRUARY_28, MARCH_31),
    ]
    assert {invoice.subject_id for invoice in await invoiced(billing)} == {purchase.purchase_id}


def a_period_payment(renewal: PurchaseRenewed) -> PaymentConfirmed:
    """Payments confirms a renewal: it names no activation that has to earn it."""
    return a_confirmation(
        a_recurring_purchase(
            purchase_id=renewal.purchase_id, payment_id=renewal.payment_id, price_minor=renewal.price.amount_minor
        ),
        activation_id=None,
    )


async def test_many_periods_in_any_order_have_one_invoice_each(billing: Harness, chance: random.Random) -> None:
    purchase = a_recurring_purchase()
    edges = [JANUARY_31 + timedelta(days=30 * number) for number in range(14)]
    renewals = [a_renewal(purchase, edges[number - 1], edges[number], period_number=number) for number in range(2, 14)]
    await billing.receive(purchase, a_capture(purchase), an_activation(purchase, edges[0], ends_at=edges[1]))
    facts: list[Message] = [*renewals, *[a_period_payment(renewal) for renewal in renewals]]
    facts += [fact.model_copy() for fact in chance.sample(facts, 8)]
    chance.shuffle(facts)
    while facts:
        size = chance.randrange(1, 6)
        await billing.receive(*facts[:size])
        del facts[:size]
    assert await billing.parked() == []
    assert len(await invoiced(billing)) == 13
    assert sorted(line[3] for line in await lines(billing) if isinstance(line[3], int)) == list(range(1, 14))


async def test_a_period_that_is_given_back_has_a_credit_note(billing: Harness) -> None:
    purchase = a_recurring_purchase()
    renewal = a_renewal(purchase, FEBRUARY_28, MARCH_31)
    paid = a_period_payment(renewal)
    await billing.receive(purchase, renewal, paid)
    await billing.receive(a_refund(purchase, 500, payment_id=renewal.payment_id, reason="goodwill"))
    [invoice] = await invoiced(billing)
    [note] = await billing.published(CreditNoteIssued)
    assert (note.invoice_id, note.payment_id, note.total) == (invoice.invoice_id, renewal.payment_id, euros(500))


async def test_a_period_that_was_paid_and_never_given_is_paid_back_without_a_document(billing: Harness) -> None:
    purchase = a_recurring_purchase()
    surplus = a_confirmation(purchase, payment_id=uuid4(), activation_id=None)
    orphan = OrphanSaleFound(
        **a_confirmation(purchase, payment_id=uuid4()).model_dump(exclude={"activation_id", "delivery"}),
        taken=purchase.price,
    )
    await billing.receive(purchase, surplus, orphan)
    for paid in (surplus, orphan):
        await billing.receive(a_refund(purchase, purchase.price.amount_minor, payment_id=paid.payment_id))
    assert await invoiced(billing) == []
    assert await billing.published(CreditNoteIssued) == []
    assert await billing.parked() == []


async def test_what_goes_on_without_having_been_placed_is_parked(billing: Harness) -> None:
    unknown = a_recurring_purchase()
    await billing.receive(an_activation(unknown, JANUARY_31))
    await billing.receive(a_renewal(unknown, FEBRUARY_28, MARCH_31))
    assert ["unknown_purchase" in parked["detail"] for parked in await billing.parked()] == [True, True]


async def test_a_subscription_that_starts_is_no_sale(billing: Harness) -> None:
    subscribed = a_purchase(0, kind=PurchaseKind.SUBSCRIPTION, duration_days=None, payment_id=None)  # SUB-1
    await billing.receive(subscribed, an_activation(subscribed, STARTS, charged=False))
    assert await billing.parked() == []
    assert await invoiced(billing) == []
