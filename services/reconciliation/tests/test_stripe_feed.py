"""Stripe's payouts as a settlement feed: nothing is read twice, skipped, or before its payout is final."""

import json
from typing import Any

import httpx
import pytest

from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts.payments import RecordSettlement
from caas_reconciliation.app import build_service, feed_of
from caas_reconciliation.domain.settlement import SettlementLine
from caas_reconciliation.gateway import Page, StripeSettlements, Unavailable, Unusable
from caas_reconciliation.settings import GatewayKind
from services.reconciliation.tests.builders import a_capture, settings_for
from services.reconciliation.tests.in_process_feed import InProcessFeed
from services.reconciliation.tests.running import Reconciliation, migrate
from services.reconciliation.tests.stripe_in_process import StripeInProcess, a_charge, a_row
from services.reconciliation.tests.test_gateway import check_contract


def a_feed(stripe: StripeInProcess) -> StripeSettlements:
    return StripeSettlements(stripe.client(), "sk_test_feed")


async def whole(feed: StripeSettlements, limit: int = 100) -> list[SettlementLine]:
    """Every line that there is now, page by page."""
    lines: list[SettlementLine] = []
    cursor, has_more = "", True
    for _ in range(100):
        page = await feed.page(cursor, limit)
        assert isinstance(page, Page), page
        lines += page.lines
        cursor, has_more = page.next_cursor, page.has_more
        if not has_more:
            return lines
    raise AssertionError("the feed does not end")


def captures(*names: str) -> list[dict[str, Any]]:
    return [a_row(f"txn_{name}", "charge", 1999, 53, a_charge(f"ref-{name}", f"pi_{name}")) for name in names]


async def test_the_feed_keeps_the_contract() -> None:
    stripe = StripeInProcess()
    stripe.pay_out("po_1", *captures("a", "b", "c"))
    # The payout's own movement is the newest row, and no line: the contract counts lines, not rows.
    stripe.rows["po_1"].pop()
    await check_contract(a_feed(stripe), 3)


async def test_lines_carry_gross_fee_net_and_our_references() -> None:
    stripe = StripeInProcess()
    refund: dict[str, Any] = {"id": "re_1", "object": "refund", "payment_intent": "pi_a"}
    refund |= {"metadata": {"reference": "ref-a", "refund_reference": "refund-1"}, "charge": a_charge("ref-a")}
    stripe.pay_out("po_1", *captures("a"), a_row("txn_r", "refund", -500, 0, refund))
    back, taken = await whole(a_feed(stripe))
    assert (taken.kind, taken.gross_minor, taken.fee_minor, taken.net_minor) == ("capture", 1999, 53, 1946)
    assert (taken.transaction_id, taken.reference, taken.operation_reference) == ("pi_a", "ref-a", None)
    assert (taken.currency, taken.settled_on.isoformat(), taken.payout_id) == ("EUR", "2026-03-05", "po_1")
    assert (back.kind, back.gross_minor, back.reference, back.operation_reference) == (
        "refund",
        -500,
        "ref-a",
        "refund-1",
    )
    assert json.loads(taken.raw)["object"] == "balance_transaction"


async def test_a_dispute_is_a_chargeback_and_its_fee() -> None:
    stripe = StripeInProcess()
    dispute = {"id": "dp_1", "object": "dispute", "payment_intent": "pi_a", "metadata": {}, "charge": a_charge("ref-a")}
    stripe.pay_out("po_1", a_row("txn_d", "adjustment", -1999, 1500, dispute, reporting_category="dispute"))
    back, fee = await whole(a_feed(stripe))
    assert [(line.kind, line.gross_minor, line.fee_minor, line.net_minor) for line in (back, fee)] == [
        ("chargeback", -1999, 0, -1999),
        ("chargeback_fee", 0, 1500, -1500),
    ]
    assert back.reference == fee.reference == "ref-a"
    assert back.line_id != fee.line_id


async def test_what_is_not_of_a_payment_keeps_its_own_name() -> None:
    stripe = StripeInProcess()
    stripe.pay_out("po_1", a_row("txn_f", "stripe_fee", -200, 0, None))
    [line] = await whole(a_feed(stripe))
    assert (line.kind, line.reference, line.transaction_id, line.net_minor) == ("stripe_fee", "", "txn_f", -200)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_payouts_are_read_in_order_each_row_once(limit: int) -> None:
    stripe = StripeInProcess()
    stripe.pay_out("po_1", *captures("a", "b", "c"))
    stripe.pay_out("po_2", status="canceled")
    stripe.pay_out("po_3", *captures("d"))
    lines = await whole(a_feed(stripe), limit)
    assert sorted(line.reference for line in lines) == ["ref-a", "ref-b", "ref-c", "ref-d"]
    assert [line.payout_id for line in lines] == ["po_1", "po_1", "po_1", "po_3"]


async def test_the_first_of_many_payouts_is_found() -> None:
    stripe = StripeInProcess()
    for at in range(120):
        stripe.pay_out(f"po_{at}", *captures(f"n{at}"))
    first = await a_feed(stripe).page("", 100)
    assert isinstance(first, Page)
    assert [line.payout_id for line in first.lines] == ["po_0"]


@pytest.mark.parametrize(
    "under_way", [{"status": "pending"}, {"status": "in_transit"}, {"reconciliation_status": "in_progress"}]
)
async def test_nothing_is_read_past_a_payout_that_is_under_way(under_way: dict[str, str]) -> None:
    stripe = StripeInProcess()
    stripe.pay_out("po_1", *captures("a"))
    stripe.pay_out("po_2", *captures("b"), **under_way)
    stripe.pay_out("po_3", *captures("c"))
    feed = a_feed(stripe)
    page = await feed.page("", 100)
    assert isinstance(page, Page)
    assert ([line.reference for line in page.lines], page.has_more) == (["ref-a"], False)
    assert await feed.page(page.next_cursor, 100) == Page((), page.next_cursor, has_more=False)
    stripe.payouts[1] |= {"status": "paid", "reconciliation_status": "completed"}
    later = await feed.page(page.next_cursor, 100)
    assert isinstance(later, Page)
    assert ([line.reference for line in later.lines], later.has_more) == (["ref-b"], True)


async def test_a_manual_payout_is_not_guessed_at() -> None:
    stripe = StripeInProcess()
    stripe.pay_out("po_1", automatic=False, reconciliation_status="not_applicable")
    answer = await a_feed(stripe).page("", 100)
    assert answer == Unusable("payout po_1 is manual: Stripe does not say what it is made of")


@pytest.mark.parametrize(
    ("trouble", "answer"),
    [
        (httpx.Response(429, headers={"Retry-After": "3"}), Unavailable("status 429", 3.0)),
        (httpx.Response(500), Unavailable("status 500")),
        (httpx.Response(401), Unusable("status 401")),
        (httpx.Response(200, text="<html>"), None),
        (httpx.Response(200, json={"data": [{"id": 7}], "has_more": False}), None),
        (httpx.Response(200, json={"data": [], "has_more": False, "nul": "\x00"}), None),
    ],
)
async def test_trouble_is_an_answer_and_no_error(
    trouble: httpx.Response, answer: Unavailable | Unusable | None
) -> None:
    stripe = StripeInProcess()
    stripe.pay_out("po_1", *captures("a"))
    feed = a_feed(stripe)
    stripe.trouble.append(trouble)
    given = await feed.page("", 10)
    assert given == answer if answer is not None else isinstance(given, Unusable)
    assert isinstance(await feed.page("", 10), Page)


async def test_amounts_in_units_of_stripes_own_are_refused() -> None:
    stripe = StripeInProcess()
    stripe.pay_out("po_1", a_row("txn_a", "charge", 1900, 0, a_charge("ref-a"), currency="isk"))
    assert isinstance(await a_feed(stripe).page("", 10), Unusable)


async def test_a_capture_at_stripe_is_settled_by_its_payout(make_database: MakeDatabase) -> None:
    stripe, captured = StripeInProcess(), a_capture()
    price = captured.captured.amount_minor
    charge = a_charge(str(captured.payment_id), captured.gateway_transaction_id)
    stripe.pay_out("po_1", a_row("txn_a", "charge", price, 53, charge))
    settings = settings_for(await make_database("reconciliation", migrate), gateway_kind=GatewayKind.STRIPE)
    service = build_service(settings, feed_of(settings, stripe.client()))
    async with Harness(service, settings.database_url) as harness:
        await harness.receive(captured)
        report = await Reconciliation(harness, InProcessFeed()).reconcile()
        assert (report.lines, report.matched_lines, report.proof_difference_minor) == (1, 1, 0)
        [told] = await harness.published(RecordSettlement)
    assert (told.payment_id, told.gross.amount_minor, told.fee.amount_minor) == (captured.payment_id, price, 53)
