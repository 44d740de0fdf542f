"""The public images in containers behave like the embedded servers."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from caas_chassis.testing import containers
from caas_chassis.testing.plugin import BrokerContainers

DEADLINE_S = 30.0

# The first start of two images on a loaded machine takes longer than an ordinary test may.
pytestmark = pytest.mark.timeout(300)


async def test_a_message_goes_through_kafka_in_a_container(broker_containers: BrokerContainers) -> None:
    bootstrap, topic = broker_containers.bootstrap_servers, f"containers-{uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await asyncio.wait_for(admin.start(), DEADLINE_S)
    await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    await admin.close()

    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await asyncio.wait_for(producer.start(), DEADLINE_S)
    await asyncio.wait_for(producer.send_and_wait(topic, b"hello", key=b"k"), DEADLINE_S)
    await producer.stop()

    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=topic, auto_offset_reset="earliest")
    await asyncio.wait_for(consumer.start(), DEADLINE_S)
    consumer.subscribe([topic])
    record = await asyncio.wait_for(consumer.getone(), DEADLINE_S)
    await asyncio.wait_for(consumer.commit(), DEADLINE_S)
    committed = await consumer.committed(TopicPartition(topic, 0))
    await consumer.stop()
    assert (record.key, record.value, committed) == (b"k", b"hello", 1)


async def test_postgres_18_in_a_container_takes_a_transaction(broker_containers: BrokerContainers) -> None:
    connection = await asyncpg.connect(broker_containers.postgres_url, timeout=DEADLINE_S)
    async with connection.transaction():
        await connection.execute("CREATE TABLE proof AS SELECT generate_series(1, 3) AS n")
        assert await connection.fetchval("SELECT sum(n) FROM proof") == 6
    version = await connection.fetchval("SHOW server_version_num")
    await connection.close(timeout=DEADLINE_S)
    assert version.startswith("18")


def test_a_docker_that_does_not_answer_is_named_as_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert (containers.docker_problem() or "").startswith("Docker does not answer")


@pytest.mark.parametrize(("value", "required"), [("1", True), ("0", False), ("", False)])
def test_only_ci_requires_containers(monkeypatch: pytest.MonkeyPatch, value: str, required: bool) -> None:
    monkeypatch.setenv("CAAS_REQUIRE_CONTAINERS", value)
    assert containers.containers_required() is required
