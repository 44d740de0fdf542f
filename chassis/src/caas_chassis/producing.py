"""Sending records to the broker: pipelined, idempotent, acknowledged by all replicas, in order per partition.

An idempotent producer that once had a record refused fails on that partition for ever, and with the broker
down its sends never time out. So every send has a deadline, and after any error the producer is dropped and
a new one built: duplicates are possible then, overtaking is not.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTopicError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.partitioner import DefaultPartitioner

SEND_TIMEOUT_S: Final = 15.0
MAX_BATCH_BYTES: Final = 900 * 1024  # below the broker's default limit of 1 MiB for a batch
METADATA_TIMEOUT_S: Final = 2.0
_partition_of = DefaultPartitioner()
_TOPIC_REFUSED: Final = (UnknownTopicOrPartitionError, InvalidTopicError, TopicAuthorizationFailedError)


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A record to send. `partition` None means by the key, as every Kafka client computes it."""

    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    partition: int | None = None


class RecordsRefused(Exception):
    """The broker does not take one of these records: too large, or its topic unknown, invalid or forbidden.

    `topic` is set when nothing can be sent to that topic now.
    """

    def __init__(self, reason: str, topic: str | None = None) -> None:
        super().__init__(reason)
        self.topic = topic


class RecordSender:
    """Sends records; the order of those with one key is kept."""

    def __init__(self, bootstrap_servers: str, *, client_id: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None

    async def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Returns when the broker has acknowledged all. Raises KafkaError or TimeoutError: then none, some or all
        arrived, the producer is gone, and the caller sends again from the first. Raises RecordsRefused when
        trying again unchanged would not help: then, too, some of the others may have arrived."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                producer = await self._started()
                acknowledgements = await self._append(producer, records)
                await asyncio.gather(*acknowledgements)
        except MessageSizeTooLargeError as error:
            await self.close()
            raise RecordsRefused(f"{records[0].topic}: {type(error).__name__}") from error
        except _TOPIC_REFUSED as error:
            await self.close()
            only = records[0].topic if len({record.topic for record in records}) == 1 else None
            raise RecordsRefused(f"{records[0].topic}: {type(error).__name__}", only) from error
        except BaseException:
            await self.close()
            raise

    async def partition_of(self, topic: str, key: bytes) -> int:
        """The partition that records of this key go to. Raises RecordsRefused when the topic is unknown."""
        async with asyncio.timeout(SEND_TIMEOUT_S):
            return await self._choose(await self._started(), topic, key)

    async def close(self) -> None:
        """Drop the producer; what it has not sent is sent again from the outbox."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                await asyncio.wait_for(producer.stop(), 2.0)
            except (TimeoutError, KafkaError):
                return  # It could not flush: its rows are not marked as sent, a new producer sends them again.

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap_servers,
                client_id=self._client_id,
                enable_idempotence=True,
                acks="all",
                max_batch_size=MAX_BATCH_BYTES,
                max_request_size=1024 * 1024,
                request_timeout_ms=10_000,
                metadata_max_age_ms=30_000,
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def _append(
        self, producer: AIOKafkaProducer, records: Sequence[OutgoingRecord]
    ) -> list[asyncio.Future[object]]:
        by_partition: dict[tuple[str, int], list[OutgoingRecord]] = {}
        chosen: dict[tuple[str, bytes], int] = {}
        for record in records:
            place = (record.topic, record.key)
            if record.partition is not None:
                partition = record.partition
            elif place in chosen:
                partition = chosen[place]
            else:
                partition = chosen[place] = await self._choose(producer, record.topic, record.key)
            by_partition.setdefault((record.topic, partition), []).append(record)
        acknowledgements: list[asyncio.Future[object]] = []
        for (topic, partition), group in by_partition.items():
            acknowledgements += await _send_group(producer, topic, partition, group)
        return acknowledgements

    async def _choose(self, producer: AIOKafkaProducer, topic: str, key: bytes) -> int:
        known = producer.client.cluster.partitions_for_topic(topic)
        if known is None:
            known = await _ask_for_partitions(producer, topic)
        if not known:
            raise RecordsRefused(f"{topic}: {UnknownTopicOrPartitionError.__name__}", topic)
        partitions = sorted(known)
        return int(_partition_of(key, partitions, partitions))


async def _ask_for_partitions(producer: AIOKafkaProducer, topic: str) -> set[int]:
    """aiokafka would wait for an unknown topic as long as for an answer, and all other streams with it."""
    deadline = asyncio.get_running_loop().time() + METADATA_TIMEOUT_S
    await producer.client.add_topic(topic)
    while True:
        if not await producer.client.force_metadata_update():
            raise KafkaConnectionError("no broker says which topics there are")
        found: set[int] = producer.client.cluster.partitions_for_topic(topic) or set()
        if found or asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(0.1)  # A topic that was just created has no leader yet.


async def _send_group(
    producer: AIOKafkaProducer, topic: str, partition: int, group: Sequence[OutgoingRecord]
) -> list[asyncio.Future[object]]:
    acknowledgements = []
    batch = producer.create_batch()
    for record in group:
        headers = list(record.headers)
        if batch.append(key=record.key, value=record.value, timestamp=None, headers=headers) is None:
            acknowledgements.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            if batch.append(key=record.key, value=record.value, timestamp=None, headers=headers) is None:
                raise MessageSizeTooLargeError(f"{topic}: a record of {len(record.value)} bytes fits no batch")
    acknowledgements.append(await producer.send_batch(batch, topic, partition=partition))
    return acknowledgements
