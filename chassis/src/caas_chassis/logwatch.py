"""Notices a log that shrank or started anew while we were away, and has it sent again (promise 4).

At the start, and then every 15 s, the end of each partition is compared with how far it was read. A log
that ends before that has lost records: its owner is asked for everything since it was last read.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from caas_chassis import metrics
from caas_chassis.cause import Cause
from caas_chassis.loops import PeriodicLoop
from caas_chassis.processing import OpenTransaction
from caas_contracts.operations import AlertKind
from caas_contracts.streams import COMMAND_TOPICS, ResendTopic
from caas_contracts.topics import TOPICS

EVERY_S: Final = 15.0
MARGIN: Final = timedelta(hours=1)
"""What was read last may have been written this much earlier, when we were behind."""
CHECKS_BEFORE_UNHEALTHY: Final = 3
_TIMEOUT_MS: Final = 10_000

SELECT_OFFSETS: Final = "SELECT topic, partition, next_offset, updated_at FROM chassis.inbox_offset"
RESET_OFFSET: Final = (
    "UPDATE chassis.inbox_offset SET next_offset = $3, updated_at = now() WHERE (topic, partition) = ($1, $2)"
)

type Log = tuple[str, int]
"""(topic, partition)."""

_log = structlog.get_logger(__name__)


class LogWatch(PeriodicLoop):
    """Compares the logs' ends with what was read of them."""

    name = "log-watch"

    def __init__(
        self, service: str, topics: Sequence[str], bootstrap_servers: str, transaction: OpenTransaction
    ) -> None:
        super().__init__(idle_s=EVERY_S)
        self._service = service
        self._topics = topics
        self._bootstrap_servers = bootstrap_servers
        self._transaction = transaction
        self._unreachable = 0
        self._standing = 0
        self._read_so_far = -1

    @property
    def healthy(self) -> bool:
        """The broker answers, and what it holds for us is being read: three checks in a row may differ."""
        running = self._task is not None and not self._task.done()
        return running and max(self._unreachable, self._standing) < CHECKS_BEFORE_UNHEALTHY

    async def run_once(self) -> bool:
        try:
            begins, ends = await self._log_limits()
        except (KafkaError, OSError, TimeoutError) as error:
            self._unreachable += 1
            _log.info("log_ends_unknown", error=str(error))
            return False
        self._unreachable = 0
        await self._compare(ends)
        await self._measure(begins, ends)
        return False

    async def _compare(self, ends: Mapping[Log, int]) -> None:
        async with self._transaction(Cause.of_person(self._service), ("logwatch",)) as tx:
            lost: dict[str, datetime] = {}
            for row in await tx.fetch(SELECT_OFFSETS):
                end = ends.get((row["topic"], row["partition"]))
                if end is not None and end < row["next_offset"]:
                    lost[row["topic"]] = min(lost.get(row["topic"], row["updated_at"]), row["updated_at"])
                    await tx.execute(RESET_OFFSET, row["topic"], row["partition"], end)
            for topic, since in lost.items():
                _log.error("log_shrank", topic=topic, read_until=since.isoformat())
                tx.alert(AlertKind.LOG_SHRANK, topic, "the log ends before what was read of it; asked for it again")
                for producer in self._producers(topic):
                    request = ResendTopic(
                        producer=producer, consumer=self._service, stream_topic=topic, since=since - MARGIN
                    )
                    tx.publish(request, topic=COMMAND_TOPICS[producer])

    async def _measure(self, begins: Mapping[Log, int], ends: Mapping[Log, int]) -> None:
        """Publish the lag, and notice when there is some and nothing is being read."""
        async with self._transaction(Cause.of_person(self._service), ("logwatch",)) as tx:
            read = {(row["topic"], row["partition"]): row["next_offset"] for row in await tx.fetch(SELECT_OFFSETS)}
        lag = dict.fromkeys(self._topics, 0)
        for log, end in ends.items():
            lag[log[0]] += max(0, end - max(read.get(log, 0), begins.get(log, 0)))
        for topic, records in lag.items():
            metrics.consumer_lag.labels(self._service, topic).set(records)
        read_so_far = sum(read.values())
        self._standing = self._standing + 1 if any(lag.values()) and read_so_far == self._read_so_far else 0
        self._read_so_far = read_so_far

    def _producers(self, topic: str) -> list[str]:
        declared = [known.producers for known in TOPICS if known.name == topic]
        return [producer for producers in declared for producer in producers if producer in COMMAND_TOPICS]

    async def _log_limits(self) -> tuple[dict[Log, int], dict[Log, int]]:
        logs = await existing_logs(self._bootstrap_servers, self._topics)
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap_servers, request_timeout_ms=_TIMEOUT_MS)
        try:
            await consumer.start()
            begins = await consumer.beginning_offsets(logs) if logs else {}
            ends = await consumer.end_offsets(logs) if logs else {}
        finally:
            await consumer.stop()
        return _by_log(begins), _by_log(ends)


async def existing_logs(bootstrap_servers: str, topics: Sequence[str]) -> list[TopicPartition]:
    """The partitions of those topics that exist. Raises KafkaError when no broker answers."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=_TIMEOUT_MS)
    try:
        await admin.start()
        known = await admin.describe_topics()
    finally:
        await admin.close()
    wanted = [topic for topic in known if topic["topic"] in topics]
    return [TopicPartition(topic["topic"], each["partition"]) for topic in wanted for each in topic["partitions"]]


def _by_log(offsets: Mapping[TopicPartition, int]) -> dict[Log, int]:
    return {(log.topic, log.partition): offset for log, offset in offsets.items()}
