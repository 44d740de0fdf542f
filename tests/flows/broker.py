"""A broker in memory: it keeps the order within a stream for each consumer, and promises nothing else.

What it carries are the rows of the services' outboxes with their real envelopes.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from caas_chassis.ids import new_id
from caas_chassis.records import RawRecord, Stream
from caas_chassis.relay import READ
from caas_chassis.runtime import Runtime
from caas_contracts import Envelope, Message
from caas_contracts.envelope import rfc3339

_AT_ONCE = 10_000

type Pick = tuple[int, int]
"""Which of the streams that have something comes next, and how often the record is delivered."""


@dataclass
class _Log:
    """One stream as one consumer sees it."""

    records: list[RawRecord] = field(default_factory=list)
    position: int = 0

    @property
    def waiting(self) -> int:
        return len(self.records) - self.position


class Broker:
    """`readers` says which topics each consumer reads."""

    def __init__(self, readers: Mapping[str, Sequence[str]]) -> None:
        self._readers = {consumer: frozenset(topics) for consumer, topics in readers.items()}
        self._logs: dict[str, dict[Stream, _Log]] = {consumer: {} for consumer in readers}
        self._cursors: defaultdict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        self._offsets = count(1)

    async def collect(self, runtime: Runtime) -> int:
        """Take what a service has published since the last time, as its relay reads it."""
        producer = runtime.service.name
        async with runtime.database.connection() as connection:
            rows = await connection.fetch(READ, *self._cursors[producer], _AT_ONCE)
        for row in rows:
            self._cursors[producer] = (row["horizon"], row["position"])
            envelope = Envelope(
                id=str(row["id"]),
                source=producer,
                type=row["type"],
                time=rfc3339(row["occurred_at"]),
                subject=row["aggregateid"],
                correlation_id=row["correlationid"],
                causation_id=row["causationid"],
                sequence=row["sequence"],
                traceparent=row["traceparent"],
            )
            self._append(row["aggregatetype"], envelope, row["payload"])
        return len(rows)

    def send(self, message: Message, source: str) -> None:
        """A message from outside, which has no number."""
        name = str(new_id())
        envelope = Envelope(name, source, message.TYPE, "", message.key, name, "")
        self._append(message.TOPIC.name, envelope, message.to_json())

    def waiting(self, consumer: str) -> int:
        """How many records a consumer has not got."""
        return sum(log.waiting for log in self._logs[consumer].values())

    def next_batch(self, consumer: str, picks: Sequence[Pick]) -> list[RawRecord]:
        """A batch for a consumer; the records count as delivered when `delivered` is told so."""
        taken: defaultdict[Stream, int] = defaultdict(int)
        batch: list[RawRecord] = []
        for which, times in picks:
            left = [(name, log) for name, log in self._logs[consumer].items() if log.waiting > taken[name]]
            if not left:
                break
            name, log = left[which % len(left)]
            batch += [log.records[log.position + taken[name]]] * times
            taken[name] += 1
        return batch

    def everything(self, consumer: str) -> list[RawRecord]:
        """All that a consumer has not got, stream by stream."""
        logs = self._logs[consumer].values()
        return [record for log in logs for record in log.records[log.position :]]

    def earlier(self, consumer: str, which: int, number: int) -> list[RawRecord]:
        """The last records of one stream that a consumer has had already, as after a rebalance."""
        known = [log for log in self._logs[consumer].values() if log.position]
        if not known:
            return []
        log = known[which % len(known)]
        return log.records[max(0, log.position - number) : log.position]

    def delivered(self, consumer: str, batch: Sequence[RawRecord]) -> None:
        """The consumer has committed this batch."""
        got = {record.offset for record in batch}
        for log in self._logs[consumer].values():
            while log.waiting and log.records[log.position].offset in got:
                log.position += 1

    def _append(self, topic: str, envelope: Envelope, payload: bytes) -> None:
        key = envelope.subject.encode()
        record = RawRecord(topic, 0, next(self._offsets), key, payload, envelope.to_headers())
        stream = (envelope.source, topic, envelope.subject)
        for consumer, topics in self._readers.items():
            if topic in topics:
                self._logs[consumer].setdefault(stream, _Log()).records.append(record)
