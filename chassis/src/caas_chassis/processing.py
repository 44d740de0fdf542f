"""Applies batches of records: one transaction holds deduplication, state change, outbox, tasks and timers.

A batch in which something fails is rolled back and applied one record at a time: a poison message costs its
batch a second try, never its result. What fails alone is parked with its stream (promise 6).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import structlog
from asyncpg import Record

from caas_chassis import inbox, metrics, parking
from caas_chassis.bulk import Batch, BulkWork, Reader
from caas_chassis.cause import Cause
from caas_chassis.crashpoints import crash_point
from caas_chassis.database import TRANSIENT
from caas_chassis.errors import NotYet, PositionConflict, Refused
from caas_chassis.handling import BulkHandlers, Handlers, Received, dispatch
from caas_chassis.planning import Parking, ParkReason, Plan, plan_batch
from caas_chassis.records import Decoded, RawRecord, Stream
from caas_chassis.resending import record_resend_request, resend_topic
from caas_chassis.transaction import Tx
from caas_contracts import Message
from caas_contracts.operations import AlertKind
from caas_contracts.streams import COMMAND_TOPICS, ResendStream, ResendTopic, StreamWatermark

MAX_ATTEMPTS: Final = 4
"""Tries of one message before a person has to look: at once, then after 1, 4 and 16 s."""
NOT_YET_ATTEMPTS: Final = 6
"""Tries of a message that lacks something: within the next 341 s, each pause four times the one before."""
FAILURES_IN_A_ROW: Final = 25
"""So many failing messages one after the other mean that the deployment is bad, not the messages."""
CONFLICT_TRIES: Final = 5

_READ_AT_A_STRETCH: Final = 200
"""Records that are read without giving way to others: 2 ms."""

_log = structlog.get_logger(__name__)

type OpenTransaction = Callable[[Cause, Sequence[str]], AbstractAsyncContextManager[Tx]]
"""Opens a transaction; the second argument names its crash points: a prefix and the subjects."""


class TooManyFailures(Exception):
    """The consumer stops: message after message fails, so a deployment is to be blamed, not the messages."""


class Processor:
    """Applies records with a service's handlers."""

    def __init__(
        self, service: str, handlers: Handlers, transaction: OpenTransaction, bulk: BulkHandlers | None = None
    ) -> None:
        self._service = service
        self._handlers = handlers
        self._transaction = transaction
        self._reader = Reader(bulk or {})
        self._bulk = BulkWork(bulk or {}, self._reader)
        self._failures_in_a_row = 0

    async def process(self, records: Sequence[RawRecord]) -> None:
        """Apply, or park, every record. Raises TRANSIENT errors (call again later) and TooManyFailures."""
        await self._process(self._reader.read(records))

    async def process_in_parts(self, records: Sequence[RawRecord], size: int) -> None:
        """As `process`, a transaction for each `size` records: the next part is read while one is being applied."""
        applying: asyncio.Task[None] | None = None
        try:
            for start in range(0, len(records), size):
                batch = Batch(records[start : start + size])
                for first in range(0, len(batch.records), _READ_AT_A_STRETCH):
                    self._reader.read_into(batch, batch.records[first : first + _READ_AT_A_STRETCH])
                    await asyncio.sleep(0)
                if applying is not None:
                    await applying
                applying = asyncio.create_task(self._process(batch), name="apply-part")
            if applying is not None:
                await applying
        finally:
            if applying is not None and not applying.done():
                applying.cancel()
                await asyncio.wait({applying})

    async def _process(self, batch: Batch) -> None:
        try:
            if await self._apply_again(batch):
                self._failures_in_a_row = 0
        except TRANSIENT:
            raise
        except Exception as error:  # Whatever a handler raises is that message's fault until proven otherwise.
            if len(batch.records) == 1:
                await self._park_failed(self._reader.decode(batch.records[0]), error)
                return
            _log.info("batch_falls_back", size=len(batch.records), error=type(error).__name__)
            for part in _smaller(batch):
                await self.process(part)

    async def retry_one(self) -> bool:
        """Try one parked message that is due; False when there is none."""
        failed: tuple[Record, Exception] | None = None
        async with self._transaction(_own_cause(self._service), ("parked",)) as tx:
            row = await tx.fetchrow(parking.CLAIM)
            if row is None:
                return False
            if await self._retry_alike(row, tx):
                return True
            try:
                async with tx.savepoint():
                    await self._retry(row, tx)
            except (*TRANSIENT, PositionConflict):
                raise
            except Exception as error:
                failed = (row, error)
            if failed is not None:
                await self._postpone(*failed, tx=tx)
        return True

    async def ask_for_missing(self) -> int:
        """Ask again for the missing parts of streams that still have a gap; returns how many streams."""
        async with self._transaction(_own_cause(self._service), ("gaps",)) as tx:
            gaps = await tx.fetch(parking.SELECT_GAPS)
            missing = {(g["producer"], g["topic"], g["stream_key"]): (g["missing_from"], g["missing_to"]) for g in gaps}
            self._request(missing, tx)
        return len(gaps)

    async def _apply_again(self, batch: Batch) -> bool:
        for attempt in range(CONFLICT_TRIES):
            try:
                return await self._apply(batch, locked=attempt > 0)
            except PositionConflict:
                continue  # Another consumer was faster: lock the streams this time, and plan on what it committed.
        raise ConnectionError("positions kept moving: another consumer owns these partitions")

    async def _apply(self, batch: Batch, *, locked: bool) -> bool:
        """True when a handler got something to do, and did it."""
        types = batch.types
        async with self._transaction(_own_cause(self._service), ("handle", *types)) as tx:
            streams = list({d.stream: None for d in batch.ordinary if d.stream is not None})
            if locked:
                await inbox.lock(tx, streams)
            states = await inbox.read_states(tx, streams)
            plan = plan_batch(batch.ordinary, states, await inbox.read_seen(tx, batch.ordinary))
            await self._apply_plan(plan, tx)
            refused = await self._bulk.apply(batch.loads, tx=tx)
            await parking.park(tx, refused)
            self._tell_of_refused(refused, tx)
            await inbox.record_offsets(tx, batch.records)
        crash_point("handle.after_commit", types)
        in_bulk = sum(len(load.messages) for load in batch.loads.values()) - len(refused)
        metrics.observe_batch(self._service, len(plan.apply) + in_bulk, plan.duplicates, len(plan.park) + len(refused))
        return in_bulk > 0 or any(type(decoded.message) in self._handlers for decoded in plan.apply)

    async def _apply_plan(self, plan: Plan, tx: Tx) -> None:
        await inbox.advance(tx, plan.before, plan.positions)
        await inbox.hold(tx, plan.held)
        await inbox.remember_seen(tx, plan.unnumbered)
        await self._dispatch(plan.apply, tx)
        if plan.park:
            await parking.park(tx, plan.park)
            self._tell_of_parked(plan.park, tx)
        self._request(plan.missing, tx)
        await parking.kick(tx, [(stream, plan.positions[stream] + 1) for stream in plan.drain])

    async def _dispatch(self, decoded: Sequence[Decoded], tx: Tx) -> None:
        ours: list[Received[Message]] = []
        streams: list[Stream] = []
        for one in decoded:
            match one.message:
                case None:
                    continue
                case StreamWatermark() as watermark:
                    await self._compare(watermark, tx)
                case ResendStream() as request:
                    await record_resend_request(request, self._service, tx=tx)
                case ResendTopic() as request:
                    if request.producer == self._service:
                        await resend_topic(request.stream_topic, request.since, request.consumer, tx=tx)
                case message:
                    ours.append(Received(message, one.cause))
                    streams.append(one.stream or ("", one.record.topic, one.envelope.id if one.envelope else ""))
        await dispatch(self._handlers, streams, ours, tx=tx)

    async def _compare(self, watermark: StreamWatermark, tx: Tx) -> None:
        """Ask for what a producer says it has sent and we have neither applied nor parked (promise 4)."""
        streams = [(watermark.producer, watermark.stream_topic, position.key) for position in watermark.positions]
        states = await inbox.read_states(tx, streams)
        missing: dict[Stream, tuple[int, int]] = {}
        for stream, position in zip(streams, watermark.positions, strict=True):
            state = states[stream]
            absent = [n for n in range(state.position + 1, position.sequence + 1) if n not in state.parked]
            if absent:
                missing[stream] = (absent[0], absent[-1])
        self._request(missing, tx)

    def _request(self, missing: Mapping[Stream, tuple[int, int]], tx: Tx) -> None:
        for (producer, topic, key), (first, last) in missing.items():
            _log.warning("messages_missing", producer=producer, topic=topic, key=key, first=first, last=last)
            metrics.count_gap(self._service, topic)
            if producer in COMMAND_TOPICS:
                request = ResendStream(
                    producer=producer,
                    consumer=self._service,
                    stream_topic=topic,
                    stream_key=key,
                    from_sequence=first,
                    to_sequence=last,
                )
                tx.publish(request, topic=COMMAND_TOPICS[producer])

    def _tell_of_parked(self, parkings: Iterable[Parking], tx: Tx) -> None:
        """Alert and copy to the dead letters what a person has to look at; gaps repair themselves."""
        for one in parkings:
            if one.reason in (ParkReason.INVALID, ParkReason.REFUSED):
                self._alert_parked(one.decoded, one.reason, one.detail, tx)

    def _tell_of_refused(self, parkings: Sequence[Parking], tx: Tx) -> None:
        """One alert for all that bulk handlers refuse of a batch for one reason: they come in crowds."""
        crowds: dict[str, list[Parking]] = {}
        for one in parkings:
            if one.retry_s is None:
                parking.copy_to_dead_letters(tx, one.decoded)
                crowds.setdefault(one.detail.partition(":")[0], []).append(one)
        for crowd in crowds.values():
            record = crowd[0].decoded.record
            where = f"{record.topic}:{record.partition}:{record.offset}"
            words = f"{crowd[0].reason}: {crowd[0].detail}. {len(crowd)} of this kind; look, then replay or discard."
            tx.alert(AlertKind.MESSAGE_PARKED, where, words)

    def _alert_parked(self, decoded: Decoded, reason: str, detail: str, tx: Tx) -> None:
        parking.copy_to_dead_letters(tx, decoded)
        record = decoded.record
        where = f"{record.topic}:{record.partition}:{record.offset}"
        tx.alert(AlertKind.MESSAGE_PARKED, where, f"{reason}: {detail}. Look at it, then replay or discard it.")

    async def _park_failed(self, decoded: Decoded, error: Exception) -> None:
        """A refused message is parked for good and its stream goes on; a failing one waits, its stream too."""
        self._failures_in_a_row = 0 if isinstance(error, Refused) else self._failures_in_a_row + 1
        if self._failures_in_a_row >= FAILURES_IN_A_ROW:
            raise TooManyFailures(f"{FAILURES_IN_A_ROW} messages in a row failed, the last with {error!r}") from error
        _log.error("message_failed", type=decoded.envelope and decoded.envelope.type, exc_info=error)
        try:
            await self._park(decoded, error)
        except PositionConflict as moved:
            raise ConnectionError("another consumer owns this partition: look at the message again") from moved

    async def _park(self, decoded: Decoded, error: Exception) -> None:
        async with self._transaction(_own_cause(self._service), ("park",)) as tx:
            if self._reader.is_for_bulk(decoded):  # Its handler alone knows whether it was applied before.
                await self._park_applicable(Plan(), _fate_of(decoded, error), tx)
                return
            states = await inbox.read_states(tx, [decoded.stream] if decoded.stream else [])
            plan = plan_batch([decoded], states, await inbox.read_seen(tx, [decoded]))
            if plan.park:
                raise error  # It was not the handler that failed: parking it did, and must not be passed over.
            if plan.apply:
                await self._park_applicable(plan, _fate_of(decoded, error), tx)

    async def _park_applicable(self, plan: Plan, fate: Parking, tx: Tx) -> None:
        refused = fate.reason is ParkReason.REFUSED
        if refused or fate.decoded.stream is None:
            await inbox.advance(tx, plan.before, plan.positions)
            await inbox.remember_seen(tx, plan.unnumbered)
        else:
            await inbox.hold(tx, plan.before)
        await parking.park(tx, [fate])
        self._tell_of_parked([fate], tx)
        await parking.kick(tx, [(stream, plan.positions[stream] + 1) for stream in plan.drain if refused])
        await inbox.record_offsets(tx, [fate.decoded.record])

    async def _retry_alike(self, first: Record, tx: Tx) -> bool:
        """Apply parked messages of a bulk type together, or the first alone if that fails. False for other types."""
        claimed = await self._bulk.claim_alike(first, tx=tx)
        while claimed:
            try:
                async with tx.savepoint():
                    refused = await self._bulk.retry(claimed, tx=tx)
                    applied = [row["id"] for index, (row, _) in enumerate(claimed) if index not in refused]
                    await parking.close_applied(tx, applied, self._service)
            except (*TRANSIENT, PositionConflict):
                raise
            except Exception as error:
                if len(claimed) == 1:
                    await self._postpone(first, error, tx=tx)
                    return True
                claimed = claimed[:1]
            else:
                for index, reason in refused.items():
                    await self._postpone(claimed[index][0], reason, tx=tx)
                return True
        return False

    async def _retry(self, row: Record, tx: Tx) -> None:
        """Apply a parked message if it is its turn. Those refused or invalid when it was are applied late."""
        decoded = parking.decoded_of(row)
        stream = decoded.stream
        if stream is not None and row["reason"] not in (ParkReason.INVALID, ParkReason.REFUSED):
            position = (await inbox.read_states(tx, [stream]))[stream].position
            if decoded.sequence > position + 1:
                await tx.execute(parking.PUT_BACK, row["id"])
                return
            if decoded.sequence <= position:
                await parking.close(tx, row["id"], "replayed", self._service, "it had been applied before")
                return
            await inbox.advance(tx, {stream: position}, {stream: decoded.sequence})
            await parking.kick(tx, [(stream, decoded.sequence + 1)])
        if decoded.problem is not None:
            raise Refused("invalid", decoded.problem)
        await self._dispatch([decoded], tx)
        await parking.close(tx, row["id"], "replayed", row["decided_by"] or self._service, "applied")

    async def _postpone(self, row: Record, error: Exception, *, tx: Tx) -> None:
        attempts = row["attempts"] + 1
        detail = f"{type(error).__name__}: {error}"[:2000]
        decoded = parking.decoded_of(row)
        final = isinstance(error, Refused) and not isinstance(error, NotYet)
        reason = _reason_of(decoded, error)
        if final and decoded.stream is not None:
            await self._pass_over(decoded.stream, decoded.sequence, tx)
        again = attempts < (NOT_YET_ATTEMPTS if isinstance(error, NotYet) else MAX_ATTEMPTS) and not final
        state = "retrying" if again else "parked"
        await tx.execute(parking.POSTPONE, row["id"], state, detail, 4.0 ** (attempts - 1), reason)
        if not again:
            self._alert_parked(decoded, reason, detail, tx)

    async def _pass_over(self, stream: Stream, sequence: int, tx: Tx) -> None:
        """A message that is given up does not hold its stream up."""
        state = (await inbox.read_states(tx, [stream]))[stream]
        if state.position + 1 == sequence:
            await inbox.advance(tx, {stream: state.position}, {stream: sequence})
            await parking.kick(tx, [(stream, sequence + 1)])


def _smaller(batch: Batch) -> list[Sequence[RawRecord]]:
    """Each record alone; of large batches the halves, so that one bad record costs 26 transactions, not 5,000."""
    records = batch.records
    if batch.loads:
        return [records[: len(records) // 2], records[len(records) // 2 :]]
    return [[record] for record in records]


def _fate_of(decoded: Decoded, error: Exception) -> Parking:
    if isinstance(error, Refused):
        return Parking(decoded, ParkReason.REFUSED, str(error))
    return Parking(decoded, ParkReason.FAILED, f"{type(error).__name__}: {error}", retry_s=1.0)


def _reason_of(decoded: Decoded, error: Exception) -> ParkReason:
    if decoded.problem is not None:
        return ParkReason.INVALID
    return ParkReason.REFUSED if isinstance(error, Refused) else ParkReason.FAILED


def _own_cause(service: str) -> Cause:
    return Cause.of_person(service)
