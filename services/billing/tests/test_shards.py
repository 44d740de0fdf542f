"""Storing usage and closing periods keep out of each other's shards (SUB-2, SUB-4)."""

import asyncio
from uuid import UUID

import pytest

from caas_billing.store.shards import SHARDS, lock_exclusive, lock_shared, shard_of
from caas_chassis.testing.harness import Harness

MOMENT_S = 0.2


@pytest.mark.parametrize("last_byte", [0, 1, 127, 255])
async def test_the_shard_is_the_last_byte_of_the_id_in_python_and_in_sql(billing: Harness, last_byte: int) -> None:
    subscription_id = UUID(int=(0xABCDEF << 8) | last_byte)
    async with billing.transaction() as tx:
        in_sql = await tx.fetchval("SELECT get_byte(uuid_send($1), 15)", subscription_id)
    assert shard_of(subscription_id) == in_sql == last_byte


async def test_whoever_closes_a_shard_waits_for_all_who_store_into_it(billing: Harness) -> None:
    closed = asyncio.Event()

    async def close() -> None:
        async with billing.transaction() as tx:
            await lock_exclusive(tx, 7)
            closed.set()

    async with billing.transaction() as one, billing.transaction() as other:
        await lock_shared(one, [7, 3, 7])
        await lock_shared(other, range(SHARDS))
        closing = asyncio.create_task(close())
        await asyncio.sleep(MOMENT_S)
        assert not closed.is_set()
    await asyncio.wait_for(closing, timeout=10)


async def test_whoever_stores_waits_for_the_shard_that_is_closed_and_for_no_other(billing: Harness) -> None:
    stored = asyncio.Event()

    async def store() -> None:
        async with billing.transaction() as tx:
            await lock_shared(tx, [7])
            stored.set()

    async with billing.transaction() as closer:
        await lock_exclusive(closer, 7)
        async with billing.transaction() as elsewhere:
            await asyncio.wait_for(lock_shared(elsewhere, [6, 8]), timeout=10)
        storing = asyncio.create_task(store())
        await asyncio.sleep(MOMENT_S)
        assert not stored.is_set()
    await asyncio.wait_for(storing, timeout=10)
