"""The whole way over a real broker: outbox, relay, Kafka, consumer, inbox, effect."""

from caas_chassis.testing.plugin import MakeDatabase
from chassis.tests.running import a_pair, eventually_equal, publish, started
from chassis.tests.toy_service import an_activation


async def test_messages_cross_the_broker_once_and_in_order(make_database: MakeDatabase, broker: str) -> None:
    pair = await a_pair(make_database, broker)
    async with started(pair.ota, pair.orders):
        await publish(pair.orders, [an_activation(f"V-{n % 100}") for n in range(1000)])
        await eventually_equal(True, pair.ota_url, "SELECT count(*) = 1000 AND min(told) = 1 FROM applied")
