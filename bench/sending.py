"""A bare pipelined, idempotent producer: what the bench sends commands with, and the limit of sending."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaProducer

from caas_chassis.producing import MAX_BATCH_BYTES

SEND_TIMEOUT_S: Final = 60.0

type KeyedRecord = tuple[bytes, bytes, list[tuple[str, bytes]]]
"""Key, body, headers."""


@asynccontextmanager
async def bare_producer(bootstrap_servers: str) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer with batches as large as the relay's."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        enable_idempotence=True,
        acks="all",
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=1024 * 1024,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await asyncio.wait_for(producer.stop(), SEND_TIMEOUT_S)


async def send_all(producer: AIOKafkaProducer, topic: str, records: Sequence[KeyedRecord]) -> None:
    """Hand over everything at once; returns when the broker has acknowledged all."""
    async with asyncio.timeout(SEND_TIMEOUT_S):
        sent = [await producer.send(topic, body, key=key, headers=headers) for key, body, headers in records]
        await asyncio.gather(*sent)
