"""Whatever runs at once, dies or is delivered again, each use is stored once, and is counted by a close or late."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from caas_billing.store.shards import lock_exclusive, shard_of
from caas_chassis.cause import Cause
from caas_chassis.database import TRANSIENT
from caas_chassis.testing.harness import Harness
from caas_contracts.subscriptions import UsageReported
from services.billing.tests.usage_builders import (
    NOVEMBER,
    OCTOBER,
    Log,
    a_subscription,
    a_use,
    charged,
    uncharged,
)

COUNT_OPEN = """
SELECT coalesce(array_agg(usage_id), '{}') FROM usage_event WHERE subscription_id = $1 AND period = $2
"""
CLOSE = "UPDATE subscription_standing SET next_period = $2 WHERE subscription_id = $1"

FUSE = """
CREATE SEQUENCE fuse;
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF nextval('fuse') <= 3 THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER dies AFTER INSERT ON usage_event FOR EACH STATEMENT EXECUTE FUNCTION die();
"""
MID_NOVEMBER = datetime(2026, 11, 15, tzinfo=UTC)
INSTANTS = st.lists(
    st.sampled_from([datetime(2026, month, day, 12, tzinfo=UTC) for month in (10, 11) for day in (2, 14, 15, 16)]),
    min_size=1,
    max_size=15,
)


async def close_october(billing: Harness, subscription_id: UUID, pause_s: float) -> set[UUID]:
    """As the cycle does it: alone on the shard, it counts the period's use and moves the subscription on."""
    async with billing.runtime.transaction(Cause.of_person("operator:test")) as tx:
        await lock_exclusive(tx, shard_of(subscription_id))
        counted = await tx.fetchval(COUNT_OPEN, subscription_id, OCTOBER)
        await asyncio.sleep(pause_s)
        await tx.execute(CLOSE, subscription_id, NOVEMBER)
    assert isinstance(counted, list)
    return set(counted)


async def test_use_that_meets_a_close_is_counted_by_it_or_is_late(billing: Harness, chance: random.Random) -> None:
    log, met = Log(), 0
    for _ in range(40):
        subscription = await a_subscription(billing)
        uses = [a_use(subscription) for _ in range(30)]

        async def ingest(uses: Sequence[UsageReported] = uses) -> None:
            for start in range(0, 30, 3):
                await billing.receive_records(*log.records(*uses[start : start + 3]))

        async def close(subscription_id: UUID = subscription.subscription_id) -> set[UUID]:
            await asyncio.sleep(chance.uniform(0, 0.03))
            return await close_october(billing, subscription_id, chance.uniform(0, 0.01))

        _, counted = await asyncio.wait_for(asyncio.gather(ingest(), close()), timeout=60)
        rows = [row for row in await charged(billing) if row["subscription_id"] == subscription.subscription_id]
        in_time = {row["usage_id"] for row in rows if row["period"] == OCTOBER}
        late = {row["usage_id"] for row in rows if row["period"] == NOVEMBER}
        assert in_time == counted
        assert in_time | late == {use.usage_id for use in uses}
        met += bool(in_time and late)
    assert met >= 5, "the closes never fell between the batches"


async def test_copies_in_concurrent_batches_count_once(billing: Harness, chance: random.Random) -> None:
    uses = [a_use(await a_subscription(billing)) for _ in range(60)]
    records = Log().records(*uses)
    shuffled = [chance.sample(records, len(records)) for _ in range(8)]
    await asyncio.wait_for(asyncio.gather(*(billing.receive_records(*batch) for batch in shuffled)), timeout=60)
    assert {row["usage_id"] for row in await charged(billing)} == {use.usage_id for use in uses}
    assert not await billing.parked()


async def test_a_transaction_that_dies_after_it_stored_leaves_nothing_and_is_done_again(billing: Harness) -> None:
    subscription = await a_subscription(billing)
    records = Log().records(*(a_use(subscription) for _ in range(20)))
    async with billing.owner() as owner:
        await owner.execute(FUSE)
    for _ in range(3):
        with pytest.raises(TRANSIENT):
            await billing.receive_records(*records)
        assert not await charged(billing)
    await billing.receive_records(*records)
    await billing.receive_records(*records)
    assert len(await charged(billing)) == 20


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_whatever_is_shuffled_doubled_and_batched_gives_the_same_rows(
    billing: Harness, data: st.DataObject
) -> None:
    async with billing.owner() as owner:
        await owner.execute(
            "SET session_replication_role = replica; TRUNCATE subscription, usage_event, uncharged_usage CASCADE"
        )
    first = await a_subscription(billing)
    second = await a_subscription(billing, vehicle_id="VIN-2", next_period=NOVEMBER, ended_at=MID_NOVEMBER)
    uses = [a_use(data.draw(st.sampled_from([first, second])), occurred_at=at) for at in data.draw(INSTANTS)]
    uses += [
        use.model_copy(update={"subject_id": "VIN-2", "service_code": "highway-pilot"})
        for use in uses
        if use.subject_id == str(second.subscription_id) and data.draw(st.booleans())
    ]
    doubled = data.draw(st.permutations(uses + data.draw(st.lists(st.sampled_from(uses), max_size=10))))
    log = Log()
    while doubled:
        size = data.draw(st.integers(1, 12))
        await billing.receive_records(*log.records(*doubled[:size]))
        doubled = doubled[size:]

    kept = {row["usage_id"]: (row["subscription_id"], row["period"]) for row in await charged(billing)}
    free = {row["usage_id"]: (row["subscription_id"], None) for row in await uncharged(billing)}
    expected = {
        use.usage_id: _where(
            use, second.subscription_id if use.service_code else UUID(use.subject_id), second.subscription_id
        )
        for use in uses
    }
    assert kept | free == expected
    assert not kept.keys() & free.keys()


def _where(use: UsageReported, subscription_id: UUID, ended: UUID) -> tuple[UUID, date | None]:
    """An independent word on where use belongs: instants here are far from midnight."""
    if subscription_id == ended and use.occurred_at >= MID_NOVEMBER:
        return subscription_id, None
    own = use.occurred_at.date().replace(day=1)
    return subscription_id, max(own, NOVEMBER if subscription_id == ended else OCTOBER)
