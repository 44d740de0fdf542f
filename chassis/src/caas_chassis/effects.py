"""Effects: calls to partners that must happen, made outside any transaction, their outcome recorded in one.

A task is committed with the state that wants it. A worker leases it, calls the partner, and records the
outcomes of all calls that have ended in one transaction that also removes their tasks. If the process dies
after the call, the lease runs out and the call is made again, under the same idempotency key.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from asyncpg import Record
from pydantic import BaseModel

from caas_chassis import metrics
from caas_chassis.cause import Cause
from caas_chassis.crashpoints import crash_point
from caas_chassis.database import TRANSIENT, Database
from caas_chassis.loops import PeriodicLoop
from caas_chassis.processing import OpenTransaction
from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertKind

LEASE_S: Final = 6.0
"""How soon the work of a dead process is taken up again; a living one extends its leases every 2 s."""
HEARTBEAT_S: Final = 2.0
RECORD_BATCH: Final = 500
ALERT_AFTER_ATTEMPTS: Final = 5
_BACKOFF_S: Final = (1.0, 2.0, 5.0, 15.0, 60.0)

CLAIM: Final = """
WITH claimed AS MATERIALIZED (
    SELECT id FROM chassis.task WHERE effect = $1 AND due_at <= now() ORDER BY due_at, id LIMIT $2
    FOR UPDATE SKIP LOCKED
)
UPDATE chassis.task t SET due_at = now() + make_interval(secs => $3), attempts = attempts + 1
FROM claimed WHERE t.id = claimed.id
RETURNING t.id, t.key, t.payload, t.attempts, t.correlationid, t.causationid, t.actor, t.traceparent
"""
EXTEND: Final = """
UPDATE chassis.task SET due_at = now() + make_interval(secs => $2) WHERE id IN
    (SELECT id FROM chassis.task WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED)
"""
DELETE: Final = "DELETE FROM chassis.task WHERE id = ANY($1::bigint[]) RETURNING id"
POSTPONE: Final = "UPDATE chassis.task SET due_at = now() + make_interval(secs => $2), last_error = $3 WHERE id = $1"
OLDEST: Final = "SELECT extract(epoch FROM now() - min(due_at))::float8 FROM chassis.task WHERE effect = $1"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Done[P: BaseModel, R]:
    """A call that ended with a foreseen result. `runs` above 1: it may have been made before, without a record."""

    key: str
    payload: P
    result: R
    cause: Cause
    runs: int = 1


class RecordOutcomes[P: BaseModel, R](Protocol):
    """Records outcomes, inside one transaction that also removes the tasks."""

    async def __call__(self, done: Sequence[Done[P, R]], /, *, tx: Tx) -> None: ...


@dataclass(frozen=True, slots=True)
class Effect[P: BaseModel, R]:
    """A kind of call to a partner.

    `call` runs outside any transaction, at least once, and returns a value for every foreseen result:
    success, refusal, unknown. Raising, or taking longer than `timeout_s`, is a defect: the call is repeated
    with growing pauses, and operations are alerted.
    """

    name: str
    payload: type[P]
    call: Callable[[P], Awaitable[R]]
    record: RecordOutcomes[P, R]
    concurrency: int = 32
    timeout_s: float = 30.0


type _Ended = Sequence[tuple[_Running, Done[Any, Any]]]


@dataclass(frozen=True, slots=True)
class _Running:
    id: int
    attempts: int
    key: str
    payload: bytes
    cause: Cause


class EffectWorker(PeriodicLoop):
    """Runs the tasks of one effect: up to `concurrency` calls at once, outcomes recorded together."""

    def __init__(
        self, service: str, effect: Effect[Any, Any], database: Database, transaction: OpenTransaction
    ) -> None:
        super().__init__(idle_s=0.5)
        self.name = f"effect-{effect.name}"
        self._service = service
        self._effect = effect
        self._database = database
        self._transaction = transaction
        self._calls: dict[asyncio.Task[Done[Any, Any]], _Running] = {}
        self._extended_at = 0.0

    async def run_once(self) -> bool:
        """Claim what is due, wait for at least one call to end, record what has ended."""
        self._wake.clear()
        free = self._effect.concurrency - len(self._calls)
        if free > 0 and not self._stopping:
            await self._claim(free)
        if not self._calls:
            return False
        woken = asyncio.create_task(self._wake.wait())
        await asyncio.wait([*self._calls, woken], timeout=HEARTBEAT_S / 2, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()
        await self._extend_leases()
        ended = [task for task in self._calls if task.done()][:RECORD_BATCH]
        await self._record([(self._calls[task], task) for task in ended])
        return True

    async def run_until_idle(self) -> int:
        """Run everything that is due, and what that makes due; returns how many calls were recorded."""
        recorded = 0
        while await self.run_once():
            recorded += 1
        return recorded

    async def stop(self) -> None:
        """Let running calls end and record them; what does not end in time is done again by another worker."""
        await super().stop()
        deadline = asyncio.get_running_loop().time() + self._effect.timeout_s
        while self._calls and asyncio.get_running_loop().time() < deadline:
            await self.run_once()
        for call in self._calls:
            call.cancel()

    async def age_s(self) -> float:
        """Seconds for which the most overdue task has been due; at most 0 when none is."""
        async with self._database.connection() as connection:
            return float(await connection.fetchval(OLDEST, self._effect.name) or 0.0)

    async def _claim(self, free: int) -> None:
        async with self._database.connection() as connection:
            rows = await connection.fetch(CLAIM, self._effect.name, free, LEASE_S)
        for row in rows:
            running = self._running(row)
            self._calls[asyncio.create_task(self._call(running))] = running

    def _running(self, row: Record) -> _Running:
        cause = Cause(row["causationid"], row["correlationid"], row["actor"], row["traceparent"])
        return _Running(row["id"], row["attempts"], row["key"], row["payload"], cause)

    async def _call(self, running: _Running) -> Done[Any, Any]:
        payload = self._effect.payload.model_validate_json(running.payload)
        crash_point("effect.before_call", (self._effect.name,))
        result = await asyncio.wait_for(self._effect.call(payload), self._effect.timeout_s)
        crash_point("effect.after_call", (self._effect.name,))
        return Done(running.key, payload, result, running.cause, running.attempts)

    async def _extend_leases(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._extended_at >= HEARTBEAT_S:
            self._extended_at = now
            async with self._database.connection() as connection:
                await connection.execute(EXTEND, [running.id for running in self._calls.values()], LEASE_S)

    async def _record(self, ended: Sequence[tuple[_Running, asyncio.Task[Done[Any, Any]]]]) -> None:
        failed = [(running, error) for running, task in ended if (error := task.exception()) is not None]
        done = [(running, task) for running, task in ended if task.exception() is None]
        if done:
            failed += await self._record_done([(running, task.result()) for running, task in done])
        for running, error in failed:
            await self._postpone(running, error)
        for _, task in ended:
            self._calls.pop(task, None)

    async def _record_done(self, done: _Ended) -> list[tuple[_Running, BaseException]]:
        """Record together; when that fails, one by one. Returns those that could not be recorded."""
        try:
            await self._record_together(done)
        except TRANSIENT:
            raise
        except Exception as error:
            if len(done) == 1:
                return [(done[0][0], error)]
            return [failure for one in done for failure in await self._record_done([one])]
        metrics.count_effect(self._service, self._effect.name, "recorded", len(done))
        return []

    async def _record_together(self, done: _Ended) -> None:
        """A task that is gone was recorded before: by a COMMIT whose answer was lost, or by another worker."""
        first = done[0][0].cause
        async with self._transaction(first, ("effect", self._effect.name)) as tx:
            open_tasks = {row["id"] for row in await tx.fetch(DELETE, [running.id for running, _ in done])}
            outcomes = [outcome for running, outcome in done if running.id in open_tasks]
            if outcomes:
                await self._effect.record(outcomes, tx=tx)
        crash_point("effect.after_commit", (self._effect.name,))

    async def _postpone(self, running: _Running, error: BaseException) -> None:
        pause = _BACKOFF_S[min(running.attempts - 1, len(_BACKOFF_S) - 1)]
        _log.error("effect_failed", effect=self._effect.name, key=running.key, again_in_s=pause, exc_info=error)
        metrics.count_effect(self._service, self._effect.name, "failed")
        async with self._transaction(running.cause, ("postpone",)) as tx:
            await tx.execute(POSTPONE, running.id, pause, f"{type(error).__name__}: {error}"[:500])
            if running.attempts == ALERT_AFTER_ATTEMPTS:
                detail = f"{self._effect.name} failed {running.attempts} times, last with {type(error).__name__}"
                tx.alert(AlertKind.TASK_FAILING, running.key[:64], detail)
