"""Numbers have no gaps and no doubles, whatever runs at once and whatever dies (INV-2)."""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Sequence

import asyncpg

from caas_billing.errors import RefundExceedsCapture
from caas_billing.handlers import bill_captures, bill_purchases, credit_refunds
from caas_billing.store import reading
from caas_chassis.cause import Cause
from caas_chassis.database import TRANSIENT
from caas_chassis.handling import Received
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts import Message
from caas_contracts.billing import CreditNoteIssued, InvoiceIssued
from caas_contracts.orders import PurchasePlaced
from services.billing.tests.builders import a_capture, a_purchase, a_refund, migrate
from services.billing.tests.running import billing_on

UNUSED_PORT = 1


class DiedOnPurposeError(Exception):
    """The transaction is given up just before its commit."""


async def test_concurrent_and_killed_transactions_leave_no_gap(billing: Harness, chance: random.Random) -> None:
    purchases = [a_purchase() for _ in range(120)]
    batches = [purchases[start : start + 5] for start in range(0, 120, 5)]
    fates: Counter[str] = Counter()

    async def issue(batch: Sequence[PurchasePlaced]) -> None:
        # The first tries of a batch die in one way or another; the last one is left alone.
        for fate in [*chance.sample(["rolled back", "killed", "killed after numbering"], 2), "committed"]:
            try:
                await _issue_batch(billing, batch, fate)
            except (DiedOnPurposeError, *TRANSIENT, asyncpg.PostgresError):
                fates[fate] += 1
            else:
                fates["committed"] += 1
                return

    await asyncio.wait_for(_eight_at_a_time([issue(batch) for batch in batches]), timeout=60)

    invoices = await billing.published(InvoiceIssued)
    assert sorted(int(invoice.number[-6:]) for invoice in invoices) == list(range(1, 121))
    assert {invoice.payment_id for invoice in invoices} == {purchase.payment_id for purchase in purchases}
    assert fates["killed"] + fates["killed after numbering"] >= 10
    assert fates["rolled back"] >= 5
    async with billing.runtime.reading() as tx:
        (series,) = await reading.list_series(tx)
    assert (series.last_position, series.issued, series.is_gap_free) == (120, 120, True)


async def test_numbers_and_instants_of_issue_rise_together(billing: Harness) -> None:
    batches = [[a_purchase() for _ in range(3)] for _ in range(30)]
    await asyncio.wait_for(
        _eight_at_a_time([_issue_batch(billing, batch, "committed") for batch in batches]), timeout=60
    )
    invoices = sorted(await billing.published(InvoiceIssued), key=lambda invoice: invoice.number)
    instants = [invoice.issued_at for invoice in invoices]
    assert len(invoices) == 90
    assert instants == sorted(instants)


async def test_two_replicas_with_one_fact_each_miss_no_invoice(
    make_database: MakeDatabase, chance: random.Random
) -> None:
    url = await make_database("billing", migrate)
    purchases = [a_purchase() for _ in range(150)]
    async with billing_on(url, UNUSED_PORT) as one, billing_on(url, UNUSED_PORT) as other:

        async def receive(harness: Harness, facts: list[Message]) -> None:
            for start in range(0, len(facts), 7):
                await harness.receive(*facts[start : start + 7])

        captures: list[Message] = [a_capture(purchase) for purchase in purchases]
        chance.shuffle(captures)
        await asyncio.wait_for(asyncio.gather(receive(one, list(purchases)), receive(other, captures)), timeout=60)
        invoices = await one.published(InvoiceIssued)
    assert sorted(int(invoice.number[-6:]) for invoice in invoices) == list(range(1, 151))
    assert len({invoice.payment_id for invoice in invoices}) == 150


async def test_concurrent_refunds_of_one_payment_never_exceed_it(billing: Harness) -> None:
    purchase = a_purchase(price_minor=1000)
    await billing.receive(purchase, a_capture(purchase))
    cause = Cause.of_person("operator:test")

    async def refund() -> bool:
        try:
            async with billing.transaction() as tx:
                await credit_refunds([Received(a_refund(purchase, 300), cause)], tx=tx)
        except RefundExceedsCapture:
            return False
        return True

    granted = await asyncio.wait_for(asyncio.gather(*[refund() for _ in range(6)]), timeout=30)
    assert sum(granted) == 3
    notes = await billing.published(CreditNoteIssued)
    assert sorted(note.number[-6:] for note in notes) == ["000001", "000002", "000003"]


async def _issue_batch(billing: Harness, batch: Sequence[PurchasePlaced], fate: str) -> None:
    cause = Cause.of_person("operator:test")
    async with billing.transaction() as tx:
        await bill_purchases([Received(purchase, cause) for purchase in batch], tx=tx)
        if fate == "killed":
            await _kill(billing, int(str(await tx.fetchval("SELECT pg_backend_pid()"))))
        await bill_captures([Received(a_capture(purchase), cause) for purchase in batch], tx=tx)
        if fate == "killed after numbering":
            await _kill(billing, int(str(await tx.fetchval("SELECT pg_backend_pid()"))))
        if fate == "rolled back":
            raise DiedOnPurposeError


async def _kill(billing: Harness, backend: int) -> None:
    connection = await billing.runtime.database.dedicated()
    try:
        await connection.execute("SELECT pg_terminate_backend($1, 5000)", backend)
    finally:
        await connection.close(timeout=5)


async def _eight_at_a_time(jobs: Sequence[Coroutine[object, object, None]]) -> None:
    room = asyncio.Semaphore(8)

    async def run(job: Coroutine[object, object, None]) -> None:
        async with room:
            await job

    await asyncio.gather(*[run(job) for job in jobs])
