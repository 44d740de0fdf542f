"""Business timers: deadlines by the business clock, fired at least once, inside a transaction of their own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import structlog
from asyncpg import Record

from caas_chassis import metrics
from caas_chassis.cause import Cause
from caas_chassis.crashpoints import crash_point
from caas_chassis.database import TRANSIENT
from caas_chassis.loops import PeriodicLoop
from caas_chassis.processing import OpenTransaction
from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertKind

BATCH: Final = 500
ALERT_AFTER_ATTEMPTS: Final = 5

CLAIM: Final = """
SELECT * FROM chassis.timer WHERE timer = $1 AND due_at <= $2 AND retry_at <= now()
ORDER BY due_at, key LIMIT $3 FOR UPDATE SKIP LOCKED
"""
DELETE: Final = "DELETE FROM chassis.timer WHERE timer = $1 AND key = ANY($2::text[])"
POSTPONE: Final = """
UPDATE chassis.timer SET attempts = attempts + 1, retry_at = now() + make_interval(secs => least(60, 2 ^ attempts))
WHERE timer = $1 AND key = $2 RETURNING attempts
"""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DueTimer:
    """A timer whose business instant has come."""

    key: str
    due_at: datetime
    cause: Cause


class TimerHandler(Protocol):
    """Acts on due timers of one kind; they are removed in the same transaction, unless set again."""

    async def __call__(self, due: Sequence[DueTimer], /, *, tx: Tx) -> None: ...


class TimerLoop(PeriodicLoop):
    """Fires the timers of a service; its handlers are found by the timer's name."""

    name = "timers"

    def __init__(
        self,
        service: str,
        handlers: Mapping[str, TimerHandler],
        now: Callable[[], datetime],
        transaction: OpenTransaction,
    ) -> None:
        super().__init__(idle_s=0.2)
        self._service = service
        self._handlers = handlers
        self._now = now
        self._transaction = transaction

    async def run_once(self) -> bool:
        """Fire up to 500 due timers of each name; True when there may be more."""
        fired = [await self._fire(timer, handler, BATCH) for timer, handler in self._handlers.items()]
        return any(number == BATCH for number in fired)

    async def run_until_idle(self) -> int:
        """Fire everything that is due, and what that makes due; returns how many fired."""
        total = 0
        while fired := sum([await self._fire(timer, handler, BATCH) for timer, handler in self._handlers.items()]):
            total += fired
        return total

    async def _fire(self, timer: str, handler: TimerHandler, limit: int) -> int:
        try:
            return await self._fire_together(timer, handler, limit)
        except TRANSIENT:
            raise
        except Exception as error:
            if limit == 1:
                await self._postpone(timer, error)
                return 1
            return await self._fire_one_by_one(timer, handler, limit)

    async def _fire_one_by_one(self, timer: str, handler: TimerHandler, limit: int) -> int:
        fired = 0
        while fired < limit and await self._fire(timer, handler, 1):
            fired += 1
        return fired

    async def _fire_together(self, timer: str, handler: TimerHandler, limit: int) -> int:
        async with self._transaction(Cause.of_person(self._service), ("timer", timer)) as tx:
            rows = await tx.fetch(CLAIM, timer, self._now(), limit)
            tx.eventful = bool(rows)
            if not rows:
                return 0
            await tx.execute(DELETE, timer, [row["key"] for row in rows])
            due = [_due(row) for row in rows]
            tx.cause = due[0].cause
            await handler(due, tx=tx)
        crash_point("timer.after_commit", (timer,))
        metrics.count_timers(self._service, timer, len(rows))
        return len(rows)

    async def _postpone(self, timer: str, error: Exception) -> None:
        """The most overdue timer fails: it is tried again later, the others go on."""
        async with self._transaction(Cause.of_person(self._service), ("postpone",)) as tx:
            rows = await tx.fetch(CLAIM, timer, self._now(), 1)
            for row in rows:
                _log.error("timer_failed", timer=timer, key=row["key"], exc_info=error)
                attempts = await tx.fetchval(POSTPONE, timer, row["key"])
                if attempts == ALERT_AFTER_ATTEMPTS:
                    tx.alert(
                        AlertKind.TASK_FAILING,
                        timer,
                        f"timer {timer} of {row['key']}: {type(error).__name__}",
                    )


def _due(row: Record) -> DueTimer:
    cause = Cause(row["causationid"], row["correlationid"], row["actor"], row["traceparent"])
    return DueTimer(row["key"], row["due_at"], cause)
