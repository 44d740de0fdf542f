"""Whatever the order, the repetition and the pages, the books come out the same and balanced (RCN-5, RCN-6)."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caas_contracts import Message
from caas_contracts.payments import RecordSettlement, SettlementStage
from caas_reconciliation.domain.settlement import SettlementLine
from services.reconciliation.tests.builders import (
    AN_INSTANT,
    PRICE_MINOR,
    a_capture,
    a_chargeback,
    a_collection,
    a_credit_note,
    a_failed_settlement,
    a_line,
    a_monthly_invoice,
    a_monthly_payment,
    a_prepayment,
    a_purchase,
    a_refund,
    a_refund_line,
    a_reservation_invoice,
    a_sale,
    a_settled_collection,
    a_vehicle_invoice,
    a_vehicle_order,
    an_invoice,
    chargeback_lines,
)
from services.reconciliation.tests.running import Reconciliation

EXAMPLES = 12
"""Each replays a story several times on a real database; more only cost time here."""


@dataclass(frozen=True, slots=True)
class Story:
    """What happened to some payments: the facts that are told, and the lines that the feed states."""

    facts: tuple[Message, ...]
    lines: tuple[SettlementLine, ...]


def a_sold_service(payment_id: UUID, refunds: Sequence[int], settled: Sequence[int], charged_back: bool) -> Story:
    facts: list[Message] = [a_purchase(payment_id), a_capture(payment_id), an_invoice(payment_id)]
    lines = [a_line(payment_id, part, line_id=f"c{n}_{payment_id.hex}") for n, part in enumerate(settled)]
    for number, refunded in enumerate(refunds):
        refund = a_refund(payment_id, refunded, refund_id=UUID(int=payment_id.int + 100 + number))
        facts += [refund, a_credit_note(refund)]
        lines.append(a_refund_line(refund, line_id=f"r{number}_{payment_id.hex}"))
    if charged_back:
        facts.append(a_chargeback(payment_id))
        lines += chargeback_lines(payment_id)
    return Story(tuple(facts), tuple(lines))


def a_lost_service(payment_id: UUID) -> Story:
    return Story((a_purchase(payment_id), a_failed_settlement(payment_id)), ())


def a_loss_in_transit(payment_id: UUID) -> Story:
    lost = a_failed_settlement(payment_id, SettlementStage.SETTLEMENT)
    return Story((a_purchase(payment_id), a_capture(payment_id), an_invoice(payment_id), lost), ())


def a_prepaid_service(payment_id: UUID, delivered: bool, refunds: Sequence[int]) -> Story:
    """Paid ahead, then delivered or not, and given back in parts; credit notes follow invoices only (PLN-1, DES-4)."""
    facts: list[Message] = [a_purchase(payment_id), a_prepayment(payment_id)]
    lines = [a_line(payment_id, line_id=f"p_{payment_id.hex}")]
    if delivered:
        facts.append(an_invoice(payment_id))
    for number, refunded in enumerate(refunds):
        refund = a_refund(payment_id, refunded, refund_id=UUID(int=payment_id.int + 100 + number))
        facts += [refund, a_credit_note(refund)] if delivered else [refund]
        lines.append(a_refund_line(refund, line_id=f"q{number}_{payment_id.hex}"))
    return Story(tuple(facts), tuple(lines))


def a_delivered_vehicle(payment_id: UUID) -> Story:
    final = UUID(int=payment_id.int + 50)
    facts = (
        a_vehicle_order(payment_id),
        a_sale(payment_id),
        a_reservation_invoice(payment_id),
        a_sale(final, amount_minor=999 * PRICE_MINOR),
        a_vehicle_invoice(final),
    )
    lines = (
        a_line(payment_id, line_id=f"v_{payment_id.hex}"),
        a_line(final, 999 * PRICE_MINOR, line_id=f"w_{final.hex}"),
    )
    return Story(facts, lines)


def a_billed_month(payment_id: UUID, attempts: int, collected: bool, refunded: int, charged_back: bool) -> Story:
    """Paid by its n-th attempt, perhaps out of collections, perhaps given back in part or charged back."""
    invoice, paid_by = a_monthly_invoice(payment_id), UUID(int=payment_id.int + attempts)
    facts: list[Message] = [invoice, a_monthly_payment(paid_by, invoice)]
    lines = [a_line(paid_by, line_id=f"m_{paid_by.hex}")]
    if collected:
        facts += [a_collection(invoice), a_settled_collection(invoice, paid_by)]
    if refunded:
        refund = a_refund(paid_by, refunded, refund_id=UUID(int=paid_by.int + 100))
        facts += [refund, a_credit_note(refund)]
        lines.append(a_refund_line(refund, line_id=f"n_{paid_by.hex}"))
    if charged_back:
        facts.append(a_chargeback(paid_by))
        lines += chargeback_lines(paid_by)
    return Story(tuple(facts), tuple(lines))


def an_unpaid_month(payment_id: UUID) -> Story:
    invoice = a_monthly_invoice(payment_id)
    return Story((invoice, a_collection(invoice)), ())


def a_stranger(payment_id: UUID) -> Story:
    return Story((), (a_line(payment_id, line_id=f"s_{payment_id.hex}"),))


SETTLED = st.sampled_from(
    [(), (PRICE_MINOR,), (1000,), (1000, 999), (PRICE_MINOR, PRICE_MINOR), (PRICE_MINOR + 1,), (1500, 400, 700)]
)
REFUNDS = st.lists(st.integers(1, 900), max_size=2)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    told = []
    for number in range(draw(st.integers(1, 4))):
        payment = UUID(int=(number + 1) << 40)
        here = st.just(payment)
        sold = st.builds(a_sold_service, here, REFUNDS, SETTLED, st.booleans())
        prepaid = st.builds(a_prepaid_service, here, st.booleans(), REFUNDS)
        others = [
            st.builds(make, here) for make in (a_lost_service, a_loss_in_transit, a_stranger, a_delivered_vehicle)
        ]
        months = [
            st.builds(a_billed_month, here, st.integers(0, 2), st.booleans(), st.sampled_from([0, 900]), st.booleans()),
            st.builds(an_unpaid_month, here),
        ]
        told.append(draw(st.one_of(sold, sold, prepaid, *others, *months)))
    return Story(
        tuple(fact for story in told for fact in story.facts), tuple(line for story in told for line in story.lines)
    )


async def tell(service: Reconciliation, facts: Sequence[Message], batch: int) -> None:
    for start in range(0, len(facts), batch):
        await service.harness.receive(*facts[start : start + batch])


def copies(messages: Sequence[Message]) -> list[Message]:
    """Equal messages that are other objects: told again by their producer, not delivered again."""
    return [message.model_copy() for message in messages]


async def replay(service: Reconciliation, story: Story, seed: int) -> None:
    """The same story shuffled, with facts told twice, the feed in pieces, out of order and loaded again."""
    chance = random.Random(seed)
    facts = [*copies(story.facts), *copies(chance.sample(story.facts, len(story.facts) // 2))]
    lines = [*story.lines, *chance.sample(story.lines, len(story.lines) // 2)]
    chance.shuffle(facts)
    chance.shuffle(lines)
    cut_facts, cut_lines = chance.randint(0, len(facts)), chance.randint(0, len(lines))
    await tell(service, facts[:cut_facts], chance.randint(1, 7))
    await service.reconcile(*lines[:cut_lines])
    await tell(service, facts[cut_facts:], chance.randint(1, 7))
    await service.reconcile(*lines[cut_lines:])
    await service.read_feed_again(lines)


async def check(service: Reconciliation, story: Story, seed: int) -> None:
    await service.forget_everything()
    await service.move_to(AN_INSTANT + timedelta(days=20))
    await tell(service, story.facts, 100)
    report = await service.reconcile(*story.lines)
    await service.assert_books_hold()
    assert report.proof_difference_minor == 0
    assert report.unexplained_lines == 0
    straight = await service.state()
    await service.forget_everything()
    await replay(service, story, seed)
    await service.assert_books_hold()
    assert await service.harness.parked() == []
    assert await service.state() == straight
    recorded = await service.harness.published(RecordSettlement)
    assert len({one.settlement_line_id for one in recorded}) == len(recorded)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(story=stories(), seed=st.integers(0, 2**32))
async def test_books_do_not_depend_on_order_repetition_or_pages(
    service: Reconciliation, story: Story, seed: int
) -> None:
    await asyncio.wait_for(check(service, story, seed), timeout=60)
