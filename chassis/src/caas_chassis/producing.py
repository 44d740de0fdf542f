"""Sending records to the broker: pipelined, idempotent, acknowledged by all replicas, in order per partition.

An idempotent producer that once had a record refused fails on that partition for ever, and with the broker
down its sends never time out. So every send has a deadline, and after any error the producer is dropped and
a new one built: duplicates are possible then, overtaking is not.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError
from aiokafka.partitioner import DefaultPartitioner

SEND_TIMEOUT_S: Final = 15.0
MAX_BATCH_BYTES: Final = 900 * 1024  # below the broker's default limit of 1 MiB for a batch
_partition_of = DefaultPartitioner()


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A record to send. `partition` None means by the key, as every Kafka client computes it."""

    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    partition: int | None = None


class RecordRefused(Exception):
    """The broker will never take this record (too large, topic unknown): its stream has to wait for a person."""


class RecordSender:
    """Sends records; the order of those with one key is kept."""

    def __init__(self, bootstrap_servers: str, *, client_id: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None

    async def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Returns when the broker has acknowledged all. Raises KafkaError or TimeoutError: then none, some or all
        arrived, the producer is gone, and the caller sends again from the first. Raises RecordRefused when a
        single record was given and the broker will never take it."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                producer = await self._started()
                acknowledgements = await self._append(producer, records)
                await asyncio.gather(*acknowledgements)
        except (MessageSizeTooLargeError, UnknownTopicOrPartitionError) as error:
            await self.close()
            if len(records) == 1:
                raise RecordRefused(f"{records[0].topic}: {type(error).__name__}") from error
            raise
        except BaseException:
            await self.close()
            raise

    async def partition_of(self, topic: str, key: bytes) -> int:
        """The partition that records of this key go to. Raises KafkaError when the topic is unknown."""
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
            known = await producer.partitions_for(topic)
        if not known:
            raise UnknownTopicOrPartitionError(topic)
        partitions = sorted(known)
        return int(_partition_of(key, partitions, partitions))


async def _send_group(
    producer: AIOKafkaProducer, topic: str, partition: int, group: Sequence[OutgoingRecord]
) -> list[asyncio.Future[object]]:
    acknowledgements = []
    batch = producer.create_batch()
    now_ms = int(time.time() * 1000)
    for record in group:
        headers = list(record.headers)
        if batch.append(key=record.key, value=record.value, timestamp=now_ms, headers=headers) is None:
            acknowledgements.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            if batch.append(key=record.key, value=record.value, timestamp=now_ms, headers=headers) is None:
                raise MessageSizeTooLargeError(f"{topic}: a record of {len(record.value)} bytes fits no batch")
    acknowledgements.append(await producer.send_batch(batch, topic, partition=partition))
    return acknowledgements
