"""Sends use to the broker as cars would: CloudEvents in binary mode, without numbers, at least once.

Records of one subject go to one partition (by CRC-32 of the key, as librdkafka does).
"""

import asyncio
import json
import zlib
from collections.abc import Iterable
from random import Random
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from aiokafka import AIOKafkaProducer

from caas_sandbox.clock import real_now
from caas_sandbox.usage.agreement import MILLION
from caas_sandbox.usage.calendar import instant_of
from caas_sandbox.usage.replay import Use

TOPIC = "caas.vehicle.usage.v1"
TYPE = "caas.vehicle.UsageReported.v1"
SOURCE = "vehicles"
_BATCHES_UNDER_WAY = 32
_BATCH_BYTES = 256 * 1024
_BREATH = 500
"""After so many records whoever else runs in this process gets a turn."""
DELIVERED_WITHIN_S = 60.0


class UsageTopic:
    """A producer of usage; use it as a context."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers, acks="all", max_batch_size=_BATCH_BYTES, linger_ms=5
        )
        self._open: dict[int, Any] = {}
        self._under_way: set[asyncio.Future[Any]] = set()
        self._partitions: list[int] = []
        self.sent = 0

    async def __aenter__(self) -> Self:
        await self._producer.start()
        self._partitions = sorted(await self._producer.partitions_for(TOPIC))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.stop()

    async def send(self, uses: Iterable[Use], seed: int = 0) -> None:
        """Send them all and wait until the broker has them. Raises KafkaError or TimeoutError when it has not."""
        dice = Random(f"{seed}:envelopes")
        for use in uses:
            await self._append(use, dice)
            self.sent += 1
            if self.sent % _BREATH == 0:
                await asyncio.sleep(0)
        for partition in list(self._open):
            await self._send_batch(partition)
        await self._delivered(self._under_way)

    async def _append(self, use: Use, dice: Random) -> None:
        key = use.subject_id.encode()
        partition = self._partitions[zlib.crc32(key) % len(self._partitions)]
        record = {"key": key, "value": body_of(use), "timestamp": None, "headers": headers_of(use, dice)}
        batch = self._open.setdefault(partition, None) or self._begin(partition)
        if batch.append(**record) is None:
            await self._send_batch(partition)
            self._begin(partition).append(**record)

    def _begin(self, partition: int) -> Any:
        self._open[partition] = batch = self._producer.create_batch()
        return batch

    async def _send_batch(self, partition: int) -> None:
        if len(self._under_way) >= _BATCHES_UNDER_WAY:
            await self._delivered(set(list(self._under_way)[:1]))
        batch = self._open.pop(partition)
        batch.close()
        future = await self._producer.send_batch(batch, TOPIC, partition=partition)
        self._under_way.add(future)

    async def _delivered(self, batches: set[asyncio.Future[Any]]) -> None:
        async with asyncio.timeout(DELIVERED_WITHIN_S):
            await asyncio.gather(*batches)
        self._under_way = {future for future in self._under_way if not future.done()}


def body_of(use: Use) -> bytes:
    """The body of a report of use."""
    whole, rest = divmod(use.quantity, MILLION)
    body = {
        "usage_id": use.usage_id,
        "subject_id": use.subject_id,
        "occurred_at": instant_of(use.at).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "quantity": f"{whole}.{rest:06}".rstrip("0").rstrip("."),
        "unit": use.unit,
    }
    if use.service_code is not None:
        body["service_code"] = use.service_code
    return json.dumps(body, separators=(",", ":")).encode()


def headers_of(use: Use, dice: Random) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0 attributes. A copy is the very same event, or the same use told in another event."""
    told_anew = use.copies > 1 and dice.random() < 0.5
    name = str(UUID(int=dice.getrandbits(128), version=4)) if told_anew else use.usage_id
    subject = use.subject_id.encode()
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", name.encode()),
        ("ce_source", SOURCE.encode()),
        ("ce_type", TYPE.encode()),
        ("ce_time", real_now().isoformat(timespec="microseconds").replace("+00:00", "Z").encode()),
        ("ce_subject", subject),
        ("ce_partitionkey", subject),
        ("content-type", b"application/json"),
    ]
