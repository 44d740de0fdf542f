"""Promise 4: what the broker lost is noticed, even the last message or the whole log, and sent again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from caas_chassis.audit import DifferenceKind, audit_streams
from caas_chassis.runtime import Runtime
from caas_chassis.testing.plugin import MakeDatabase, StartKafka
from caas_chassis.topicadmin import all_topics, create_topics
from caas_contracts.topics import OTA_COMMANDS
from chassis.tests.running import (
    Pair,
    a_name,
    a_pair,
    delete_topics,
    eventually_equal,
    publish,
    query,
    started,
    value,
)
from chassis.tests.test_streams import lose
from chassis.tests.toy_service import an_activation

COUNT = "SELECT count(*) FROM applied WHERE vehicle_id = $1"


async def test_a_lost_last_message_is_noticed_by_the_watermark(make_database: MakeDatabase, broker: str) -> None:
    pair, vehicle = await a_pair(make_database, broker), a_name("V")
    await lose(pair, vehicle, lost=3)
    async with started(pair.ota, pair.orders):
        await eventually_equal(3, pair.ota_url, COUNT, vehicle)
    assert await value(pair.ota_url, "SELECT count(*) FROM chassis.parked") == 0


async def test_a_log_that_was_deleted_and_created_anew_is_sent_again(
    make_database: MakeDatabase, start_kafka: StartKafka
) -> None:
    bootstrap = start_kafka().bootstrap_servers
    await create_topics(bootstrap, all_topics())
    pair = await a_pair(make_database, bootstrap)
    async with started(pair.ota, pair.orders):
        await publish(pair.orders, [an_activation("V-1") for _ in range(5)])
        await eventually_equal(5, pair.ota_url, COUNT, "V-1")
    await lose_unread(pair, bootstrap)
    pair = await restarted(pair, bootstrap)
    async with started(pair.ota, pair.orders):
        await eventually_equal(8, pair.ota_url, COUNT, "V-1", within_s=60)
    alerts = "SELECT count(*) FROM chassis.outbox WHERE payload LIKE '%log_shrank%'::bytea"
    assert await value(pair.ota_url, alerts) == 1


async def lose_unread(pair: Pair, bootstrap: str) -> None:
    """Three more messages reach the broker, which then loses its log."""
    orders = await restarted(pair, bootstrap)
    async with started(orders.orders):
        await publish(orders.orders, [an_activation("V-1") for _ in range(3)])
        await asyncio.sleep(1.0)
    await delete_topics(bootstrap, OTA_COMMANDS.name)
    await asyncio.sleep(1.0)
    await create_topics(bootstrap, [OTA_COMMANDS])
    # As in a new process that finds no stream that was active lately: no watermark helps.
    await query(pair.orders_url, "UPDATE chassis.outbox SET created_at = now() - interval '20 minutes'")


async def restarted(pair: Pair, bootstrap: str) -> Pair:
    """The same services as new processes."""
    return Pair(
        Runtime(pair.orders.service, pair.orders.settings),
        Runtime(pair.ota.service, pair.ota.settings),
        pair.orders_url,
        pair.ota_url,
    )


@pytest.fixture
async def pair(make_database: MakeDatabase) -> AsyncIterator[Pair]:
    """Both services without a broker."""
    pair = await a_pair(make_database, "127.0.0.1:9")
    yield pair
    await pair.orders.database.close()
    await pair.ota.database.close()


async def audit(pair: Pair) -> list[tuple[DifferenceKind, int, int, int]]:
    async with pair.orders.reading() as producer_tx, pair.ota.reading() as consumer_tx:
        found = await audit_streams(producer_tx, consumer_tx, producer="orders", topics=[OTA_COMMANDS.name])
    return [(one.kind, one.published, one.applied, one.parked) for one in found]


async def test_the_audit_finds_nothing_where_all_was_applied(pair: Pair) -> None:
    await publish(pair.orders, [an_activation("V-1")])
    await query(
        pair.ota_url,
        "INSERT INTO chassis.inbox_position VALUES ('orders', 'caas.ota.commands.v1', 'V-1', 1), ('x', 'y', 'z', 9)",
    )
    assert await audit(pair) == []


async def test_the_audit_finds_what_was_never_applied(pair: Pair) -> None:
    await publish(pair.orders, [an_activation("V-1"), an_activation("V-1")])
    assert await audit(pair) == [(DifferenceKind.BEHIND, 2, 0, 0)]


async def test_the_audit_finds_a_producer_that_lost_its_newest_rows(pair: Pair) -> None:
    sql = "INSERT INTO chassis.inbox_position VALUES ('orders', 'caas.ota.commands.v1', 'V-1', 7)"
    await query(pair.ota_url, sql)
    assert await audit(pair) == [(DifferenceKind.AHEAD, 0, 7, 0)]
