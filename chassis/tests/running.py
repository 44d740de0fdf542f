"""Services that run in a test: the toy, and one that gives it work, on real databases and a real broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient

from caas_chassis.cause import Cause
from caas_chassis.logwatch import existing_logs
from caas_chassis.migrate import apply_migrations
from caas_chassis.runtime import CHASSIS_MIGRATIONS, Runtime
from caas_chassis.service import Service
from caas_chassis.settings import ServiceSettings
from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts import Message
from chassis.tests.toy_service import MIGRATIONS, a_service


async def migrate(url: str) -> None:
    """The schema of the chassis and the toy."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await apply_migrations(connection, [CHASSIS_MIGRATIONS, MIGRATIONS])
    finally:
        await connection.close()


async def query(url: str, sql: str, *args: object) -> list[asyncpg.Record]:
    """The rows of one statement on a connection of its own."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetch(sql, *args)
    finally:
        await connection.close()


async def value(url: str, sql: str, *args: object) -> object:
    """The first value of one statement."""
    return (await query(url, sql, *args))[0][0]


async def eventually(check: Callable[[], Awaitable[bool]], within_s: float = 30.0) -> None:
    """Wait until the awaited check is true."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not await check():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


async def eventually_equal(expected: object, url: str, sql: str, *args: object, within_s: float = 30.0) -> None:
    """Wait until the first value of a statement is the expected one; fail showing what it was last."""
    deadline = asyncio.get_running_loop().time() + within_s
    while (found := await value(url, sql, *args)) != expected:
        assert asyncio.get_running_loop().time() < deadline, f"{found!r} instead of {expected!r}: {sql}"
        await asyncio.sleep(0.05)


def a_name(prefix: str) -> str:
    """A name that no other test uses: all tests share one broker."""
    return f"{prefix}-{uuid4().hex[:8]}"


def a_runtime(service: Service, url: str, bootstrap: str) -> Runtime:
    """A process of a service, not started."""
    return Runtime(service, ServiceSettings(database_url=url, kafka_bootstrap_servers=bootstrap))


@asynccontextmanager
async def started(*runtimes: Runtime) -> AsyncIterator[None]:
    """Runs the services as long as the block lasts."""
    for runtime in runtimes:
        await runtime.start()
    try:
        yield
    finally:
        for runtime in runtimes:
            await runtime.stop()


async def publish(runtime: Runtime, messages: Sequence[Message]) -> None:
    """Publish in one transaction."""
    async with runtime.transaction(Cause.of_person("test")) as tx:
        for message in messages:
            tx.publish(message)


@dataclass(frozen=True, slots=True)
class Pair:
    """Orders, which only publishes, and the toy in the place of ota, which applies."""

    orders: Runtime
    ota: Runtime
    orders_url: str
    ota_url: str


async def a_pair(make_database: MakeDatabase, bootstrap: str) -> Pair:
    """Both, each with its database, not started."""
    orders_url, ota_url = await make_database("toy", migrate), await make_database("toy", migrate)
    orders = a_runtime(Service("orders", MIGRATIONS, {}), orders_url, bootstrap)
    return Pair(orders, a_runtime(a_service(), ota_url, bootstrap), orders_url, ota_url)


async def send_record(
    bootstrap: str, topic: str, value: bytes | None, headers: Sequence[tuple[str, bytes]], key: bytes = b"k"
) -> None:
    """One record of a foreign producer."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, key=key, headers=list(headers))
    finally:
        await producer.stop()


async def records_of(bootstrap: str, topic: str) -> list[ConsumerRecord[bytes, bytes]]:
    """Everything that a topic holds now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        logs = await existing_logs(bootstrap, [topic])
        consumer.assign(logs)
        await consumer.seek_to_beginning(*logs)
        ends = await consumer.end_offsets(logs)
        found: list[ConsumerRecord[bytes, bytes]] = []
        while any([await consumer.position(log) < end for log, end in ends.items()]):
            batches = await consumer.getmany(timeout_ms=1000)
            found += [record for records in batches.values() for record in records]
        return found
    finally:
        await consumer.stop()


async def delete_topics(bootstrap: str, *topics: str) -> None:
    """Delete topics with all that they hold."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics(list(topics))
    finally:
        await admin.close()
