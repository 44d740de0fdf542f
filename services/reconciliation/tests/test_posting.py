"""The posting rules: which accounts each fact moves, and that nothing is left over at the end (RCN-6)."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caas_contracts.billing import InvoiceKind
from caas_contracts.payments import SettlementStage
from caas_reconciliation.domain import facts
from caas_reconciliation.domain.accounts import CHART_OF_ACCOUNTS, Account
from caas_reconciliation.domain.case import (
    ChargedBack,
    HeldLine,
    Remainder,
    Resolution,
    resolution_lines,
)
from caas_reconciliation.domain.facts import Fact, vat_included
from caas_reconciliation.domain.posting import Entry, Line, entries_of, unpaid_sale
from caas_reconciliation.errors import UnbalancedEntry
from services.reconciliation.tests.builders import (
    AN_INSTANT,
    a_capture,
    a_chargeback,
    a_credit_note,
    a_failed_settlement,
    a_forfeiture,
    a_purchase,
    a_refund,
    a_reservation_invoice,
    a_vehicle_invoice,
    an_invoice,
)

PAYMENT = uuid4()


def moved(fact: Fact) -> dict[str, int]:
    return {line.account: line.amount_minor for entry in entries_of(fact) for line in entry.lines}


def test_a_capture_moves_the_receivable_into_transit() -> None:
    assert moved(facts.payment_captured(a_capture(PAYMENT), "m")) == {"cash_in_transit": 1999, "receivable": -1999}


def test_an_invoice_is_revenue_and_vat() -> None:
    expected = {"receivable": 1999, "revenue": -1652, "vat_output": -347}
    assert moved(facts.invoice_issued(an_invoice(PAYMENT), "m")) == expected


def test_a_refund_and_its_credit_note_take_back_money_revenue_and_vat() -> None:
    refund = a_refund(PAYMENT, 1000)
    assert moved(facts.payment_refunded(refund, "m")) == {"receivable": 1000, "cash_in_transit": -1000}
    expected = {"refunds": 826, "vat_output": 174, "receivable": -1000}
    assert moved(facts.credit_note_issued(a_credit_note(refund), "m")) == expected


def test_an_invoiced_reservation_is_an_advance() -> None:  # RES-5
    expected = {"receivable": 1999, "customer_advances": -1652, "vat_output": -347}
    assert moved(facts.invoice_issued(a_reservation_invoice(PAYMENT), "m")) == expected


def test_the_invoice_of_a_vehicle_earns_the_advance_and_the_rest() -> None:
    # 19,990.00 without VAT is 16,520.66, VAT 3,469.34; the reservation took 16.52 and 3.47 of them.
    assert moved(facts.invoice_issued(a_vehicle_invoice(PAYMENT), "m")) == {
        "receivable": 1_997_001,
        "customer_advances": 1652,
        "revenue": -1_652_066,
        "vat_output": -(346_934 - 347),
    }


def test_a_forfeited_reservation_is_income_and_its_vat_stays_owed() -> None:  # FIN-4
    forfeited = facts.reservation_forfeited(a_forfeiture(PAYMENT), 347, "m")
    assert moved(forfeited) == {"customer_advances": 1652, "forfeited_reservations": -1652}


def test_the_credit_note_of_a_reservation_takes_the_advance_back() -> None:
    note = a_credit_note(a_refund(PAYMENT, 1999)).model_copy(update={"invoice_kind": InvoiceKind.RESERVATION})
    expected = {"receivable": -1999, "customer_advances": 1652, "vat_output": 347}
    assert moved(facts.credit_note_issued(note, "m")) == expected


def test_a_failed_capture_is_written_off_against_the_sale_that_no_invoice_posts() -> None:  # SVC-8
    lost = facts.settlement_failed(a_failed_settlement(PAYMENT), "m")
    assert moved(lost) == {"write_offs": 1999, "receivable": -1999}
    [sale] = unpaid_sale(facts.purchase_placed(a_purchase(PAYMENT), PAYMENT, "m"))
    assert {line.account: line.amount_minor for line in sale.lines} == {
        "receivable": 1999,
        "revenue": -1652,
        "vat_output": -347,
    }


def test_a_loss_after_the_capture_is_written_off_from_transit() -> None:
    lost = a_failed_settlement(PAYMENT, SettlementStage.SETTLEMENT, lost_minor=700)
    assert moved(facts.settlement_failed(lost, "m")) == {"write_offs": 700, "cash_in_transit": -700}


def test_a_placed_purchase_and_a_chargeback_notice_move_no_money() -> None:
    assert moved(facts.purchase_placed(a_purchase(PAYMENT), PAYMENT, "m")) == {}
    assert moved(facts.chargeback_received(a_chargeback(PAYMENT), "m")) == {}


def test_nothing_is_posted_for_a_service_that_costs_nothing() -> None:
    assert entries_of(facts.invoice_issued(an_invoice(PAYMENT, total_minor=0), "m")) == []


def test_an_entry_that_does_not_balance_cannot_be_made() -> None:
    with pytest.raises(UnbalancedEntry):
        Entry(
            source_kind="invoice_issued",
            source_id="1",
            payment_id=None,
            currency="EUR",
            occurred_at=AN_INSTANT,
            message_id="m",
            lines=(Line(Account.REVENUE, -1), Line(Account.RECEIVABLE, 2)),
        )


@pytest.mark.parametrize("resolution", [Resolution.WRITE_OFF, Resolution.CORRECTED, Resolution.REFUNDED])
@pytest.mark.parametrize("closing", [Remainder(700), Remainder(-3), HeldLine(90, 10), ChargedBack(500)])
def test_every_resolution_takes_the_difference_to_one_account(
    closing: Remainder | HeldLine | ChargedBack, resolution: Resolution
) -> None:
    lines = resolution_lines(closing, resolution)
    assert len(lines) >= 2
    assert sum(line.amount_minor for line in lines) == 0


@given(total_minor=st.integers(0, 10**9), rate_bp=st.integers(0, 10_000))
def test_base_and_vat_add_up_and_the_base_is_rounded_half_to_even_once(total_minor: int, rate_bp: int) -> None:
    base = total_minor - vat_included(total_minor, rate_bp)
    exact, divisor = total_minor * 10_000, 10_000 + rate_bp
    assert 0 <= base <= total_minor
    assert abs(base * divisor - exact) * 2 <= divisor
    if abs(base * divisor - exact) * 2 == divisor:
        assert base % 2 == 0


def test_every_account_is_described_once() -> None:
    assert [description.account for description in CHART_OF_ACCOUNTS] == list(Account)
