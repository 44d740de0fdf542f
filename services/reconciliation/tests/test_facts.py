"""Facts arrive from three services in any order; the books follow each of them once (RCN-6)."""

from uuid import uuid4

from caas_contracts.payments import SettlementStage
from caas_reconciliation.handlers.rebuilding import rebuild_ledger
from services.reconciliation.tests.builders import (
    PRICE_MINOR,
    a_capture,
    a_credit_note,
    a_failed_settlement,
    a_forfeiture,
    a_line,
    a_prepayment,
    a_purchase,
    a_refund,
    a_reservation_invoice,
    a_sale,
    a_vehicle_invoice,
    a_vehicle_order,
    an_invoice,
    an_orphan_sale,
    euros,
)
from services.reconciliation.tests.running import Reconciliation


async def test_a_paid_and_invoiced_sale_leaves_nothing_receivable(service: Reconciliation) -> None:
    payment = uuid4()
    await service.harness.receive(an_invoice(payment))
    await service.harness.receive(a_capture(payment))
    assert await service.balances() == {"cash_in_transit": 1999, "revenue": -1652, "vat_output": -347}


async def test_a_confirmed_sale_is_in_transit_until_its_line_comes(service: Reconciliation) -> None:
    payment = uuid4()
    await service.harness.receive(a_sale(payment), a_sale(payment))
    assert await service.balances() == {"cash_in_transit": PRICE_MINOR, "receivable": -PRICE_MINOR}
    report = await service.reconcile(a_line(payment))
    assert (report.matched_lines, report.open_case_count, report.proof_difference_minor) == (1, 0, 0)


async def test_an_orphan_sale_and_its_refund_leave_nothing(service: Reconciliation) -> None:
    payment = uuid4()
    await service.harness.receive(a_refund(payment, PRICE_MINOR), an_orphan_sale(payment))
    assert await service.balances() == {}


async def test_a_delivered_vehicle_leaves_its_price_as_revenue_and_no_advance(service: Reconciliation) -> None:
    reservation, final = uuid4(), uuid4()
    await service.harness.receive(a_vehicle_invoice(final), a_sale(final, amount_minor=999 * PRICE_MINOR))
    await service.harness.receive(a_reservation_invoice(reservation), a_vehicle_order(reservation), a_sale(reservation))
    assert await service.balances() == {
        "cash_in_transit": 1000 * PRICE_MINOR, "revenue": -1_652_066, "vat_output": -346_934,
    }  # fmt: skip
    report = await service.reconcile(a_line(reservation), a_line(final, 999 * PRICE_MINOR))
    assert (report.matched_lines, report.open_case_count, report.proof_difference_minor) == (2, 0, 0)
    await service.assert_books_hold()


async def test_a_forfeited_reservation_is_income_whether_its_invoice_comes_before_or_after(
    service: Reconciliation,
) -> None:
    first, second = uuid4(), uuid4()
    for payment in (first, second):
        await service.harness.receive(a_vehicle_order(payment), a_sale(payment))
    await service.harness.receive(a_reservation_invoice(first), a_forfeiture(first), a_forfeiture(second))
    await service.harness.receive(a_reservation_invoice(second), a_forfeiture(first))
    assert await service.balances() == {
        "cash_in_transit": 2 * PRICE_MINOR, "vat_output": -2 * 347, "forfeited_reservations": -2 * 1652,
    }  # fmt: skip
    await service.assert_books_hold()


async def test_a_forfeiture_of_an_order_that_was_never_placed_is_parked(service: Reconciliation) -> None:
    await service.harness.receive(a_forfeiture(uuid4()))
    [parked] = await service.harness.parked()
    assert "unknown_vehicle_order" in parked["detail"]


async def test_a_delivered_service_that_cannot_be_charged_is_a_sale_and_a_loss(service: Reconciliation) -> None:
    """SVC-8, with the price told before and after the failed capture."""
    first, second = uuid4(), uuid4()
    await service.harness.receive(a_purchase(first), a_failed_settlement(second))
    await service.harness.receive(a_failed_settlement(first), a_purchase(second))
    assert await service.balances() == {"revenue": -2 * 1652, "vat_output": -2 * 347, "write_offs": 2 * PRICE_MINOR}


async def test_a_loss_in_transit_is_not_expected_any_more_whatever_is_told_first(service: Reconciliation) -> None:
    first, second = uuid4(), uuid4()
    lost = SettlementStage.SETTLEMENT
    await service.harness.receive(a_capture(first), a_failed_settlement(second, lost))
    await service.harness.receive(a_failed_settlement(first, lost), a_capture(second))
    report = await service.reconcile()
    assert report.ageing == []
    assert report.proof_difference_minor == 0


async def test_a_refunded_and_credited_sale_leaves_only_its_fee_to_come(service: Reconciliation) -> None:
    payment = uuid4()
    refund = a_refund(payment, PRICE_MINOR)
    await service.harness.receive(a_credit_note(refund), refund, an_invoice(payment), a_capture(payment))
    assert await service.balances() == {"revenue": -1652, "refunds": 1652}


async def test_a_fact_told_twice_is_posted_once(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture, capture.model_copy())
    await service.harness.receive(capture.model_copy())
    await service.harness.receive_again(capture)
    assert await service.balances() == {"cash_in_transit": PRICE_MINOR, "receivable": -PRICE_MINOR}


async def test_a_fact_that_contradicts_an_earlier_one_is_parked_and_changes_nothing(
    service: Reconciliation,
) -> None:
    capture, other = a_capture(), a_capture()
    await service.harness.receive(capture)
    await service.harness.receive(a_capture(capture.payment_id, amount=euros(1)), other)
    [parked] = await service.harness.parked()
    assert "contradictory_fact" in parked["detail"]
    assert await service.balances() == {"cash_in_transit": 2 * PRICE_MINOR, "receivable": -2 * PRICE_MINOR}


async def test_a_ledger_that_was_tampered_with_is_found_out(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    async with service.harness.owner() as owner:
        await owner.execute("SET session_replication_role = replica")
        await owner.execute("UPDATE journal_line SET amount_minor = amount_minor * 2")
    async with service.reading() as tx:
        found = await rebuild_ledger(tx=tx)
    assert not found.holds
    assert found.differences == [f"payment_captured {capture.payment_id}"]


async def test_a_subscription_is_no_fact_for_the_books_until_it_is_invoiced(service: Reconciliation) -> None:
    subscribed = a_purchase(uuid4(), price_minor=0).model_copy(update={"payment_id": None})  # SUB-1
    payment = uuid4()
    await service.harness.receive(subscribed)
    await service.harness.receive(subscribed, a_purchase(payment), a_failed_settlement(payment))
    assert await service.balances() == {"revenue": -1652, "vat_output": -347, "write_offs": PRICE_MINOR}
    assert await service.harness.parked() == []
    await service.assert_books_hold()


async def test_money_taken_ahead_is_owed_until_the_service_is_delivered(service: Reconciliation) -> None:
    first, second = uuid4(), uuid4()
    await service.harness.receive(a_prepayment(first), an_invoice(second))
    assert await service.balances() == {
        "cash_in_transit": 1999,
        "customer_prepayments": -1999,
        "receivable": 1999,
        "revenue": -1652,
        "vat_output": -347,
    }
    await service.harness.receive(a_prepayment(second), an_invoice(first))
    assert await service.balances() == {"cash_in_transit": 2 * 1999, "revenue": -2 * 1652, "vat_output": -2 * 347}
    report = await service.reconcile(a_line(first), a_line(second))
    assert (report.matched_lines, report.open_case_count, report.proof_difference_minor) == (2, 0, 0)
    await service.assert_books_hold()


async def test_money_taken_ahead_and_given_back_leaves_nothing(service: Reconciliation) -> None:
    """PLN-1: undelivered, with the refund told before and after; and DES-4: delivered, invoiced, credited."""
    first, second, withdrawn = uuid4(), uuid4(), uuid4()
    refund = a_refund(withdrawn, PRICE_MINOR)
    await service.harness.receive(a_refund(first, PRICE_MINOR), a_prepayment(second), refund, an_invoice(withdrawn))
    await service.harness.receive(a_prepayment(first), a_refund(second, PRICE_MINOR), a_credit_note(refund))
    await service.harness.receive(a_prepayment(withdrawn))
    assert await service.balances() == {"revenue": -1652, "refunds": 1652}
    await service.assert_books_hold()


async def test_a_renewal_is_a_sale_of_its_own(service: Reconciliation) -> None:
    payment = uuid4()  # REC-1: confirmed without an activation that has to earn it
    renewed = a_prepayment(payment).model_copy(update={"activation_id": None})
    await service.harness.receive(a_purchase(uuid4()), renewed, an_invoice(payment))
    assert await service.balances() == {"cash_in_transit": 1999, "revenue": -1652, "vat_output": -347}
