"""The five services on `apache/kafka` and `postgres` containers: what they really publish keeps the contracts.

One purchase of each outcome is sold over the containers; then every record of every topic is read with a
bare client, as a subscriber would, and held against the declarations in `contracts`.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from caas_chassis.testing.plugin import BrokerContainers
from caas_contracts import MESSAGES, TOPICS, Envelope, Message, decode, read_envelope
from caas_contracts.streams import ResendStream, ResendTopic, StreamWatermark
from caas_local.demo import databases as db
from caas_local.demo.actors import Actors
from caas_local.demo.databases import Databases
from caas_local.demo.scenarios import SCENARIOS, Sale
from caas_local.layout import Layout
from caas_local.platform import Platform

WITHIN_S = 120.0
_DECIDED_BY_TIME = ("silent", "late_ack")


@dataclass(frozen=True)
class Read:
    """A record as a subscriber sees it."""

    topic: str
    key: str
    envelope: Envelope
    message: Message | None


@pytest.fixture
async def records(
    broker_containers: BrokerContainers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[Read]]:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker_containers.bootstrap_servers)
    monkeypatch.setenv("CAAS_POSTGRES_URL", broker_containers.postgres_url)
    platform = Platform(Layout.of(tmp_path, fixed_ports=False), print, temporary=True)
    try:
        await platform.start()
        await _sell_everything(platform)
        yield await _read_all(broker_containers.bootstrap_servers)
    finally:
        await platform.stop()


@pytest.mark.timeout(600)
async def test_everything_that_is_published_keeps_the_contracts(records: list[Read]) -> None:
    published = {type(read.message).__name__ for read in records}
    assert {"AuthorizePayment", "PaymentCaptured", "ServiceActivated", "InvoiceIssued", "PaymentVoided"} <= published
    for read in records:
        assert read.envelope.type in MESSAGES
        assert read.message is not None
        _keeps_its_declaration(read, read.message)
    assert _gaps(records) == {}


def _keeps_its_declaration(read: Read, message: Message) -> None:
    assert read.envelope.subject == read.key
    if isinstance(message, StreamWatermark | ResendStream | ResendTopic):
        return
    assert (read.topic, read.key) == (message.TOPIC.name, message.key)
    assert read.envelope.source in message.TOPIC.producers
    assert read.envelope.correlation_id
    assert read.envelope.traceparent


def _gaps(records: list[Read]) -> Mapping[tuple[str, str, str], list[int]]:
    """Streams whose numbers are not 1, 2, 3, … in the order of the log."""
    numbers: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for read in records:
        if read.envelope.sequence is not None:
            numbers[read.envelope.source, read.topic, read.key].append(read.envelope.sequence)
    return {stream: found for stream, found in numbers.items() if found != list(range(1, len(found) + 1))}


async def _sell_everything(platform: Platform) -> None:
    sales = [Sale(number, scenario) for number, scenario in enumerate(SCENARIOS, start=1)]
    databases = await Databases.open(platform.database_urls)
    try:
        async with httpx.AsyncClient(timeout=30.0) as client:
            actors = Actors(platform.layout, client)
            await actors.register(sales, lambda: None)
            sold = {await actors.buy(sale): sale for sale in sales}
            waited_for = {i for i, sale in sold.items() if sale.scenario.behaviour not in _DECIDED_BY_TIME}
            await _until_ended(databases, waited_for, sold)
            await databases.until_quiet(WITHIN_S)
    finally:
        await databases.close()


async def _until_ended(databases: Databases, waited_for: set[str], sold: Mapping[str, Sale]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            status: dict[str, Any] = {row["id"]: row["status"] for row in await databases.rows("orders", db.STATUSES)}
            if all(status.get(i) == sold[i].scenario.ends for i in waited_for):
                return
            await asyncio.sleep(0.3)


async def _read_all(bootstrap_servers: str) -> list[Read]:
    logs = [TopicPartition(topic.name, partition) for topic in TOPICS for partition in range(topic.partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(logs)
        await consumer.seek_to_beginning(*logs)
        ends = await consumer.end_offsets(logs)
        found: list[Read] = []
        async with asyncio.timeout(WITHIN_S):
            while any([await consumer.position(log) < ends[log] for log in logs]):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += [_as_read(record) for record in batch]
        return found
    finally:
        await consumer.stop()


def _as_read(record: Any) -> Read:
    envelope, body = read_envelope(record.headers, record.value)
    return Read(record.topic, record.key.decode(), envelope, decode(envelope.type, body))
