"""The whole way of use: from a real broker to rows, by a process that is killed wherever it may die."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from caas_chassis.embedded.ports import free_port
from caas_chassis.testing.plugin import MakeDatabase
from caas_chassis.topicadmin import all_topics, create_topics
from caas_contracts.subscriptions import UsageReported
from services.billing.tests.builders import migrate
from services.billing.tests.usage_builders import ASubscription, Log, a_use

POINTS = (
    "handle.before_commit:UsageReported",
    "handle.after_commit:UsageReported",
    "offset.before_commit",
    "offset.after_commit",
)
SELECT_COUNTED = "SELECT usage_id FROM usage_event WHERE subscription_id = $1"
DEADLINE_S = 200.0
STOP_S = 40.0


@pytest.mark.timeout(300)
async def test_a_process_that_is_killed_at_every_point_counts_each_use_once(
    make_database: MakeDatabase, kafka_bootstrap: str, tmp_path: Path, chance: random.Random
) -> None:
    url = await make_database("billing", migrate)
    await create_topics(kafka_bootstrap, all_topics())
    subscription = ASubscription(uuid4(), started_at=datetime(2026, 1, 1, tzinfo=UTC))
    uses = [a_use(subscription) for _ in range(3000)]
    await _send(kafka_bootstrap, chance.sample(uses, 3000) + chance.sample(uses, 1000))
    crash_file = tmp_path / "crashes"
    crash_file.write_text("\n".join(POINTS))
    environment = _environment(url, kafka_bootstrap, crash_file)
    connection = await asyncpg.connect(url, timeout=20, command_timeout=60)
    try:
        await subscription.store(connection)
        async with asyncio.timeout(DEADLINE_S):
            for _ in POINTS:
                async with _billing(environment, tmp_path / "log") as process:
                    assert await process.wait() == -signal.SIGKILL
            async with _billing(environment, tmp_path / "log"):
                counted = await _wait_for(connection, subscription.subscription_id, 3000)
    finally:
        await connection.close(timeout=20)
    assert {row["usage_id"] for row in counted} == {use.usage_id for use in uses}
    assert sorted(crash_file.with_suffix(".died").read_text().split()) == sorted(POINTS)


async def _wait_for(connection: asyncpg.Connection, subscription_id: UUID, number: int) -> list[asyncpg.Record]:
    for _ in range(1200):
        counted = await connection.fetch(SELECT_COUNTED, subscription_id)
        if len(counted) >= number:
            return counted
        await asyncio.sleep(0.1)
    raise AssertionError(f"{number} were not counted within two minutes")


def _environment(url: str, bootstrap: str, crash_file: Path) -> dict[str, str]:
    nobody = "http://127.0.0.1:9"
    return {
        "CAAS_BILLING_DATABASE_URL": url,
        "CAAS_BILLING_HTTP_PORT": str(free_port()),
        "CAAS_BILLING_CONSUMER_INSTANCE": "usage-test",
        "CAAS_BILLING_BULK_BATCH_SIZE": "700",
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "CAAS_JWKS_URL": f"{nobody}/jwks",
        "CAAS_JWT_ISSUER": nobody,
        "CAAS_CRASH_FILE": str(crash_file),
    }


@asynccontextmanager
async def _billing(environment: Mapping[str, str], log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of billing, gone when the block ends."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "caas_billing",
            "serve",
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), STOP_S)


async def _send(bootstrap: str, uses: Sequence[UsageReported]) -> None:
    log = Log()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for use in uses:
            record = log.record(use)
            await producer.send(record.topic, record.value, key=record.key, headers=list(record.headers))
        await producer.flush()
    finally:
        await producer.stop()
