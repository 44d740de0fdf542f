"""Resolving a case takes its difference off the books, is announced, and leaves the proof intact (RCN-4, RCN-7)."""

from datetime import timedelta
from uuid import uuid4

import pytest

from caas_contracts.reconciliation import DiscrepancyKind, DiscrepancyResolved
from caas_reconciliation.domain.case import CaseStatus, Resolution
from caas_reconciliation.errors import CaseForbids, UnknownCase
from caas_reconciliation.handlers import casework
from caas_reconciliation.store import cases
from services.reconciliation.tests.builders import AN_INSTANT, PRICE_MINOR, a_capture, a_line, chargeback_lines, fee_of
from services.reconciliation.tests.running import Reconciliation


async def resolve_only_case(service: Reconciliation, resolution: Resolution) -> None:
    [case] = await service.open_cases()
    async with service.harness.transaction("operator:eva") as tx:
        await casework.resolve_case(case.case_id, resolution, "agreed with the gateway", tx=tx)


async def assert_proof_holds(service: Reconciliation) -> None:
    report = await service.reconcile()
    assert report.proof_difference_minor == 0
    assert report.open_cases == []
    await service.assert_books_hold()


async def test_a_delayed_capture_is_written_off_from_transit(service: Reconciliation) -> None:
    await service.harness.receive(a_capture())
    await service.move_to(AN_INSTANT + timedelta(days=9))
    await service.reconcile()
    await resolve_only_case(service, Resolution.WRITE_OFF)
    assert await service.balances() == {"receivable": -PRICE_MINOR, "write_offs": PRICE_MINOR}
    [event] = await service.harness.published(DiscrepancyResolved)
    assert (event.resolution, event.resolved_by) == ("write_off", "operator:eva")
    await assert_proof_holds(service)


async def test_money_of_nobody_is_taken_in_as_an_adjustment(service: Reconciliation) -> None:
    await service.reconcile(a_line(uuid4()))
    await resolve_only_case(service, Resolution.CORRECTED)
    fee = fee_of(PRICE_MINOR)
    assert await service.balances() == {
        "bank": PRICE_MINOR - fee,
        "gateway_fees": fee,
        "adjustments": -PRICE_MINOR,
    }
    await assert_proof_holds(service)


async def test_a_settlement_too_much_is_given_back(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    await service.reconcile(a_line(capture.payment_id), a_line(capture.payment_id))
    await resolve_only_case(service, Resolution.REFUNDED)
    assert (await service.balances())["refunds"] == -PRICE_MINOR
    await assert_proof_holds(service)


async def test_a_chargeback_is_written_off(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    await service.reconcile(a_line(capture.payment_id), *chargeback_lines(capture.payment_id))
    await resolve_only_case(service, Resolution.WRITE_OFF)
    balances = await service.balances()
    assert balances["write_offs"] == PRICE_MINOR
    assert "chargebacks" not in balances
    await assert_proof_holds(service)


async def test_a_line_that_comes_after_the_write_off_is_a_new_difference(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    await service.move_to(AN_INSTANT + timedelta(days=9))
    await service.reconcile()
    await resolve_only_case(service, Resolution.WRITE_OFF)
    report = await service.reconcile(a_line(capture.payment_id))
    [case] = await service.open_cases()
    assert (case.finding.kind, case.finding.difference_minor) == (DiscrepancyKind.AMOUNT_MISMATCH, PRICE_MINOR)
    assert report.proof_difference_minor == 0


async def test_a_waiting_case_stays_open_until_a_line_explains_it(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    await service.reconcile(a_line(capture.payment_id, 1000))
    [case] = await service.open_cases()
    async with service.harness.transaction() as tx:
        await casework.wait_for_case(case.case_id, "the rest comes tomorrow", tx=tx)
    await service.reconcile()
    [waiting] = await service.open_cases()
    assert waiting.status is CaseStatus.WAITING
    await service.reconcile(a_line(capture.payment_id, PRICE_MINOR - 1000))
    assert await service.open_cases() == []


async def test_everything_done_to_a_case_is_remembered_with_who_did_it(service: Reconciliation) -> None:
    await service.reconcile(a_line(uuid4()))
    [case] = await service.open_cases()
    async with service.harness.transaction("operator:eva") as tx:
        await casework.note_case(case.case_id, "asked the gateway", tx=tx)
        await casework.assign_case(case.case_id, "leo", tx=tx)
    await resolve_only_case(service, Resolution.CORRECTED)
    async with service.reading() as tx:
        history = await cases.history(case.case_id, tx=tx)
    assert [(entry.action, entry.words) for entry in history[1:]] == [
        ("noted", "asked the gateway"),
        ("assigned", "leo"),
        ("resolved", "corrected: agreed with the gateway"),
    ]
    assert {entry.actor for entry in history[1:]} == {"operator:eva"}


async def test_a_case_is_resolved_once(service: Reconciliation) -> None:
    await service.reconcile(a_line(uuid4()))
    [case] = await service.open_cases()
    await resolve_only_case(service, Resolution.CORRECTED)
    before = await service.balances()
    with pytest.raises(CaseForbids):
        async with service.harness.transaction() as tx:
            await casework.resolve_case(case.case_id, Resolution.WRITE_OFF, "again", tx=tx)
    assert await service.balances() == before


async def test_a_case_that_does_not_exist_is_not_found(service: Reconciliation) -> None:
    with pytest.raises(UnknownCase):
        async with service.harness.transaction() as tx:
            await casework.note_case(uuid4(), "hello", tx=tx)
