"""Reported use counts once, in the period that it is billed in; what cannot count is kept with its reason (SUB-2)."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.operations import AlertRaised
from caas_contracts.subscriptions import UsageReported
from services.billing.tests.usage_builders import (
    NOVEMBER,
    OCTOBER,
    Log,
    a_plan,
    a_subscription,
    a_use,
    charged,
    uncharged,
)


@pytest.fixture
def log() -> Log:
    return Log()


async def test_use_is_stored_in_the_month_of_its_day(billing: Harness, log: Log) -> None:
    subscription = await a_subscription(billing)
    use = a_use(subscription)
    await billing.receive_records(log.record(use))
    (row,) = await charged(billing)
    assert (row["subscription_id"], row["usage_id"]) == (subscription.subscription_id, use.usage_id)
    assert (row["period"], row["used_on"], row["quantity"]) == (OCTOBER, date(2026, 10, 15), Decimal("12.5"))


async def test_copies_in_one_batch_in_later_ones_and_months_later_count_once(billing: Harness, log: Log) -> None:
    use = a_use(await a_subscription(billing))
    await billing.receive_records(*log.records(use, use, use))
    await billing.receive_records(log.record(use))
    before = await charged(billing)
    await billing.move_clock(timedelta(days=200))
    async with billing.owner() as owner:
        # What the chassis remembers of messages from outside is gone by then; so is the open period.
        await owner.execute("TRUNCATE chassis.inbox_seen")
        await owner.execute("UPDATE subscription_standing SET next_period = '2027-05-01'")
    await billing.receive_records(log.record(use))
    assert await charged(billing) == before
    assert len(before) == 1
    assert not await billing.parked()


async def test_use_leaves_nothing_in_the_memory_of_ids(billing: Harness, log: Log) -> None:
    await billing.receive_records(log.record(a_use(await a_subscription(billing))))
    async with billing.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM chassis.inbox_seen") == 0
        assert await tx.fetchval("SELECT next_offset FROM chassis.inbox_offset") == 2


# SUB-3: months end at midnight in Madrid, two hours before UTC's in summer, one in winter.
@pytest.mark.parametrize(
    ("occurred_at", "used_on"),
    [
        (datetime(2026, 9, 30, 21, 59, 59, 999999, UTC), date(2026, 9, 30)),
        (datetime(2026, 9, 30, 22, 0, 0, 0, UTC), date(2026, 10, 1)),
        (datetime(2026, 10, 31, 22, 59, 59, 999999, UTC), date(2026, 10, 31)),
        (datetime(2026, 10, 31, 23, 0, 0, 0, UTC), date(2026, 11, 1)),
        # The hour from 2 to 3 that comes twice on the night of 25 October, and its day's last instant.
        (datetime(2026, 10, 25, 0, 30, 0, 0, UTC), date(2026, 10, 25)),
        (datetime(2026, 10, 25, 1, 30, 0, 0, UTC), date(2026, 10, 25)),
        (datetime(2026, 10, 25, 22, 59, 59, 999999, UTC), date(2026, 10, 25)),
        # The night of 29 March, which has no hour from 2 to 3.
        (datetime(2026, 3, 28, 22, 59, 59, 0, UTC), date(2026, 3, 28)),
        (datetime(2026, 3, 28, 23, 0, 0, 0, UTC), date(2026, 3, 29)),
        (datetime(2026, 3, 29, 21, 59, 59, 0, UTC), date(2026, 3, 29)),
        (datetime(2026, 3, 29, 22, 0, 0, 0, UTC), date(2026, 3, 30)),
        (datetime(2024, 2, 29, 22, 59, 59, 0, UTC), date(2024, 2, 29)),
        (datetime(2024, 2, 29, 23, 0, 0, 0, UTC), date(2024, 3, 1)),
    ],
)
async def test_days_and_months_are_those_of_the_billing_time_zone(
    billing: Harness, log: Log, occurred_at: datetime, used_on: date
) -> None:
    subscription = await a_subscription(
        billing, started_at=datetime(2024, 1, 1, tzinfo=UTC), next_period=date(2024, 1, 1)
    )
    await billing.receive_records(log.record(a_use(subscription, occurred_at=occurred_at)))
    (row,) = await charged(billing)
    assert (row["used_on"], row["period"]) == (used_on, used_on.replace(day=1))


async def test_use_of_a_closed_period_is_billed_in_the_next_open_one(billing: Harness, log: Log) -> None:
    subscription = await a_subscription(billing, next_period=NOVEMBER)
    await billing.receive_records(log.record(a_use(subscription)))
    (row,) = await charged(billing)
    assert (row["period"], row["used_on"]) == (NOVEMBER, date(2026, 10, 15))


async def test_use_from_the_instant_of_the_end_on_and_before_the_start_is_kept_uncharged(
    billing: Harness, log: Log
) -> None:
    started_at, ended_at = datetime(2026, 10, 5, 8, tzinfo=UTC), datetime(2026, 10, 20, 8, tzinfo=UTC)
    subscription = await a_subscription(billing, started_at=started_at, ended_at=ended_at)
    moment = timedelta(microseconds=1)
    instants = [started_at - moment, started_at, ended_at - moment, ended_at]
    await billing.receive_records(*log.records(*(a_use(subscription, occurred_at=at) for at in instants)))
    assert sorted(row["occurred_at"] for row in await charged(billing)) == instants[1:3]
    reasons = {row["occurred_at"]: row["reason"] for row in await uncharged(billing)}
    assert reasons == {instants[0]: "before_start", instants[3]: "after_end"}  # SUB-7


async def test_use_that_comes_after_the_last_invoice_is_kept_uncharged(billing: Harness, log: Log) -> None:
    subscription = await a_subscription(billing, ended_at=datetime(2026, 10, 20, tzinfo=UTC), next_period=None)
    await billing.receive_records(log.record(a_use(subscription)))
    assert [row["reason"] for row in await uncharged(billing)] == ["no_period_left"]
    assert not await charged(billing)


async def test_a_copy_that_comes_when_the_service_has_ended_stays_charged(billing: Harness, log: Log) -> None:
    subscription = await a_subscription(billing)
    use = a_use(subscription)
    await billing.receive_records(log.record(use))
    async with billing.owner() as owner:
        await owner.execute("UPDATE subscription_standing SET ended_at = '2026-10-10Z', next_period = NULL")
    await billing.receive_records(log.record(use))
    assert len(await charged(billing)) == 1
    assert not await uncharged(billing)


async def test_a_copy_of_uncharged_use_stays_uncharged(billing: Harness, log: Log) -> None:
    subscription = await a_subscription(billing, ended_at=datetime(2026, 10, 10, tzinfo=UTC))
    use = a_use(subscription)
    await billing.receive_records(log.record(use))
    async with billing.owner() as owner:
        await owner.execute("UPDATE subscription_standing SET ended_at = '2026-10-20Z'")
    await billing.receive_records(log.record(use))
    assert not await charged(billing)
    assert len(await uncharged(billing)) == 1


async def test_use_of_an_unknown_subscription_waits_for_it_without_an_operator(billing: Harness, log: Log) -> None:
    subscription_id = uuid4()
    await billing.receive_records(*log.records(a_use(subscription_id), a_use(subscription_id)))
    assert [row["state"] for row in await billing.parked()] == ["retrying"] * 2
    assert not await billing.published(AlertRaised)
    await a_subscription(billing, subscription_id=subscription_id)
    await billing.skip_delays()
    await billing.retry_parked()
    assert len(await charged(billing)) == 2
    assert not await billing.parked()


async def test_use_of_a_subscription_that_never_comes_is_given_to_a_person(billing: Harness, log: Log) -> None:
    await billing.receive_records(log.record(a_use(uuid4())))
    for _ in range(8):
        await billing.skip_delays()
        await billing.retry_parked()
    (row,) = await billing.parked()
    assert (row["state"], row["reason"], row["attempts"]) == ("parked", "refused", 6)
    assert "unknown_subscription" in row["detail"]
    assert len(await billing.published(AlertRaised)) == 1


async def test_a_subject_that_is_no_id_and_a_vehicle_without_the_service_are_unknown(
    billing: Harness, log: Log
) -> None:
    await a_subscription(billing)
    await billing.receive_records(
        *log.records(a_use("VIN-0001"), a_use("VIN-0001", service_code="parking"), a_use("VIN-2", service_code="x"))
    )
    assert ["unknown_subscription" in row["detail"] for row in await billing.parked()] == [True] * 3


async def test_one_bad_event_costs_its_batch_nothing_but_itself(billing: Harness, log: Log) -> None:
    subscription = await a_subscription(billing)
    good = [a_use(subscription) for _ in range(300)]
    bad = a_use(subscription, unit="minutes")
    await billing.receive_records(*log.records(*good[:150], bad, *good[150:]))
    assert len(await charged(billing)) == 300
    (row,) = await billing.parked()
    assert (row["state"], row["reason"]) == ("parked", "refused")
    assert row["detail"].startswith("wrong_unit: ")
    # One transaction: all rows have the same creator.
    async with billing.transaction() as tx:
        assert await tx.fetchval("SELECT count(DISTINCT xmin::text) FROM usage_event") == 1
    (alert,) = await billing.published(AlertRaised)
    assert "wrong_unit" in alert.detail


async def test_a_crowd_of_bad_events_raises_one_alert(billing: Harness, log: Log) -> None:
    subscription = await a_subscription(billing)
    await billing.receive_records(*log.records(*(a_use(subscription, unit="minutes") for _ in range(40))))
    assert len(await billing.parked()) == 40
    (alert,) = await billing.published(AlertRaised)
    assert "40 of this kind" in alert.detail


async def test_the_unit_is_that_of_the_version_in_force_in_the_month_of_the_use(billing: Harness, log: Log) -> None:
    await a_plan(billing, "pilot", 1, "per_use", "km", date(2026, 1, 1))
    await a_plan(billing, "pilot", 2, "per_use", "minutes", NOVEMBER)
    subscription = await a_subscription(billing, plan_code="pilot")
    november = datetime(2026, 11, 3, tzinfo=UTC)
    await billing.receive_records(
        *log.records(
            a_use(subscription),
            a_use(subscription, unit="minutes"),
            a_use(subscription, occurred_at=november),
            a_use(subscription, occurred_at=november, unit="minutes"),
        )
    )
    assert [row["used_on"].month for row in await charged(billing)] in ([10, 11], [11, 10])
    assert len(await billing.parked()) == 2


async def test_a_version_older_than_that_agreed_to_decides_nothing(billing: Harness, log: Log) -> None:
    await a_plan(billing, "pilot", 1, "per_use", "km", date(2026, 1, 1))
    await a_plan(billing, "pilot", 2, "per_use", "minutes", NOVEMBER)
    subscription = await a_subscription(billing, plan_code="pilot", plan_version=2)
    await billing.receive_records(log.record(a_use(subscription, unit="minutes")))
    assert len(await charged(billing)) == 1


async def test_flat_plans_take_use_in_any_unit(billing: Harness, log: Log) -> None:
    await a_plan(billing, "flat", 1, "flat_monthly", None, date(2026, 1, 1))
    subscription = await a_subscription(billing, plan_code="flat")
    await billing.receive_records(*log.records(a_use(subscription), a_use(subscription, unit="minutes")))
    assert len(await charged(billing)) == 2


async def test_use_more_than_a_day_ahead_is_refused(billing: Harness, log: Log) -> None:
    subscription = await a_subscription(billing)
    now = billing.clock.now()
    await billing.receive_records(
        *log.records(
            a_use(subscription, occurred_at=now + timedelta(hours=23)),
            a_use(subscription, occurred_at=now + timedelta(hours=25)),
        )
    )
    assert len(await charged(billing)) == 1
    (row,) = await billing.parked()
    assert row["detail"].startswith("usage_in_the_future: ")


@pytest.mark.parametrize("change", [{"quantity": "12.6"}, {"occurred_at": datetime(2026, 10, 16, tzinfo=UTC)}])
@pytest.mark.parametrize("together", [True, False])
async def test_a_copy_that_says_something_else_is_parked_as_a_conflict(
    billing: Harness, log: Log, change: dict[str, object], together: bool
) -> None:
    use = a_use(await a_subscription(billing))
    other = use.model_copy(update=change)
    if together:
        await billing.receive_records(*log.records(use, other))
    else:
        await billing.receive_records(log.record(use))
        await billing.receive_records(*log.records(other))
    (row,) = await charged(billing)
    assert (row["quantity"], row["occurred_at"]) == (Decimal("12.5"), use.occurred_at)
    (parked,) = await billing.parked()
    assert parked["detail"].startswith("usage_conflict: ")


async def test_the_same_quantity_and_instant_written_otherwise_is_no_conflict(billing: Harness, log: Log) -> None:
    use = a_use(await a_subscription(billing))
    at_home = datetime.fromisoformat("2026-10-15T14:00:00+02:00")
    await billing.receive_records(
        *log.records(use, use.model_copy(update={"quantity": "12.500", "occurred_at": at_home}))
    )
    assert len(await charged(billing)) == 1
    assert not await billing.parked()


async def test_use_by_vehicle_and_service_belongs_to_the_subscription_that_ran_then(billing: Harness, log: Log) -> None:
    change = datetime(2026, 10, 10, tzinfo=UTC)
    first = await a_subscription(billing, ended_at=change)
    second = await a_subscription(billing, started_at=change + timedelta(days=2))
    await a_subscription(billing, vehicle_id="VIN-0002")
    await a_subscription(billing, service_code="parking")

    def use_on(day: int) -> UsageReported:
        return a_use("VIN-0001", service_code="highway-pilot", occurred_at=datetime(2026, 10, day, 12, tzinfo=UTC))

    await billing.receive_records(*log.records(*(use_on(day) for day in (9, 10, 11, 12, 13))))
    days = {(row["subscription_id"], row["used_on"].day) for row in await charged(billing)}
    assert days == {(first.subscription_id, 9), (second.subscription_id, 12), (second.subscription_id, 13)}
    kept = {(row["subscription_id"], row["occurred_at"].day, row["reason"]) for row in await uncharged(billing)}
    assert kept == {(first.subscription_id, 10, "after_end"), (first.subscription_id, 11, "after_end")}


async def test_a_copy_by_vehicle_finds_its_first_even_when_another_subscription_took_over(
    billing: Harness, log: Log
) -> None:
    first = await a_subscription(billing)
    by_id = a_use(first)
    by_vehicle = by_id.model_copy(update={"subject_id": "VIN-0001", "service_code": "highway-pilot"})
    await billing.receive_records(log.record(by_id))
    async with billing.owner() as owner:
        await owner.execute("UPDATE subscription_standing SET ended_at = '2026-10-12Z'")
    await a_subscription(billing, started_at=datetime(2026, 10, 12, tzinfo=UTC))
    await billing.receive_records(*log.records(by_vehicle, by_id))
    (row,) = await charged(billing)
    assert row["subscription_id"] == first.subscription_id
    assert not await uncharged(billing)


async def test_malformed_use_is_parked_and_the_rest_goes_through(billing: Harness, log: Log) -> None:
    subscription = await a_subscription(billing)
    good, bad = log.record(a_use(subscription)), log.record(a_use(subscription, quantity="0"))
    broken = [
        type(bad)(bad.topic, 0, 100, bad.key, bad.value.replace(b'"0"', b'"-1"'), bad.headers),
        type(bad)(bad.topic, 0, 101, bad.key, b"{", bad.headers),
        type(bad)(bad.topic, 0, 102, bad.key, bad.value, [h for h in bad.headers if h[0] != "ce_id"]),
        type(bad)(bad.topic, 0, 103, bad.key, bad.value.replace(b'"km"', b'"4111111111111111"'), bad.headers),
    ]
    await billing.receive_records(*broken, good)
    assert len(await charged(billing)) == 1
    assert [row["reason"] for row in await billing.parked()] == ["invalid"] * 4
    async with billing.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM chassis.parked WHERE value LIKE '%4111%'") == 0  # GW-6


async def test_numbered_and_structured_events_are_taken_like_all_others(billing: Harness, log: Log) -> None:
    subscription = await a_subscription(billing)
    numbered = [log.record(a_use(subscription), ce_sequence=str(n), ce_subject="x") for n in (7, 3, 7)]
    plain = log.record(a_use(subscription))
    context = b'{"specversion":"1.0","id":"1","source":"vehicles","type":"caas.vehicle.UsageReported.v1","data":'
    content_type = [("content-type", b"application/cloudevents+json")]
    structured = type(plain)(plain.topic, 0, 50, plain.key, context + plain.value + b"}", content_type)
    await billing.receive_records(*numbered, structured)
    assert len(await charged(billing)) == 4
    assert not await billing.parked()
