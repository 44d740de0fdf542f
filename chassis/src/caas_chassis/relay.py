"""The relay: sends committed outbox rows to the broker, in order per stream, and remembers how far it got.

One replica of a service relays at a time (a session advisory lock). Rows are read in the order (horizon,
position) below the transaction horizon, so none that commits late is passed over (see `outbox`). A record
that the broker refuses blocks its own stream; a crash between sending and remembering sends again, and
consumers drop the duplicates.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
import structlog
from asyncpg import Record

from caas_chassis import blocking, metrics
from caas_chassis.blocking import Blocked, OutboxStream
from caas_chassis.crashpoints import crash_point
from caas_chassis.database import Database
from caas_chassis.ids import new_id
from caas_chassis.loops import PeriodicLoop
from caas_chassis.outbox import NOTIFY_CHANNEL
from caas_chassis.producing import OutgoingRecord, RecordSender, RecordsRefused
from caas_contracts import Envelope
from caas_contracts.envelope import rfc3339
from caas_contracts.streams import StreamPosition, StreamWatermark

BATCH: Final = 2000
WATERMARK_EVERY_S: Final = 5.0
WATERMARK_POSITIONS: Final = 1000
BLOCKED_TRIED_EVERY_S: Final = 15.0
_LOCK: Final = 0x0CAA5_0B0
_SHARD: Final = 0

READ: Final = """
SELECT o.position, o.horizon, o.id, o.aggregatetype, o.aggregateid, o.type, o.payload, o.sequence, o.correlationid,
    o.causationid, o.traceparent, o.occurred_at
FROM chassis.outbox o
WHERE (o.horizon, o.position) > ($1, $2) AND o.horizon < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
ORDER BY o.horizon, o.position LIMIT $3
"""
SELECT_CURSOR: Final = "SELECT horizon, position FROM chassis.relay_cursor WHERE shard = 0"
UPDATE_CURSOR: Final = """
UPDATE chassis.relay_cursor SET horizon = $1, position = $2, updated_at = now() WHERE shard = 0
"""
COMMITTED_BEYOND: Final = "SELECT EXISTS (SELECT 1 FROM chassis.outbox WHERE (horizon, position) > ($1, $2))"
SELECT_RESENDS: Final = "SELECT * FROM chassis.outbox_resend ORDER BY id LIMIT 50"
READ_STREAM: Final = """
SELECT * FROM chassis.outbox WHERE aggregatetype = $1 AND aggregateid = $2 AND sequence >= $3
    AND ($4::bigint IS NULL OR sequence <= $4) AND (horizon, position) <= ($5, $6) ORDER BY sequence LIMIT $7
"""
READ_SINCE: Final = """
SELECT * FROM chassis.outbox WHERE aggregatetype = $1 AND created_at >= $2 AND (horizon, position) <= ($3, $4)
    AND (horizon, position) > ($5, $6) ORDER BY horizon, position LIMIT $7
"""
DELETE_RESEND: Final = "DELETE FROM chassis.outbox_resend WHERE id = $1"
RECENT_STREAMS: Final = """
SELECT aggregatetype AS topic, aggregateid AS key, max(sequence) AS sequence FROM chassis.outbox
WHERE created_at > now() - interval '10 minutes' AND (horizon, position) <= ($1, $2)
    AND aggregatetype NOT LIKE '%.dlt' GROUP BY 1, 2 LIMIT 20000
"""
OLDEST: Final = """
SELECT extract(epoch FROM now() - min(created_at))::float8 FROM (SELECT created_at FROM chassis.outbox
    WHERE (horizon, position) > ($1, $2) ORDER BY horizon, position LIMIT 1) AS first
"""

_log = structlog.get_logger(__name__)


class Relay(PeriodicLoop):
    """Sends what transactions have published."""

    name = "relay"

    def __init__(self, service: str, database: Database, sender: RecordSender) -> None:
        # NOTIFY wakes the relay; looking by itself is the safety net, for resends and for a notification lost.
        super().__init__(idle_s=0.25)
        self._service = service
        self._database = database
        self._sender = sender
        self._connection: asyncpg.Connection | None = None
        self._cursor = (0, 0)
        self._marks: dict[tuple[str, str], int] = {}
        self._marked_at = 0.0
        self._tried_at = 0.0

    @property
    def leads(self) -> bool:
        """Whether this process relays at the moment; else another replica does, or none yet."""
        return self._connection is not None and not self._connection.is_closed()

    async def run_once(self) -> bool:
        """Send one batch; True when there may be more. Does nothing while another replica relays."""
        connection = await self._leading()
        if connection is None:
            return False
        try:
            rows = await connection.fetch(READ, *self._cursor, BATCH)
            if rows:
                await self._send_batch(connection, rows)
            await self._try_blocked(connection)
            resent = await self._resend(connection)
            await self._send_watermarks()
            return len(rows) == BATCH or resent or await self._waiting_for_horizon(connection, rows)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await self._step_down()
            raise

    async def stop(self) -> None:
        await super().stop()
        await self._step_down()
        await self._sender.close()

    async def outbox_age_s(self) -> float:
        """Seconds since the oldest row was written that is not sent yet; 0 when all are."""
        async with self._database.connection() as connection:
            cursor = await connection.fetchrow(SELECT_CURSOR)
            age = await connection.fetchval(OLDEST, cursor["horizon"], cursor["position"]) if cursor else None
        return float(age or 0.0)

    async def _leading(self) -> asyncpg.Connection | None:
        """The connection that holds the relay's lock, or None while another replica does."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        connection = await self._database.dedicated()
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            await connection.close()
            await asyncio.sleep(0.5)
            return None
        # A cursor lost with a crashed server only means that its rows are sent again.
        await connection.execute("SET synchronous_commit = off")
        await connection.add_listener(NOTIFY_CHANNEL, lambda *_: self.wake())
        row = await connection.fetchrow(SELECT_CURSOR)
        self._cursor = (row["horizon"], row["position"]) if row else (0, 0)
        self._marks = {
            (r["topic"], r["key"]): r["sequence"] for r in await connection.fetch(RECENT_STREAMS, *self._cursor)
        }
        self._connection = connection
        _log.info("relay_leads", service=self._service, cursor=self._cursor)
        return connection

    async def _step_down(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            try:
                await connection.close(timeout=2.0)
            except (TimeoutError, OSError, asyncpg.PostgresError):
                connection.terminate()

    async def _send_batch(self, connection: asyncpg.Connection, rows: Sequence[Record]) -> None:
        blocked = await blocking.read_blocked(connection)
        hopeless = [
            row for row in rows if row["aggregatetype"] in blocked.topics and _stream(row) not in blocked.streams
        ]
        if hopeless:
            waiting = await blocking.block(connection, hopeless, "its topic takes nothing", whole_topic=True)
            blocked.streams.update(waiting)
        crash_point("relay.before_send")
        await self._send(connection, rows, blocked)
        crash_point("relay.after_send")
        cursor = (rows[-1]["horizon"], rows[-1]["position"])
        await connection.execute(UPDATE_CURSOR, *cursor)
        self._cursor = cursor
        crash_point("relay.after_mark")

    async def _send(self, connection: asyncpg.Connection, rows: Sequence[Record], blocked: Blocked) -> None:
        """Send together; when the broker refuses a record, find it by halves and block its stream."""
        sendable = [row for row in rows if _stream(row) not in blocked.streams]
        if not sendable:
            return
        try:
            await self._sender.send([_outgoing(row, self._service) for row in sendable])
        except RecordsRefused as refusal:
            if refusal.topic is not None:
                refused = [row for row in sendable if row["aggregatetype"] == refusal.topic]
                await self._block(connection, refused, refusal, blocked)
                await self._send(connection, sendable, blocked)
            elif len(sendable) == 1:
                await self._block(connection, sendable, refusal, blocked)
            else:
                middle = len(sendable) // 2
                await self._send(connection, sendable[:middle], blocked)
                await self._send(connection, sendable[middle:], blocked)
        else:
            self._mark(sendable)
            metrics.count_sent(self._service, len(sendable))

    async def _block(
        self, connection: asyncpg.Connection, rows: Sequence[Record], refusal: RecordsRefused, blocked: Blocked
    ) -> None:
        async with connection.transaction():
            streams = await blocking.block(connection, rows, str(refusal), whole_topic=refusal.topic is not None)
            await blocking.alert_blocked(connection, self._service, streams, str(refusal))
        blocked.streams.update(streams)
        _log.error("streams_blocked", topic=streams[0][0], streams=len(streams), error=str(refusal))

    async def _try_blocked(self, connection: asyncpg.Connection) -> None:
        """A refused stream goes on by itself when the broker takes its row: the topic came, the limit was raised."""
        now = asyncio.get_running_loop().time()
        if now - self._tried_at < BLOCKED_TRIED_EVERY_S:
            return
        self._tried_at = now
        for row in await connection.fetch(blocking.CANDIDATES):
            stream, first = (row["topic"], row["key"]), row["from_sequence"]
            rows = await connection.fetch(READ_STREAM, *stream, first, first, *self._cursor, 1)
            try:
                await self._sender.send([_outgoing(each, self._service) for each in rows])
            except RecordsRefused:
                await connection.execute(blocking.STILL_BLOCKED, *stream)
            else:
                await blocking.unblock(connection, stream, whole_topic=row["whole_topic"], by="relay")

    def _mark(self, rows: Sequence[Record]) -> None:
        for row in rows:
            if not row["aggregatetype"].endswith(".dlt"):
                self._marks[_stream(row)] = max(row["sequence"], self._marks.get(_stream(row), 0))

    async def _waiting_for_horizon(self, connection: asyncpg.Connection, rows: Sequence[Record]) -> bool:
        """Rows are committed but an older transaction is still open: look again in a moment."""
        if rows:
            return True
        if await connection.fetchval(COMMITTED_BEYOND, *self._cursor):
            await asyncio.sleep(0.002)
            return True
        return False

    async def _resend(self, connection: asyncpg.Connection) -> bool:
        requests = await connection.fetch(SELECT_RESENDS)
        for request in requests:
            if request["since"] is None:
                await self._resend_stream(connection, request)
            else:
                await self._resend_topic(connection, request)
            await connection.execute(DELETE_RESEND, request["id"])
        return bool(requests)

    async def _resend_stream(self, connection: asyncpg.Connection, request: Record) -> None:
        first = request["from_sequence"]
        while True:
            stream, last = (request["topic"], request["key"]), request["to_sequence"]
            rows = await connection.fetch(READ_STREAM, *stream, first, last, *self._cursor, BATCH)
            if rows:
                await self._send(connection, rows, await blocking.read_blocked(connection))
                first = rows[-1]["sequence"] + 1
            if len(rows) < BATCH:
                return

    async def _resend_topic(self, connection: asyncpg.Connection, request: Record) -> None:
        after = (-1, -1)
        while True:
            rows = await connection.fetch(READ_SINCE, request["topic"], request["since"], *self._cursor, *after, BATCH)
            if rows:
                await self._send(connection, rows, await blocking.read_blocked(connection))
                after = (rows[-1]["horizon"], rows[-1]["position"])
            if len(rows) < BATCH:
                return

    async def _send_watermarks(self) -> None:
        """Tell consumers how far each recently used stream has come, behind its messages in the same partition."""
        now = asyncio.get_running_loop().time()
        if not self._marks or now - self._marked_at < WATERMARK_EVERY_S:
            return
        self._marked_at = now
        marks, self._marks = self._marks, {}
        try:
            await self._send_marks(marks)
        except BaseException:
            self._marks = marks | self._marks
            raise

    async def _send_marks(self, marks: Mapping[OutboxStream, int]) -> None:
        by_partition: dict[tuple[str, int], list[StreamPosition]] = {}
        for (topic, key), sequence in marks.items():
            try:
                partition = await self._sender.partition_of(topic, key.encode())
            except RecordsRefused:
                continue  # Its topic is gone: the next message of the stream is refused, and says so.
            by_partition.setdefault((topic, partition), []).append(StreamPosition(key=key, sequence=sequence))
        records = [
            _watermark(self._service, topic, partition, positions[start : start + WATERMARK_POSITIONS])
            for (topic, partition), positions in by_partition.items()
            for start in range(0, len(positions), WATERMARK_POSITIONS)
        ]
        if records:
            await self._sender.send(records)


def _stream(row: Record) -> OutboxStream:
    return row["aggregatetype"], row["aggregateid"]


def _outgoing(row: Record, service: str) -> OutgoingRecord:
    envelope = Envelope(
        id=str(row["id"]),
        source=service,
        type=row["type"],
        time=rfc3339(row["occurred_at"]),
        subject=row["aggregateid"],
        correlation_id=row["correlationid"],
        causation_id=row["causationid"],
        sequence=row["sequence"],
        traceparent=row["traceparent"],
    )
    return OutgoingRecord(row["aggregatetype"], row["aggregateid"].encode(), row["payload"], envelope.to_headers())


def _watermark(service: str, topic: str, partition: int, positions: list[StreamPosition]) -> OutgoingRecord:
    message = StreamWatermark(producer=service, stream_topic=topic, positions=positions)
    name = str(new_id())
    envelope = Envelope(name, service, StreamWatermark.TYPE, "", topic, name, "")
    return OutgoingRecord(topic, topic.encode(), message.to_json(), envelope.to_headers(), partition)
