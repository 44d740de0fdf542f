"""The whole way over a real broker: outbox, relay, Kafka, consumer, inbox."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

from caas_chassis.cause import Cause
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.settings import ServiceSettings
from caas_chassis.testing.plugin import MakeDatabase
from caas_chassis.topicadmin import all_topics, create_topics
from chassis.tests.test_processing import migrate
from chassis.tests.toy_service import MIGRATIONS, a_service, an_activation


async def eventually(check: Callable[[], Awaitable[bool]], within_s: float = 20.0) -> None:
    """Wait until the awaited check is true."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not await check():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


async def test_messages_cross_the_broker_once_and_in_order(make_database: MakeDatabase, kafka_bootstrap: str) -> None:
    await create_topics(kafka_bootstrap, all_topics())
    url = await make_database("toy", migrate)
    asking_url = await make_database("toy", migrate)
    ota = Runtime(a_service(), ServiceSettings(database_url=url, kafka_bootstrap_servers=kafka_bootstrap))
    orders = Runtime(
        Service("orders", MIGRATIONS, {}),
        ServiceSettings(database_url=asking_url, kafka_bootstrap_servers=kafka_bootstrap),
    )
    await ota.start()
    await orders.start()
    try:
        async with orders.transaction(Cause.of_person("test")) as tx:
            for n in range(1000):
                tx.publish(an_activation(f"V-{n % 100}"))
        connection = await asyncpg.connect(url)

        async def all_told() -> bool:
            return bool(await connection.fetchval("SELECT count(*) = 1000 AND min(told) = 1 FROM applied"))

        await eventually(all_told)
        await connection.close()
    finally:
        await ota.stop()
        await orders.stop()
