"""Reads a topic from its beginning to its end as it is now, outside any consumer group, for programs and reports."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from caas_chassis.records import RawRecord

DEADLINE_S: Final = 60.0
_POLL_MS: Final = 1000


async def first_offsets(bootstrap_servers: str, topic: str) -> dict[int, int]:
    """Where each partition's log begins; above 0 older records are gone. Raises as `read_topic` does."""
    async with asyncio.timeout(DEADLINE_S), _Reader(bootstrap_servers, topic) as reader:
        return {place.partition: offset for place, offset in (await reader.begins()).items()}


async def read_topic(bootstrap_servers: str, topic: str) -> AsyncIterator[list[RawRecord]]:
    """All records of a topic in pages, in order per partition.

    Raises KafkaError when the broker is away or has no such topic, TimeoutError when a page does not come within 60 s.
    """
    async with _Reader(bootstrap_servers, topic) as reader:
        remaining = await reader.ends()
        while remaining:
            async with asyncio.timeout(DEADLINE_S):
                page = await reader.page(remaining)
            if page:
                yield page


class _Reader:
    """A consumer of one topic, with deadlines."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=bootstrap_servers,
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        self._places: list[TopicPartition] = []

    async def __aenter__(self) -> "_Reader":
        async with asyncio.timeout(DEADLINE_S):
            try:
                await self._consumer.start()  # Without a group it is given every partition.
            except BaseException:
                await self._consumer.stop()
                raise
        self._places = sorted(self._consumer.assignment())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def begins(self) -> dict[TopicPartition, int]:
        offsets: dict[TopicPartition, int] = await self._consumer.beginning_offsets(self._places)
        return offsets

    async def ends(self) -> dict[TopicPartition, int]:
        """The offset behind the last record of each partition that has any."""
        begins, ends = await self.begins(), await self._consumer.end_offsets(self._places)
        return {place: end for place, end in ends.items() if end > begins[place]}

    async def page(self, remaining: dict[TopicPartition, int]) -> list[RawRecord]:
        """The next records before the ends; partitions that are finished are taken out of `remaining`."""
        found = await self._consumer.getmany(*remaining, timeout_ms=_POLL_MS)
        records = [record for batch in found.values() for record in batch]
        wanted = [r for r in records if r.offset < remaining[TopicPartition(r.topic, r.partition)]]
        for place in list(remaining):
            if await self._consumer.position(place) >= remaining[place]:
                del remaining[place]
        return [
            RawRecord(r.topic, r.partition, r.offset, r.key, r.value or b"", [(n, v or b"") for n, v in r.headers])
            for r in wanted
        ]
