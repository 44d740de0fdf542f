"""The consumer: a FastStream batch subscriber that takes bytes and commits offsets after the database.

FastStream's defaults would lose messages (see docs/decisions/0001): the acknowledgement is ours, the reset is
`earliest`, no reply is ever sent, and a record whose headers do not decode still reaches us.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from caas_chassis.crashpoints import crash_point
from caas_chassis.database import TRANSIENT
from caas_chassis.processing import Processor, TooManyFailures
from caas_chassis.records import RawRecord
from caas_chassis.settings import ServiceSettings

HANDLING_LIMIT_S: Final = 30.0
METADATA_AGE_MS: Final = 10_000
"""Topics may be created after the service has started: how soon they are found."""
BULK_PART: Final = 1250
"""Records of bulk topics in one transaction: enough to spread its cost, few enough for others to be read meanwhile."""
START_BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_RETRY_PAUSE_S: Final = (0.05, 0.2, 1.0, 2.0, 5.0)

_log = structlog.get_logger(__name__)


class Consumer:
    """Reads the topics of a service in one consumer group, `caas-<service>`, and its bulk topics in another.

    The group for bulk is `caas-<service>-bulk`: a flood of records there keeps no other message waiting.
    """

    name = "consumer"

    def __init__(
        self, service: str, topics: Sequence[str], settings: ServiceSettings, bulk_topics: Sequence[str] = ()
    ) -> None:
        self._service = service
        self._topics = [topic for topic in topics if topic not in bulk_topics]
        self._bulk_topics = bulk_topics
        self._settings = settings
        self._processor: Processor | None = None
        self._broker: KafkaBroker | None = None
        self._starting: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._busy_since: dict[bool, float] = {}
        """Since when a batch is being applied, of ordinary topics (False) and of bulk topics (True)."""

    def use(self, processor: Processor) -> None:
        """What applies the records."""
        self._processor = processor

    @property
    def healthy(self) -> bool:
        """Connected, not stopped by a failure, and not trying to apply one batch for longer than allowed."""
        if self._failure is not None or self._broker is None:
            return False
        now = asyncio.get_running_loop().time()
        return all(now - since <= 2 * HANDLING_LIMIT_S for since in self._busy_since.values())

    @property
    def failure(self) -> str | None:
        """Why consuming has stopped for good, if it has."""
        return None if self._failure is None else str(self._failure)

    async def start(self) -> None:
        """Start in the background: the broker may come later, HTTP answers meanwhile."""
        self._starting = asyncio.create_task(self._start_when_possible(), name="consumer-start")

    async def stop(self) -> None:
        """Finish the batch in hand and leave the group."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting}, timeout=15.0)
        broker, self._broker = self._broker, None
        if broker is not None:
            await asyncio.wait_for(broker.stop(), HANDLING_LIMIT_S)

    async def _start_when_possible(self) -> None:
        attempt = 0
        while True:
            broker = self._build()
            try:
                await broker.start()
            except (KafkaError, OSError, TimeoutError) as error:
                pause = START_BACKOFF_S[min(attempt, len(START_BACKOFF_S) - 1)]
                _log.warning("broker_unreachable", error=str(error), again_in_s=pause)
                attempt += 1
                await broker.stop()
                await asyncio.sleep(pause)
            except asyncio.CancelledError:
                # Half started, it may be a member of the group already, and would hold partitions that nobody reads.
                await broker.stop()
                raise
            else:
                self._broker = broker
                _log.info("consuming", service=self._service, topics=[*self._topics, *self._bulk_topics])
                return

    def _build(self) -> KafkaBroker:
        broker = KafkaBroker(
            self._settings.kafka_bootstrap_servers,
            client_id=f"caas-{self._service}",
            allow_auto_create_topics=False,
            graceful_timeout=HANDLING_LIMIT_S,
            apply_types=False,
            consumer_only=True,
            logger=None,
            metadata_max_age_ms=METADATA_AGE_MS,
        )
        subscribe(broker, self._topics, self._service, self._settings, self._handle)
        if self._bulk_topics:
            subscribe(broker, self._bulk_topics, self._service, self._settings, self._handle_bulk, bulk=True)
        return broker

    async def _handle_bulk(self, message: KafkaMessage) -> None:
        await self._handle(message, bulk=True)

    async def _handle(self, message: KafkaMessage, *, bulk: bool = False) -> None:
        if self._failure is not None:
            await asyncio.sleep(_RETRY_PAUSE_S[-1])
            await message.nack()
            return
        self._busy_since.setdefault(bulk, asyncio.get_running_loop().time())
        if await self._apply_or_stop(message, bulk=bulk):
            del self._busy_since[bulk]
            crash_point("offset.before_commit")
            await message.ack()
            crash_point("offset.after_commit")
        else:
            await message.nack()

    async def _apply_or_stop(self, message: KafkaMessage, *, bulk: bool) -> bool:
        """An error that nobody foresaw stops the consumer, loudly: FastStream would pass the batch over."""
        try:
            return await self._apply(_raw_records(message.raw_message), bulk=bulk)
        except Exception as error:
            self._failure = error
            _log.critical("consumer_stopped", reason=f"{type(error).__name__}: {error}")
            await message.nack()
            raise

    async def _apply(self, records: Sequence[RawRecord], *, bulk: bool) -> bool:
        """True when all records are applied or parked; False when the database is away: read them again."""
        assert self._processor is not None
        for pause in _RETRY_PAUSE_S:
            try:
                async with asyncio.timeout(HANDLING_LIMIT_S):
                    if bulk:
                        await self._processor.process_in_parts(records, BULK_PART)
                    else:
                        await self._processor.process(records)
                return True
            except TooManyFailures as error:
                self._failure = error
                _log.critical("consumer_stopped", reason=str(error))
                return False
            except TRANSIENT as error:
                _log.warning("database_unavailable", error=f"{type(error).__name__}: {error}", again_in_s=pause)
                await asyncio.sleep(pause)
        return False


def subscribe(
    broker: KafkaBroker,
    topics: Sequence[str],
    service: str,
    settings: ServiceSettings,
    handle: Callable[[KafkaMessage], Awaitable[None]],
    *,
    bulk: bool = False,
) -> None:
    """Declare a subscriber of a service, with every setting that keeps messages from being lost."""
    group = f"{service}-bulk" if bulk else service
    broker.subscriber(
        *topics,
        batch=True,
        group_id=f"caas-{group}",
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.MANUAL,
        no_reply=True,
        max_records=settings.bulk_batch_size if bulk else settings.batch_size,
        group_instance_id=settings.consumer_instance and f"{group}-{settings.consumer_instance}",
        fetch_max_wait_ms=100,
        batch_timeout_ms=100,
        session_timeout_ms=10_000,
        max_poll_interval_ms=120_000,
        parser=_tolerant_parser,
        decoder=_undecoded,
    )(handle)


async def _tolerant_parser(records: Any, original: Callable[[Any], Awaitable[KafkaMessage]]) -> KafkaMessage:
    """FastStream decodes headers strictly and would lose the batch: let it see none, keep the real records.

    It is shown the first and the last record, which it names the batch after.
    """
    message = await original(tuple(dataclasses.replace(record, headers=()) for record in (records[0], records[-1])))
    message.raw_message = records
    return message


async def _undecoded(message: KafkaMessage) -> KafkaMessage:
    return message


def _raw_records(records: ConsumerRecord[Any, Any] | tuple[ConsumerRecord[Any, Any], ...]) -> list[RawRecord]:
    assert isinstance(records, tuple)
    return [RawRecord(r.topic, r.partition, r.offset, r.key, r.value or b"", _headers(r)) for r in records]


def _headers(record: ConsumerRecord[Any, Any]) -> list[tuple[str, bytes]]:
    """A header without a value is one with an empty value."""
    return [(name, value or b"") for name, value in record.headers]
