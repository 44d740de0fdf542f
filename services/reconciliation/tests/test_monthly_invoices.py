"""Monthly invoices in the books (SUB-6, RCN-6): paid, paid by a later attempt, in collections, and paid late."""

from itertools import permutations
from uuid import UUID, uuid4

import pytest

from caas_contracts import Message
from caas_reconciliation.domain.settlement import SettlementLine
from services.reconciliation.tests.builders import (
    PRICE_MINOR,
    a_collection,
    a_line,
    a_monthly_invoice,
    a_monthly_payment,
    a_settled_collection,
    fee_of,
)
from services.reconciliation.tests.running import Reconciliation

SOLD = {"revenue": -1652, "vat_output": -347}
FIRST, SECOND = uuid4(), uuid4()


async def books_of(service: Reconciliation, *facts: Message, lines: tuple[SettlementLine, ...] = ()) -> dict[str, int]:
    """What the books hold after these facts, which are told one by one, and these lines."""
    for fact in facts:
        await service.harness.receive(fact)
    report = await service.reconcile(*lines)
    await service.assert_books_hold()
    assert (report.proof_difference_minor, report.unexplained_lines) == (0, 0)
    assert await service.harness.parked() == []
    return await service.balances()


@pytest.mark.parametrize("paid_by", [FIRST, SECOND], ids=["first_attempt", "second_attempt"])
async def test_a_month_is_owed_then_in_transit_then_at_the_bank(service: Reconciliation, paid_by: UUID) -> None:
    invoice = a_monthly_invoice(FIRST)
    assert await books_of(service, invoice) == SOLD | {"receivable": PRICE_MINOR}
    assert await books_of(service, a_monthly_payment(paid_by, invoice)) == SOLD | {"cash_in_transit": PRICE_MINOR}
    fee = fee_of(PRICE_MINOR)
    settled = await books_of(service, lines=(a_line(paid_by),))
    assert settled == SOLD | {"bank": PRICE_MINOR - fee, "gateway_fees": fee}


async def test_what_went_to_collections_is_doubtful_and_still_owed(service: Reconciliation) -> None:
    invoice = a_monthly_invoice(FIRST)
    expected = SOLD | {"doubtful_receivables": PRICE_MINOR}
    assert await books_of(service, invoice, a_collection(invoice), a_collection(invoice)) == expected


async def test_a_late_payment_clears_it_in_whatever_order_it_is_told(service: Reconciliation) -> None:
    invoice = a_monthly_invoice(FIRST)
    told = (invoice, a_collection(invoice), a_monthly_payment(SECOND, invoice), a_settled_collection(invoice, SECOND))
    for order in permutations(told):
        await service.forget_everything()
        assert await books_of(service, *order) == SOLD | {"cash_in_transit": PRICE_MINOR}


async def test_another_amount_for_the_same_collection_is_parked(service: Reconciliation) -> None:
    opened = a_collection(a_monthly_invoice(FIRST))
    other = opened.model_copy(update={"amount": a_monthly_invoice(FIRST, total_minor=1).total})
    await service.harness.receive(opened)
    await service.harness.receive(other)
    assert [row["reason"] for row in await service.harness.parked()] == ["refused"]
