"""Matching the feed with our records: what fits is settled, every difference is one case (RCN-2, RCN-3)."""

from datetime import timedelta
from uuid import uuid4

import pytest

from caas_contracts import Money
from caas_contracts.payments import RecordSettlement
from caas_contracts.reconciliation import DiscrepancyKind, DiscrepancyOpened, DiscrepancyResolved
from caas_reconciliation.domain.case import Resolution
from services.reconciliation.tests.builders import (
    AN_INSTANT,
    PRICE_MINOR,
    a_capture,
    a_chargeback,
    a_line,
    a_refund,
    a_refund_line,
    an_invoice,
    chargeback_lines,
    fee_of,
)
from services.reconciliation.tests.running import Reconciliation


async def test_a_line_that_fits_its_capture_is_recorded_as_its_settlement(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture, an_invoice(capture.payment_id))
    line = a_line(capture.payment_id)
    report = await service.reconcile(line)
    [command] = await service.harness.published(RecordSettlement)
    assert command.payment_id == capture.payment_id
    assert (command.gross.amount_minor, command.fee.amount_minor) == (PRICE_MINOR, fee_of(PRICE_MINOR))
    assert (command.settlement_line_id, command.settled_on) == (line.line_id, "2026-03-05")
    assert await service.all_cases() == []
    assert report.matched_lines == 1
    assert await service.balances() == {
        "bank": PRICE_MINOR - fee_of(PRICE_MINOR),
        "gateway_fees": fee_of(PRICE_MINOR),
        "revenue": -1652,
        "vat_output": -347,
    }


async def test_half_of_a_capture_is_a_partial_settlement_until_the_other_half_comes(
    service: Reconciliation,
) -> None:
    capture = a_capture(amount=Money(amount_minor=2000, currency="EUR"))
    await service.harness.receive(capture)
    await service.reconcile(a_line(capture.payment_id, 1000))
    [case] = await service.open_cases()
    assert (case.finding.kind, case.finding.difference_minor) == (DiscrepancyKind.PARTIAL, -1000)
    await service.reconcile(a_line(capture.payment_id, 1000))
    [resolved] = await service.all_cases()
    assert resolved.resolution is Resolution.EXPLAINED
    assert len(await service.harness.published(DiscrepancyResolved)) == 1
    assert len(await service.harness.published(RecordSettlement)) == 2


async def test_the_difference_of_a_partial_case_follows_further_lines(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    await service.reconcile(a_line(capture.payment_id, 500))
    await service.reconcile(a_line(capture.payment_id, 300))
    [case] = await service.all_cases()
    assert case.finding.difference_minor == 800 - PRICE_MINOR


async def test_a_capture_that_is_not_in_the_feed_in_time_is_delayed_until_its_line_comes(
    service: Reconciliation,
) -> None:
    capture = a_capture()  # Tuesday 3 March; five business days later is Tuesday 10 March.
    await service.harness.receive(capture)
    await service.move_to(AN_INSTANT + timedelta(days=7))
    await service.reconcile()
    assert await service.all_cases() == []
    await service.move_to(AN_INSTANT + timedelta(days=8))
    await service.reconcile()
    await service.reconcile()
    [case] = await service.open_cases()
    assert (case.finding.kind, case.finding.difference_minor) == (DiscrepancyKind.DELAYED, -PRICE_MINOR)
    assert [event.case_id for event in await service.harness.published(DiscrepancyOpened)] == [case.case_id]
    await service.reconcile(a_line(capture.payment_id))
    assert await service.open_cases() == []
    assert len(await service.harness.published(DiscrepancyResolved)) == 1


async def test_a_line_of_nobody_we_know_is_an_unknown_transaction(service: Reconciliation) -> None:
    lines = [a_line(uuid4()), a_line(uuid4(), reference="not-even-a-uuid"), a_line(uuid4(), kind="adjustment")]
    report = await service.reconcile(*lines)
    assert await service.kinds() == [DiscrepancyKind.UNKNOWN_TRANSACTION] * 3
    assert report.unexplained_lines == 0
    assert await service.balances() == {}


async def test_a_capture_told_after_its_line_explains_the_unknown_transaction(service: Reconciliation) -> None:
    capture = a_capture()
    await service.reconcile(a_line(capture.payment_id))
    await service.harness.receive(capture)
    await service.reconcile()
    assert await service.open_cases() == []
    assert len(await service.harness.published(RecordSettlement)) == 1


async def test_our_reference_on_another_transaction_is_not_our_settlement(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    await service.reconcile(a_line(capture.payment_id, transaction_id="txn_other"))
    assert await service.kinds() == [DiscrepancyKind.UNKNOWN_TRANSACTION]
    assert await service.harness.published(RecordSettlement) == []


async def test_the_same_amount_settled_twice_is_a_duplicate(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    await service.reconcile(a_line(capture.payment_id), a_line(capture.payment_id))
    [case] = await service.open_cases()
    assert (case.finding.kind, case.finding.difference_minor) == (DiscrepancyKind.DUPLICATE, PRICE_MINOR)
    assert len(await service.harness.published(RecordSettlement)) == 1


async def test_more_than_was_captured_is_an_amount_mismatch(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    await service.reconcile(a_line(capture.payment_id, PRICE_MINOR + 1))
    [case] = await service.open_cases()
    assert (case.finding.kind, case.finding.difference_minor) == (DiscrepancyKind.AMOUNT_MISMATCH, 1)
    assert await service.harness.published(RecordSettlement) == []


async def test_a_line_whose_net_is_not_gross_minus_fee_is_an_amount_mismatch(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    await service.reconcile(a_line(capture.payment_id, net_minor=1))
    assert await service.kinds() == [DiscrepancyKind.AMOUNT_MISMATCH]


async def test_a_line_in_another_currency_is_one_case_even_when_the_capture_becomes_late(
    service: Reconciliation,
) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    await service.reconcile(a_line(capture.payment_id, currency="USD"))
    await service.move_to(AN_INSTANT + timedelta(days=30))
    await service.reconcile()
    assert await service.kinds() == [DiscrepancyKind.CURRENCY_MISMATCH]


async def test_a_line_that_the_gateway_states_again_otherwise_is_a_case(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    line = a_line(capture.payment_id)
    await service.reconcile(line, a_line(capture.payment_id, PRICE_MINOR + 5, line_id=line.line_id))
    [case] = await service.open_cases()
    assert (case.finding.kind, case.finding.difference_minor) == (DiscrepancyKind.AMOUNT_MISMATCH, 5)
    assert line.line_id in case.finding.detail


@pytest.mark.parametrize("told_first", [True, False])
async def test_a_chargeback_is_one_case_whether_told_or_settled_first(
    service: Reconciliation, told_first: bool
) -> None:
    capture = a_capture()
    chargeback = a_chargeback(capture.payment_id)
    await service.harness.receive(capture, *([chargeback] if told_first else []))
    await service.reconcile(a_line(capture.payment_id), *chargeback_lines(capture.payment_id))
    if not told_first:
        await service.harness.receive(chargeback)
    [case] = await service.open_cases()
    assert (case.finding.kind, case.finding.difference_minor) == (DiscrepancyKind.CHARGEBACK, -PRICE_MINOR)
    balances = await service.balances()
    assert balances["chargebacks"] == PRICE_MINOR
    assert balances["gateway_fees"] == fee_of(PRICE_MINOR) + 1500


@pytest.mark.parametrize("named", [True, False])
async def test_refunds_are_matched_by_their_reference_or_in_order_by_their_amount(
    service: Reconciliation, named: bool
) -> None:
    capture = a_capture()
    refunds = [a_refund(capture.payment_id, minor) for minor in (300, 300, 200)]
    await service.harness.receive(capture, *refunds)
    given = {} if named else {"operation_reference": None}
    lines = [a_refund_line(refund, **given) for refund in refunds]
    report = await service.reconcile(a_line(capture.payment_id), *lines)
    assert report.matched_lines == 4
    assert await service.all_cases() == []
    assert "cash_in_transit" not in await service.balances()


async def test_a_refund_that_does_not_leave_in_time_is_delayed(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture, a_refund(capture.payment_id, 300))
    await service.move_to(AN_INSTANT + timedelta(days=9))
    await service.reconcile(a_line(capture.payment_id))
    [case] = await service.open_cases()
    assert (case.finding.kind, case.finding.difference_minor) == (DiscrepancyKind.DELAYED, 300)
