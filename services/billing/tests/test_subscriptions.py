"""Subscriptions as orders tells of them: kept once, by the plan that was agreed, ended when the customer says (SUB)."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from asyncpg import Record

from caas_billing.domain.billing_policy import BillingPolicy
from caas_chassis.testing.harness import Harness
from caas_contracts import Message
from caas_contracts.operations import AlertKind, AlertRaised
from services.billing.tests.subscription_builders import (
    A_START,
    a_cancellation,
    a_plan,
    a_start,
    a_tiered_plan,
    published,
)


async def rows(billing: Harness, sql: str, *args: object) -> list[Record]:
    async with billing.transaction() as tx:
        return await tx.fetch(sql, *args)


async def standing(billing: Harness, subscription_id: UUID) -> Record:
    (row,) = await rows(billing, "SELECT * FROM subscription_standing WHERE subscription_id = $1", subscription_id)
    return row


async def test_a_subscription_is_active_at_once_and_billed_from_its_month_on(billing: Harness) -> None:
    started = a_start()
    await billing.receive(started)
    row = await standing(billing, started.subscription_id)
    assert (row["status"], row["next_period"], row["ended_at"]) == ("active", date(2026, 10, 1), None)
    assert (row["shard"], row["payment_method"]) == (started.subscription_id.bytes[15], "pm_ok")
    (terms,) = await rows(billing, "SELECT * FROM subscription")
    assert (terms["plan_code"], terms["plan_version"], terms["currency"]) == ("lane-keeping-per-km", 1, "EUR")
    assert await billing.take() == []  # SUB-1: no payment


@pytest.mark.parametrize(
    ("started_at", "month"),
    [
        (datetime(2026, 9, 30, 21, 59, 59, tzinfo=UTC), date(2026, 9, 1)),
        (datetime(2026, 9, 30, 22, 0, tzinfo=UTC), date(2026, 10, 1)),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), date(2027, 1, 1)),
    ],
)
async def test_its_first_month_is_that_of_the_billing_time_zone(
    billing: Harness, started_at: datetime, month: date
) -> None:
    started = a_start(started_at=started_at)
    await billing.receive(started)
    assert (await standing(billing, started.subscription_id))["next_period"] == month


async def test_what_comes_twice_is_kept_once(billing: Harness) -> None:
    started, plan = a_start(plan=a_tiered_plan()), published(a_tiered_plan())
    await billing.receive(plan, started)
    await billing.receive_again(plan, started)
    await billing.receive(published(a_tiered_plan()), started)
    assert [tuple(row) for row in await rows(billing, "SELECT tier, above, up_to, rate FROM rate_tier ORDER BY tier")]
    assert len(await rows(billing, "SELECT * FROM rate_plan")) == 1
    assert len(await rows(billing, "SELECT * FROM rate_tier")) == 2
    assert len(await rows(billing, "SELECT * FROM subscription")) == 1
    assert await billing.parked() == []


@pytest.mark.parametrize(
    ("plan", "other"),
    [
        (a_plan(), a_plan(rate="3.6")),
        (a_plan(), a_plan(effective_from="2026-02")),
        (a_tiered_plan(), a_tiered_plan(("400", "2.5"), (None, "1.25"))),
        (a_tiered_plan(), a_tiered_plan(("500", "2.5"), ("900", "2"), (None, "1.25"))),
    ],
)
async def test_a_version_that_is_published_with_other_terms_is_refused(billing: Harness, plan: Any, other: Any) -> None:
    await billing.receive(published(plan))
    await billing.receive(published(other))
    (parked,) = await billing.parked()
    assert parked["state"] == "parked"
    assert "rate_plan_redefined" in parked["detail"]
    assert len(await rows(billing, "SELECT * FROM rate_plan")) == 1


async def test_a_contradiction_within_one_batch_spoils_nobody_elses_plan(billing: Harness) -> None:
    fine = a_start(plan=a_plan(plan_code="other"))
    await billing.receive(a_start(), a_start(plan=a_plan(rate="9")), fine)
    assert len(await billing.parked()) == 1
    assert len(await rows(billing, "SELECT * FROM subscription")) == 2


@pytest.mark.parametrize(
    "plan",
    [
        a_plan(rate=None),
        a_plan(unit=None),
        a_tiered_plan(("500", "2.5")),
        a_tiered_plan((None, "2.5"), (None, "1")),
        a_tiered_plan(("500", "2.5"), ("400", "1"), (None, "1")),
        a_tiered_plan(rate="1"),
    ],
)
async def test_a_plan_that_does_not_price_everything_once_is_refused(billing: Harness, plan: Any) -> None:
    await billing.receive(published(plan))
    (parked,) = await billing.parked()
    assert "rate_plan_malformed" in parked["detail"]


@pytest.mark.parametrize("cancelled_first", [False, True])
async def test_a_cancelled_subscription_ends_then_and_is_billed_once_more(
    billing: Harness, cancelled_first: bool
) -> None:
    started = a_start()
    cancelled = a_cancellation(started)
    story: list[Message] = [cancelled, started] if cancelled_first else [started, cancelled]
    for message in story:
        await billing.receive(message)
    row = await standing(billing, started.subscription_id)
    assert (row["status"], row["ended_at"]) == ("cancelled_customer", A_START + timedelta(days=10))
    assert row["next_period"] == date(2026, 10, 1)
    assert await billing.published(AlertRaised) == []


async def test_a_cancellation_that_comes_after_its_month_was_billed_is_looked_at(billing: Harness) -> None:
    started = a_start()
    await billing.receive(started)
    async with billing.transaction() as tx:
        await tx.execute("UPDATE subscription_standing SET next_period = '2026-11-01'")
    await billing.receive(a_cancellation(started))
    (alert,) = await billing.published(AlertRaised)
    assert (alert.kind, alert.subject) == (AlertKind.LATE_CANCELLATION, str(started.subscription_id))


def test_retries_come_on_their_days_at_their_hour_whatever_the_clocks_do() -> None:
    policy = BillingPolicy()
    failed = datetime(2026, 10, 23, 3, 0, tzinfo=UTC)
    assert policy.retry_at(failed, 1, failed) == datetime(2026, 10, 26, 9, 0, tzinfo=UTC)  # winter time by then
    assert policy.retry_at(failed, 2, failed) == datetime(2026, 10, 30, 9, 0, tzinfo=UTC)
    assert policy.retry_at(failed, 3, failed) is None


def test_a_step_whose_day_has_passed_is_made_at_the_next_hour() -> None:
    policy = BillingPolicy()
    failed = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
    late = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    assert policy.retry_at(failed, 2, late) == datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
    assert policy.retry_at(failed, 2, late - timedelta(seconds=1)) == late


def test_on_business_days_only_retries_keep_weekends_and_holidays() -> None:
    policy = BillingPolicy(business_days_only=True, holidays=frozenset({date(2026, 12, 8)}))
    failed = datetime(2026, 12, 2, 3, 0, tzinfo=UTC)
    assert policy.retry_at(failed, 1, failed) == datetime(2026, 12, 7, 9, 0, tzinfo=UTC)  # not Saturday
    tuesday = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)
    assert policy.retry_at(tuesday, 2, tuesday) == datetime(2026, 12, 9, 9, 0, tzinfo=UTC)  # not the 8th
