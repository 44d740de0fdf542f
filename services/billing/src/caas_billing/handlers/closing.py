"""The cycle of billing: starts runs, closes what is due chunk by chunk, and says when a run is done (SUB-4, SUB-8).

Invariant: everything is decided by what is due in the database. Whoever is killed leaves whole chunks; whoever comes
next, or works beside, goes on with the rest.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from caas_billing.domain.billing_policy import BillingPolicy
from caas_billing.domain.billing_run import Run, run_finished, scheduled_for
from caas_billing.domain.period import Period, last_ended
from caas_billing.errors import PeriodMalformed, PeriodNotEnded
from caas_billing.handlers.dunning import DUNNING_TIMER
from caas_billing.store import closing, runs
from caas_billing.store.closing import Chunk, Closed
from caas_chassis.cause import Cause
from caas_chassis.ids import new_id
from caas_chassis.loops import PeriodicLoop
from caas_chassis.processing import OpenTransaction
from caas_chassis.timers import DueTimer, TimerHandler
from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertKind

CYCLE_TIMER: Final = "billing-cycle"
CYCLE_KEY: Final = "month"
OPERATOR: Final = "billing"
"""Who asks for the runs that nobody asks for."""
RUN_CHANGED: Final = "billing-run"
"""What waits for the end of a run listens to."""
_BUSY_PAUSE_S: Final = 0.2


def period_named(text: str) -> Period:
    """The period that somebody wrote. Raises PeriodMalformed."""
    period = Period.find(text)
    if period is None:
        raise PeriodMalformed(f"{text!r} is no calendar month: write it as 2026-10")
    return period


def refuse_unended(period: Period, now: datetime, policy: BillingPolicy) -> None:
    """Raises PeriodNotEnded for a month that goes on, or has not begun, at this instant."""
    if period > last_ended(now, policy.time_zone):
        ends = period.ends_at(policy.time_zone).astimezone(policy.time_zone)
        raise PeriodNotEnded(
            f"{period} ends on {ends:%Y-%m-%d %H:%M} ({policy.time_zone}): what is used until then is not known yet"
        )


async def start_run(period: Period, requested_by: str, *, tx: Tx, policy: BillingPolicy) -> Run:
    """The open run of a period: a new one, or the one that is open already (SUB-4). Raises PeriodNotEnded.

    A period that was run before may be run again: that closes what has become due meanwhile, if anything.
    """
    refuse_unended(period, tx.now, policy)
    wish = Run(run_id=new_id(), period=period, requested_by=requested_by, requested_at=tx.now)
    return await runs.start(tx, wish)


async def start_scheduled_runs(due: Sequence[DueTimer], *, tx: Tx, policy: BillingPolicy) -> None:
    """A month is over: start its run and set the timer for the next one, which may be over as well (SUB-4)."""
    for timer in due:
        period = last_ended(timer.due_at - policy.grace, policy.time_zone)
        if not await runs.was_run(tx, period) or await closing.due_shards(tx, period):
            await start_run(period, OPERATOR, tx=tx, policy=policy)
        tx.schedule(CYCLE_TIMER, timer.key, scheduled_for(period.next, policy.time_zone, policy.grace))


async def schedule_cycle(*, tx: Tx, policy: BillingPolicy) -> None:
    """Set the timer of the first month that ends from now on, unless it is set."""
    if not await runs.is_scheduled(tx, CYCLE_TIMER):
        period = Period.of_instant(tx.now - policy.grace, policy.time_zone)
        tx.schedule(CYCLE_TIMER, CYCLE_KEY, scheduled_for(period, policy.time_zone, policy.grace))


async def close_next(chunk: Chunk, *, tx: Tx) -> Closed | None:
    """Close one chunk; invoices that cannot be charged come up again on the schedule (SUB-6)."""
    closed = await closing.close_chunk(tx, chunk)
    tx.eventful = closed is not None and closed.periods > 0
    for invoice_id in closed.not_charged if closed else ():
        tx.schedule(DUNNING_TIMER, str(invoice_id), chunk.next_attempt_at)
    return closed


async def finish_run(run: Run, left_out: frozenset[UUID], *, tx: Tx) -> bool:
    """Say that a run is done, once, when nothing is due any more (SUB-8); whether this caller did."""
    if not await runs.finish(tx, run, tx.now, left_out):
        tx.eventful = False
        return False
    tx.publish(run_finished(run, await runs.read_report(tx, run), tx.now))
    for subscription_id in sorted(left_out):
        detail = (
            f"the bill of subscription {subscription_id} is above 10^12 minor units and was not issued: look at its "
            f"use, which may be wrong, then run {run.period} again"
        )
        tx.alert(AlertKind.TASK_FAILING, str(subscription_id), detail)
    tx.notify(RUN_CHANGED)
    return True


def cycle_timers(policy: BillingPolicy) -> Mapping[str, TimerHandler]:
    """What starts runs by itself."""
    return {CYCLE_TIMER: partial(start_scheduled_runs, policy=policy)}


@dataclass(slots=True)
class RunWork:
    """One process' work on a run; `closed` is called after every chunk with what it closed."""

    run: Run
    policy: BillingPolicy
    transaction: OpenTransaction
    closed: Callable[[Closed], None] = lambda _: None
    stopping: Callable[[], bool] = lambda: False
    chunk_size: int = 2000
    _left_out: frozenset[UUID] = field(default_factory=frozenset)
    _groups: deque[tuple[int, ...]] = field(default_factory=deque)
    _chunks: int = 0

    @property
    def left_out(self) -> frozenset[UUID]:
        """Subscriptions whose bill no message can carry."""
        return self._left_out

    async def to_the_end(self, workers: int) -> None:
        """Close everything that is due with this many connections, and finish the run unless another process does.

        Shards that another process works on are waited for. Returns early, between two chunks, when `stopping`.
        """
        while not self.stopping():
            async with self._transaction("cycle") as tx:
                tx.eventful = False
                await self._plan(workers, tx=tx)
                known = await runs.find(tx, self.run.run_id)
            if known is None or known.finished_at is not None:
                return
            if not self._groups:
                if await self._finish():
                    return
                await asyncio.sleep(_BUSY_PAUSE_S)
                continue
            chunks_before = self._chunks
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._close_shards())
            if self._chunks == chunks_before:
                await asyncio.sleep(_BUSY_PAUSE_S)

    async def _plan(self, workers: int, *, tx: Tx) -> None:
        """Share the due shards out in groups that make about one chunk each: few subscriptions make few commits."""
        due = await closing.due_shards(tx, self.run.period, self._left_out)
        left = (await runs.read_progress(tx, self.run)).left if due else 0
        size = max(1, min(self.chunk_size * len(due) // max(1, left), -(-len(due) // workers)))
        self._groups.extend(tuple(due[start : start + size]) for start in range(0, len(due), size))

    async def _close_shards(self) -> None:
        while self._groups and not self.stopping():
            group = self._groups.popleft()
            while await self._close(group) and not self.stopping():
                pass

    async def _close(self, group: tuple[int, ...]) -> bool:
        """Whether the shards may have more that is due."""
        async with self._transaction("closing") as tx:
            chunk = self._chunk(group, tx.now)
            closed = await close_next(chunk, tx=tx)
        if closed is None:
            return False
        self._left_out |= set(closed.too_large)
        self._chunks += 1
        self.closed(closed)
        return closed.periods == self.chunk_size

    async def _finish(self) -> bool:
        async with self._transaction("finishing") as tx:
            return await finish_run(self.run, self._left_out, tx=tx)

    def _chunk(self, group: tuple[int, ...], now: datetime) -> Chunk:
        return Chunk(
            run_id=self.run.run_id,
            through=self.run.period,
            shards=group,
            zone=self.policy.time_zone,
            next_attempt_at=self.policy.retry_at(now, 1, now) or now,
            left_out=self._left_out,
            limit=self.chunk_size,
        )

    def _transaction(self, point: str) -> AbstractAsyncContextManager[Tx]:
        run_id = str(self.run.run_id)
        return self.transaction(Cause(run_id, run_id, self.run.requested_by), (point,))


class BillingCycle(PeriodicLoop):
    """Works on open runs, the earliest period first; replicas share the shards (SUB-4)."""

    name = "billing-cycle"

    def __init__(self, transaction: OpenTransaction, policy: BillingPolicy, workers: int) -> None:
        super().__init__(idle_s=1.0)
        self._transaction = transaction
        self._policy = policy
        self._workers = workers

    async def run_once(self) -> bool:
        """Work on the earliest open run to its end; True when there was one."""
        async with self._transaction(Cause.of_person(OPERATOR), ("cycle",)) as tx:
            tx.eventful = False
            await schedule_cycle(tx=tx, policy=self._policy)
            run = await runs.oldest_open(tx)
        if run is None:
            return False
        work = RunWork(run, self._policy, self._transaction, stopping=lambda: self._stopping)
        await work.to_the_end(self._workers)
        return True
