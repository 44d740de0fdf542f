"""Runs: each subscription once per period, whoever works, stops or asks again (SUB-4, SUB-5, SUB-8)."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import httpx
import pytest

from caas_billing.domain.billing_policy import BillingPolicy
from caas_billing.domain.billing_run import Run
from caas_billing.domain.period import Period
from caas_billing.errors import PeriodNotEnded
from caas_billing.handlers.closing import CYCLE_TIMER, BillingCycle, RunWork, finish_run, schedule_cycle, start_run
from caas_chassis.testing.harness import Harness
from caas_contracts.billing import InvoiceIssued
from caas_contracts.operations import AlertRaised
from caas_contracts.payments import ChargePayment
from caas_contracts.subscriptions import BillingRunFinished, RatePlanKind
from services.billing.tests.callers import ANA, OPERATOR
from services.billing.tests.closing_checks import assert_billed_once, everything, rows
from services.billing.tests.cycle_builders import (
    MADRID,
    NOVEMBER,
    OCTOBER,
    Subscription,
    a_plan,
    a_subscription,
    stored,
    tiers,
)

POLICY = BillingPolicy()
SEPTEMBER, DECEMBER = OCTOBER.previous, NOVEMBER.next


async def set_clock(billing: Harness, instant: datetime) -> None:
    """Move business time and fire nothing."""
    billing.clock.move(instant - billing.clock.now())


async def start(billing: Harness, period: Period = OCTOBER) -> Run:
    async with billing.transaction() as tx:
        return await start_run(period, "operator:test", tx=tx, policy=POLICY)


async def finish(billing: Harness, run: Run, workers: int = 2, chunk_size: int = 2000) -> None:
    work = RunWork(run, POLICY, billing.runtime.transaction, chunk_size=chunk_size)
    await asyncio.wait_for(work.to_the_end(workers), timeout=60)


async def bill(billing: Harness, period: Period = OCTOBER, chunk_size: int = 2000) -> Run:
    run = await start(billing, period)
    await finish(billing, run, chunk_size=chunk_size)
    return run


@pytest.fixture(autouse=True)
async def december(billing: Harness) -> None:
    """October and November are over."""
    await set_clock(billing, datetime(2026, 12, 3, tzinfo=UTC))


async def test_a_run_closes_everything_that_is_due_and_says_so_once(billing: Harness) -> None:
    subscriptions = [a_subscription(("2026-10-05", "10")) for _ in range(40)]
    await stored(
        billing, a_plan(), *subscriptions, a_subscription(), a_subscription(("2026-10-31", "1"), vat_rate_bp=0)
    )

    run = await bill(billing)

    (finished,) = await billing.published(BillingRunFinished)
    assert (finished.run_id, finished.period) == (run.run_id, "2026-10")
    assert (finished.subscriptions, finished.invoices, finished.without_charge) == (42, 41, 1)
    assert [(money.amount_minor, money.currency) for money in finished.invoiced] == [(40 * 35 + 4, "EUR")]
    await assert_billed_once(billing)


async def test_a_period_that_goes_on_is_not_closed(billing: Harness) -> None:
    with pytest.raises(PeriodNotEnded, match=r"2026-12 ends on 2027-01-01 00:00 \(Europe/Madrid\)"):
        await start(billing, DECEMBER)
    await set_clock(billing, DECEMBER.ends_at(MADRID) - timedelta(minutes=5))
    with pytest.raises(PeriodNotEnded):
        await start(billing, DECEMBER)
    await set_clock(billing, DECEMBER.ends_at(MADRID))
    assert (await start(billing, DECEMBER)).period == DECEMBER


async def test_an_open_run_is_joined_and_a_finished_period_may_be_run_again(billing: Harness) -> None:
    await stored(billing, a_plan(), a_subscription(("2026-10-05", "10")))
    run = await start(billing)
    assert (await start(billing)).run_id == run.run_id
    await finish(billing, run)
    before = await everything(billing)

    again = await bill(billing)

    assert again.run_id != run.run_id
    after = await everything(billing)
    changed = {table for table in after if after[table] != before[table]}
    assert changed == {"public.billing_run", "chassis.outbox", "chassis.outbox_stream"}
    assert [one.invoices for one in await billing.published(BillingRunFinished)] == [1, 0]


async def test_late_use_is_billed_with_the_next_month_and_named(billing: Harness) -> None:  # SUB-2
    late = (NOVEMBER, date(2026, 10, 31), Decimal(4))
    one = a_subscription(("2026-10-05", "10"))
    one = Subscription(
        subscription_id=one.subscription_id, uses=[*one.uses, (NOVEMBER, date(2026, 11, 2), Decimal(2)), late]
    )
    await stored(billing, a_plan(), one)

    await bill(billing)
    await bill(billing, NOVEMBER)

    assert await rows(
        billing,
        """
        SELECT to_char(c.period, 'YYYY-MM') AS billed, to_char(l.used_in, 'YYYY-MM') AS used, l.usage_events AS uses,
            l.total_minor AS total
        FROM usage_line l JOIN period_close c USING (invoice_id) ORDER BY c.period, l.line
        """,
    ) == [
        {"billed": "2026-10", "used": "2026-10", "uses": 1, "total": 35},
        {"billed": "2026-11", "used": "2026-11", "uses": 1, "total": 7},
        {"billed": "2026-11", "used": "2026-10", "uses": 1, "total": 14},
    ]
    await assert_billed_once(billing)


async def test_months_that_were_missed_are_closed_in_order(billing: Harness) -> None:
    uses = [(period, period.first_day, Decimal(10)) for period in (SEPTEMBER, OCTOBER, NOVEMBER)]
    behind = [Subscription(next_period=SEPTEMBER, uses=uses) for _ in range(7)]
    await stored(billing, a_plan(), *behind, a_subscription(("2026-10-05", "10")))

    run = await bill(billing, NOVEMBER, chunk_size=3)

    for one in behind:
        numbers = await rows(
            billing,
            "SELECT c.period, i.position FROM period_close c JOIN invoice i USING (invoice_id) "
            "WHERE subscription_id = $1 ORDER BY i.position",
            one.subscription_id,
        )
        assert [row["period"] for row in numbers] == [period.first_day for period in (SEPTEMBER, OCTOBER, NOVEMBER)]
    (finished,) = await billing.published(BillingRunFinished)
    assert (finished.run_id, finished.subscriptions, finished.invoices) == (run.run_id, 23, 22)
    await assert_billed_once(billing)


async def test_a_price_announced_in_mid_period_counts_from_the_next_month(billing: Harness) -> None:
    uses = [(OCTOBER, date(2026, 10, 20), Decimal(10)), (NOVEMBER, date(2026, 11, 20), Decimal(10))]
    await stored(
        billing,
        a_plan(rate="1"),
        a_plan(rate="9", version=2, effective_from=NOVEMBER.first_day),
        Subscription(uses=uses),
    )

    await bill(billing, NOVEMBER)

    totals = await rows(billing, "SELECT total_minor FROM invoice ORDER BY position")
    assert [row["total_minor"] for row in totals] == [10, 90]


async def test_a_subscription_that_ended_is_billed_to_its_end_and_never_again(billing: Harness) -> None:  # SUB-7
    flat = a_plan(RatePlanKind.FLAT_MONTHLY, "3100")
    ended_at = datetime(2026, 10, 10, 22, 30, tzinfo=UTC)  # the 11th in Madrid
    one = a_subscription(ended_at=ended_at, status="cancelled_customer")
    midnight = a_subscription(ended_at=NOVEMBER.starts_at(MADRID), status="cancelled_customer")
    await stored(billing, flat, one, midnight)

    await bill(billing, NOVEMBER)

    totals = await rows(billing, "SELECT subject_id, total_minor, supplied_at FROM invoice")
    assert {row["subject_id"]: row["total_minor"] for row in totals} == {
        one.subscription_id: 1100,
        midnight.subscription_id: 3100,
    }
    last = timedelta(microseconds=1)  # An invoice names the last instant that it counts.
    assert {row["supplied_at"] for row in totals} == {ended_at - last, NOVEMBER.starts_at(MADRID) - last}
    standings = await rows(billing, "SELECT status, next_period FROM subscription_standing")
    assert standings == [{"status": "cancelled_customer", "next_period": None}] * 2
    assert await rows(billing, "SELECT DISTINCT period FROM period_close") == [{"period": OCTOBER.first_day}]


async def test_two_runs_work_at_once_and_share_the_shards(billing: Harness) -> None:
    await stored(billing, a_plan(), *(a_subscription(("2026-10-05", "10")) for _ in range(300)))
    run = await start(billing)

    await asyncio.gather(*(finish(billing, run, workers=2, chunk_size=1) for _ in range(3)))

    assert len(await billing.published(BillingRunFinished)) == 1
    await assert_billed_once(billing)


async def test_a_run_is_not_finished_while_anything_is_due(billing: Harness) -> None:
    await stored(billing, a_plan(), a_subscription(("2026-10-05", "10")))
    run = await start(billing)
    async with billing.transaction() as tx:
        assert not await finish_run(run, frozenset(), tx=tx)
    assert await billing.published(BillingRunFinished) == []


async def test_a_bill_that_no_message_can_carry_is_left_open_and_reported(billing: Harness) -> None:
    absurd = a_subscription(("2026-10-05", "999999999999"), ("2026-10-06", "999999999999"))
    await stored(billing, a_plan(rate="99"), absurd, *(a_subscription(("2026-10-05", "10")) for _ in range(20)))

    await bill(billing)

    (finished,) = await billing.published(BillingRunFinished)
    assert finished.invoices == 20
    (alert,) = await billing.published(AlertRaised)
    assert alert.subject == str(absurd.subscription_id)
    due = await rows(billing, "SELECT subscription_id FROM subscription_standing WHERE next_period = '2026-10-01'")
    assert [row["subscription_id"] for row in due] == [absurd.subscription_id]


async def test_a_month_that_is_over_is_run_by_itself_also_those_that_were_missed(billing: Harness) -> None:
    await set_clock(billing, datetime(2026, 10, 15, tzinfo=UTC))
    uses = [(period, period.first_day, Decimal(10)) for period in (OCTOBER, NOVEMBER, DECEMBER)]
    await stored(billing, a_plan(), Subscription(uses=uses))
    cycle = BillingCycle(billing.runtime.transaction, POLICY, workers=2)
    assert not await cycle.run_once()
    (timer,) = await rows(billing, "SELECT timer, due_at FROM chassis.timer")
    assert timer == {"timer": CYCLE_TIMER, "due_at": NOVEMBER.starts_at(MADRID) + POLICY.grace}

    await billing.move_clock(NOVEMBER.starts_at(MADRID) + POLICY.grace - timedelta(seconds=1) - billing.clock.now())
    assert not await cycle.run_once()
    await billing.move_clock(DECEMBER.ends_at(MADRID) + POLICY.grace - billing.clock.now())

    while await asyncio.wait_for(cycle.run_once(), timeout=30):
        pass
    assert [one.period for one in await billing.published(BillingRunFinished)] == ["2026-10", "2026-11", "2026-12"]
    assert [one.invoices for one in await billing.published(BillingRunFinished)] == [1, 1, 1]
    await assert_billed_once(billing)


async def test_a_restart_leaves_the_schedule_as_it_was(billing: Harness) -> None:
    async with billing.transaction() as tx:
        await schedule_cycle(tx=tx, policy=POLICY)
    before = await rows(billing, "SELECT * FROM chassis.timer")
    await set_clock(billing, datetime(2027, 6, 1, tzinfo=UTC))
    await BillingCycle(billing.runtime.transaction, POLICY, workers=1).run_once()
    assert await rows(billing, "SELECT * FROM chassis.timer") == before


async def test_operators_start_and_follow_a_run(billing: Harness, http: httpx.AsyncClient) -> None:
    await stored(billing, a_plan(), *(a_subscription(("2026-10-05", "10")) for _ in range(9)))

    asked = await http.post("/billing-runs", json={"period": "2026-10"}, headers=OPERATOR)
    assert asked.status_code == 202
    assert asked.json()["progress"] == {"closed": 0, "left": 9}
    joined = await http.post("/billing-runs", json={"period": "2026-10"}, headers=OPERATOR)
    assert joined.headers["location"] == asked.headers["location"]

    await asyncio.wait_for(BillingCycle(billing.runtime.transaction, POLICY, workers=2).run_once(), timeout=30)

    state = (await http.get(asked.headers["location"], headers=OPERATOR)).json()
    assert state["finished_at"] is not None
    assert state["requested_by"] == "operator:olga"
    assert state["progress"] == {"closed": 9, "left": 0}
    assert state["report"]["invoiced"] == [{"amount_minor": 315, "currency": "EUR"}]
    assert state["report"]["biggest"][0]["number"] == "M-2026-000001"
    listed = (await http.get("/billing-runs", headers=OPERATOR)).json()["runs"]
    assert [one["run_id"] for one in listed] == [state["run_id"]]


async def test_a_dry_run_says_what_a_run_does_and_writes_nothing(billing: Harness, http: httpx.AsyncClient) -> None:
    tiered = a_plan(RatePlanKind.TIERED, plan_code="steps", tiers=tiers(("5", "10"), (None, "1")))
    uses = [(period, period.first_day, Decimal(7)) for period in (SEPTEMBER, OCTOBER)]
    late = (OCTOBER, date(2026, 8, 3), Decimal(3))
    await stored(
        billing, a_plan(), tiered, a_subscription(), a_subscription(("2026-10-05", "10"), method_refused=True),
        *(Subscription(next_period=SEPTEMBER, plan_code="steps", uses=[*uses, late]) for _ in range(4)),
    )  # fmt: skip
    before = await everything(billing)

    asked = await http.post("/billing-runs", json={"period": "2026-10", "dry_run": True}, headers=OPERATOR)

    assert asked.status_code == 200
    assert await everything(billing) == before
    expected = asked.json()["report"]
    run = await bill(billing)
    found = (await http.get(f"/billing-runs/{run.run_id}", headers=OPERATOR)).json()["report"]
    for bills in (expected["biggest"], found["biggest"]):
        for one in bills:
            del one["number"]
        bills.sort(key=lambda one: (one["subscription_id"], one["period"]))
    for name in ("subscriptions", "invoices", "without_charge", "invoiced", "late_uses", "not_charged"):
        assert expected[name] == found[name], name
    assert expected["subscriptions"] == 10
    assert {one["total"]["amount_minor"] for one in expected["biggest"]} <= {52, 82, 35}
    await assert_billed_once(billing)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"period": "october"}, 400, "period_malformed"),
        ({"period": "2026-12"}, 409, "period_not_ended"),
        ({"period": "2026-12", "dry_run": True}, 409, "period_not_ended"),
        ({}, 400, "invalid_request"),
    ],
)
async def test_what_cannot_be_run_is_refused_with_the_reason(
    http: httpx.AsyncClient, body: dict[str, object], status: int, code: str
) -> None:
    answer = await http.post("/billing-runs", json=body, headers=OPERATOR)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_runs_are_for_operators_and_unknown_ones_are_not_found(http: httpx.AsyncClient) -> None:
    assert (await http.post("/billing-runs", json={"period": "2026-10"}, headers=ANA)).status_code == 403
    assert (await http.get("/billing-runs", headers=ANA)).status_code == 403
    answer = await http.get(f"/billing-runs/{UUID(int=7)}", headers=OPERATOR)
    assert (answer.status_code, answer.json()["code"]) == (404, "billing_run_not_found")


async def test_every_invoice_has_its_charge(billing: Harness) -> None:
    await stored(billing, a_plan(), *(a_subscription(("2026-10-05", "10")) for _ in range(25)))
    await bill(billing)
    charges = {one.subject_id: one for one in await billing.published(ChargePayment)}
    for invoice in await billing.published(InvoiceIssued):
        assert charges[invoice.invoice_id].amount == invoice.total
