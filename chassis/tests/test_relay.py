"""Promise 3: what was published is sent, in order, whatever the broker, a competitor or a crash does."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from caas_chassis import outbox
from caas_chassis.cause import Cause
from caas_chassis.clock import BusinessClock
from caas_chassis.ids import new_id
from caas_chassis.partitions import create_partitions, drop_partitions
from caas_chassis.resending import resend_topic, unblock_stream
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase, StartKafka
from caas_chassis.topicadmin import create_topics
from caas_contracts import Topic
from chassis.tests.running import (
    a_name,
    a_runtime,
    eventually,
    eventually_equal,
    migrate,
    query,
    records_of,
    value,
)
from chassis.tests.toy_service import MIGRATIONS

SENT_ALL = """
SELECT NOT EXISTS (SELECT 1 FROM chassis.outbox o, chassis.relay_cursor c
    WHERE (o.horizon, o.position) > (c.horizon, c.position))
"""


def a_topic() -> Topic:
    return Topic(a_name("test.topic"), "key", "ota", ("orders",), ("ota",), partitions=2)


async def write(runtime: Runtime, topic: str, keys: Sequence[str], size: int = 20) -> None:
    async with runtime.transaction(Cause.of_person("test")) as tx:
        for key in keys:
            cause, now = Cause.of_person("test"), BusinessClock().now()
            tx.publish_entry(outbox.Entry(new_id(), topic, key, "t", b"x" * size, cause, now))


async def numbers(bootstrap: str, topic: str, key: str) -> list[int]:
    """The sequence numbers of a stream's records, as they lie on the topic, without watermarks."""
    records = [record for record in await records_of(bootstrap, topic) if record.key == key.encode()]
    return [int(dict(record.headers)["ce_sequence"]) for record in records]


@asynccontextmanager
async def relaying(*runtimes: Runtime) -> AsyncIterator[None]:
    for runtime in runtimes:
        await runtime.relay.start()
    try:
        yield
    finally:
        for runtime in runtimes:
            await runtime.relay.stop()
            await runtime.database.close()


async def a_producer(make_database: MakeDatabase, bootstrap: str) -> Runtime:
    return a_runtime(Service("orders", MIGRATIONS, {}), await make_database("toy", migrate), bootstrap)


async def set_limit(bootstrap: str, topic: str, max_bytes: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    change = {"max.message.bytes": str(max_bytes)}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=change)])
    await admin.close()


async def test_many_streams_are_sent_in_order_across_batches(make_database: MakeDatabase, broker: str) -> None:
    producer, topic = await a_producer(make_database, broker), a_topic()
    await create_topics(broker, [topic])
    for _ in range(5):
        await write(producer, topic.name, [f"k{n % 7}" for n in range(1000)])
    async with relaying(producer):
        await eventually_equal(True, producer.settings.database_url, SENT_ALL)
    for key in ("k0", "k6"):
        found = await numbers(broker, topic.name, key)
        assert found == list(range(1, len(found) + 1))


async def test_a_refused_record_blocks_its_stream_alone(make_database: MakeDatabase, broker: str) -> None:
    producer, topic = await a_producer(make_database, broker), a_topic()
    url = producer.settings.database_url
    await create_topics(broker, [topic])
    await set_limit(broker, topic.name, 2000)
    await write(producer, topic.name, ["small", "big", "small"])
    await write(producer, topic.name, ["big"], size=5000)
    await write(producer, topic.name, ["small", "big", "small"])
    async with relaying(producer):
        await eventually_equal(True, url, "SELECT count(*) = 1 FROM chassis.outbox_blocked")
        await eventually_equal(True, url, SENT_ALL)
    assert await numbers(broker, topic.name, "small") == [1, 2, 3, 4]
    assert await numbers(broker, topic.name, "big") == [1]
    assert await value(url, "SELECT count(*) FROM chassis.outbox WHERE type LIKE '%AlertRaised%'") == 1


async def test_a_blocked_stream_goes_on_when_the_broker_takes_it(make_database: MakeDatabase, broker: str) -> None:
    producer, topic = await a_producer(make_database, broker), a_topic()
    await create_topics(broker, [topic])
    await set_limit(broker, topic.name, 2000)
    await write(producer, topic.name, ["big"], size=5000)
    await write(producer, topic.name, ["big"])
    async with relaying(producer):
        await eventually_equal(1, producer.settings.database_url, "SELECT count(*) FROM chassis.outbox_blocked")
        await set_limit(broker, topic.name, 100_000)
        producer.relay._tried_at = 0.0
        await eventually_equal(0, producer.settings.database_url, "SELECT count(*) FROM chassis.outbox_blocked")
        await eventually_equal(0, producer.settings.database_url, "SELECT count(*) FROM chassis.outbox_resend")
    assert (await numbers(broker, topic.name, "big"))[-2:] == [1, 2]


async def test_a_missing_topic_holds_up_no_other_and_is_found_later(make_database: MakeDatabase, broker: str) -> None:
    producer, missing, topic = await a_producer(make_database, broker), a_topic(), a_topic()
    await create_topics(broker, [topic])
    await write(producer, missing.name, [f"k{n}" for n in range(50)])
    await write(producer, topic.name, ["k"])
    async with relaying(producer):
        await eventually_equal(True, producer.settings.database_url, SENT_ALL, within_s=20)
        assert await numbers(broker, topic.name, "k") == [1]
        await create_topics(broker, [missing])
        producer.relay._tried_at = 0.0
        await eventually_equal(0, producer.settings.database_url, "SELECT count(*) FROM chassis.outbox_blocked")
        await eventually_equal(0, producer.settings.database_url, "SELECT count(*) FROM chassis.outbox_resend")
    assert {record.key for record in await records_of(broker, missing.name)} >= {f"k{n}".encode() for n in range(50)}


async def test_an_operator_can_unblock_a_stream(toy: Harness) -> None:
    async with toy.transaction() as tx:
        await tx.execute("INSERT INTO chassis.outbox_blocked VALUES ('t', 'k', 7, 'too large')")
    async with toy.transaction() as tx:
        assert await unblock_stream("t", "k", "operator:ana", tx=tx)
        assert not await unblock_stream("t", "k", "operator:ana", tx=tx)
        assert await tx.fetchval("SELECT from_sequence FROM chassis.outbox_resend") == 7


async def test_rows_that_wait_for_a_broker_are_sent_when_it_is_back(
    make_database: MakeDatabase, start_kafka: StartKafka
) -> None:
    kafka, topic = start_kafka(), a_topic()
    await create_topics(kafka.bootstrap_servers, [topic])
    producer = await a_producer(make_database, kafka.bootstrap_servers)
    async with relaying(producer):
        await write(producer, topic.name, ["k"])
        await eventually_equal(True, producer.settings.database_url, SENT_ALL)
        await asyncio.to_thread(kafka.kill)
        for _ in range(20):
            await write(producer, topic.name, ["k"] * 10)
        await asyncio.sleep(1.0)
        assert not await value(producer.settings.database_url, SENT_ALL)
        await asyncio.to_thread(kafka.start, end_with_parent=True)
        await eventually_equal(True, producer.settings.database_url, SENT_ALL, within_s=60)
    found = await numbers(kafka.bootstrap_servers, topic.name, "k")
    assert list(dict.fromkeys(found)) == list(range(1, 202))


async def test_of_two_relays_one_sends_and_the_other_takes_over(make_database: MakeDatabase, broker: str) -> None:
    url, topic = await make_database("toy", migrate), a_topic()
    await create_topics(broker, [topic])
    relays = [a_runtime(Service("orders", MIGRATIONS, {}), url, broker) for _ in range(2)]
    async with relaying(*relays):
        await write(relays[0], topic.name, ["k"] * 500)
        await eventually_equal(True, url, SENT_ALL)
        assert await value(url, LEADERS) == 1
        await value(url, f"SELECT pg_terminate_backend(pid) FROM ({LEADER}) AS l")
        await write(relays[1], topic.name, ["k"] * 500)
        await eventually_equal(True, url, SENT_ALL)
        assert await value(url, LEADERS) == 1
    assert list(dict.fromkeys(await numbers(broker, topic.name, "k"))) == list(range(1, 1001))


LEADER = """
SELECT pid FROM pg_locks JOIN pg_database d ON d.oid = database
WHERE locktype = 'advisory' AND granted AND d.datname = current_database()
"""
LEADERS = f"SELECT count(*) FROM ({LEADER}) AS l"


async def test_a_topic_is_sent_again_from_an_instant_on(make_database: MakeDatabase, broker: str) -> None:
    producer, topic = await a_producer(make_database, broker), a_topic()
    await create_topics(broker, [topic])
    await write(producer, topic.name, ["k"] * 3)
    async with relaying(producer):
        await eventually_equal(True, producer.settings.database_url, SENT_ALL)
        async with producer.transaction(Cause.of_person("operator:ana")) as tx:
            await resend_topic(topic.name, tx.now - timedelta(hours=1), "operator:ana", tx=tx)

        async def sent_twice() -> bool:
            return await numbers(broker, topic.name, "k") == [1, 2, 3, 1, 2, 3]

        await eventually(sent_twice)


async def test_the_age_of_the_outbox_counts_what_is_not_sent(toy: Harness) -> None:
    assert await toy.runtime.relay.outbox_age_s() == 0.0
    await write(toy.runtime, "t", ["k"])
    await asyncio.sleep(0.05)
    assert await toy.runtime.relay.outbox_age_s() > 0.0


PARTITIONS = """
SELECT array_agg(relname::text ORDER BY 1) FROM pg_inherits JOIN pg_class ON oid = inhrelid
WHERE inhparent = 'chassis.outbox'::regclass AND relname <> 'outbox_default'
"""


async def test_partitions_of_three_weeks_exist_and_take_the_rows(toy: Harness) -> None:
    await write(toy.runtime, "t", ["k"])
    url = toy.runtime.settings.database_url
    assert len((await query(url, PARTITIONS))[0][0]) == 3
    assert await value(url, "SELECT count(*) FROM chassis.outbox_default") == 0


async def test_missing_partitions_are_created_once(toy: Harness) -> None:
    url = toy.runtime.settings.database_url
    before = list((await query(url, PARTITIONS))[0][0])
    await query(toy.owner_url, f"DROP TABLE chassis.{before[-1]}")
    async with toy.transaction() as tx:
        assert await create_partitions(tx=tx) == before[-1:]
        assert await create_partitions(tx=tx) == []


async def test_rows_that_came_too_early_for_their_partition_stay_in_the_default(toy: Harness) -> None:
    url = toy.runtime.settings.database_url
    first, *_ = (await query(url, PARTITIONS))[0][0]
    await query(toy.owner_url, f"DROP TABLE chassis.{first}")
    await write(toy.runtime, "t", ["k"])
    async with toy.transaction() as tx:
        assert await create_partitions(tx=tx) == []
    assert await value(url, "SELECT count(*) FROM chassis.outbox_default") == 1


async def test_partitions_younger_than_35_days_are_never_dropped(toy: Harness) -> None:
    async with toy.transaction() as tx:
        with pytest.raises(ValueError, match="too young"):
            await drop_partitions(older_than=timedelta(days=34), tx=tx)
        assert await drop_partitions(older_than=timedelta(days=35), tx=tx) == []


async def test_an_old_partition_is_dropped_when_all_its_rows_were_sent(toy: Harness) -> None:
    url = toy.runtime.settings.database_url
    (old,) = await query(url, "SELECT chassis.create_outbox_partition(current_date - 60) AS name")
    await write(toy.runtime, "t", ["k"])
    await query(url, "UPDATE chassis.outbox SET created_at = now() - interval '60 days'")
    async with toy.transaction() as tx:
        assert await drop_partitions(older_than=timedelta(days=40), tx=tx) == []
        await tx.execute("UPDATE chassis.relay_cursor SET horizon = 1000000000")
    async with toy.transaction() as tx:
        assert await drop_partitions(older_than=timedelta(days=40), tx=tx) == [old["name"]]
