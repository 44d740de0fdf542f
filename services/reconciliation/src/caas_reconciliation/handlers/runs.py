"""Runs (RCN-1): pull the gateway's feed page by page, as an effect, then reconcile in one transaction.

A process that dies after a page was fetched fetches it again: lines are kept once, so nothing is counted
twice. A run that fails leaves the cursor where it is; the next one goes on from there.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, assert_never
from uuid import UUID

from pydantic import BaseModel

from caas_chassis.cause import Cause
from caas_chassis.effects import Done, Effect
from caas_chassis.ids import new_id
from caas_chassis.processing import OpenTransaction
from caas_chassis.timers import DueTimer, TimerHandler
from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertKind
from caas_reconciliation.domain.policy import Policy
from caas_reconciliation.domain.run import Run, RunStatus, Trigger
from caas_reconciliation.gateway import FeedAnswer, Page, SettlementFeed, Unavailable, Unusable
from caas_reconciliation.handlers.findings import open_cases
from caas_reconciliation.handlers.reconciling import reconcile
from caas_reconciliation.store import runs, settlements

PULL: Final = "settlements"
RUN_TIMER: Final = "settlement-run"
RUN_TIMER_KEY: Final = "gateway"


class PullPage(BaseModel):
    """One page to fetch for a run; `attempt` counts the failures so far at this cursor."""

    run_id: UUID
    cursor: str
    attempt: int = 0


async def start_run(trigger: Trigger, *, requested_by: str, tx: Tx) -> UUID:
    """Start a run unless one is running; returns the id of the one that is running now."""
    run = Run(
        run_id=new_id(),
        trigger=trigger,
        requested_by=requested_by,
        status=RunStatus.RUNNING,
        started_at=tx.now,
        completed_at=None,
        lines=0,
        failure=None,
    )
    running = await runs.start(run, tx=tx)
    if running == run.run_id:
        cursor = await settlements.read_cursor(tx=tx)
        tx.enqueue(PULL, PullPage(run_id=run.run_id, cursor=cursor), key=str(run.run_id))
    return running


def timers(policy: Policy) -> Mapping[str, TimerHandler]:
    """The hourly run (RCN-1). Hours that passed while nobody ran are not caught up: one run reads everything."""

    async def run_on_schedule(due: Sequence[DueTimer], /, *, tx: Tx) -> None:
        await start_run(Trigger.SCHEDULE, requested_by=tx.service, tx=tx)
        for timer in due:
            tx.schedule(RUN_TIMER, timer.key, tx.now + policy.run_every)

    return {RUN_TIMER: run_on_schedule}


def pulling(feed: SettlementFeed, policy: Policy, *, page_size: int) -> Effect[PullPage, FeedAnswer]:
    """The effect that fetches pages; one at a time, because each says where the next begins."""

    async def fetch(pull: PullPage) -> FeedAnswer:
        return await feed.page(pull.cursor, page_size)

    async def record(done: Sequence[Done[PullPage, FeedAnswer]], /, *, tx: Tx) -> None:
        for one in done:
            tx.cause = one.cause
            await _record_answer(one.payload, one.result, policy, tx=tx)

    return Effect(name=PULL, payload=PullPage, call=fetch, record=record, concurrency=1)


async def _record_answer(pull: PullPage, answer: FeedAnswer, policy: Policy, *, tx: Tx) -> None:
    match answer:
        case Page():
            await _record_page(pull, answer, policy, tx=tx)
        case Unavailable(detail, retry_after_s):
            await _try_again(pull, detail, retry_after_s, policy, tx=tx)
        case Unusable(detail):
            await _try_again(pull, detail, None, policy, tx=tx)
        case _:
            assert_never(answer)


async def _record_page(pull: PullPage, page: Page, policy: Policy, *, tx: Tx) -> None:
    await settlements.lock_feed(tx=tx)
    new_lines, changed = await settlements.store_lines(page.lines, run_id=pull.run_id, tx=tx)
    await open_cases(changed, run_id=pull.run_id, tx=tx)
    await runs.count_lines(pull.run_id, new_lines, tx=tx)
    await settlements.advance(page.next_cursor, tx=tx)
    if page.has_more:
        following = PullPage(run_id=pull.run_id, cursor=page.next_cursor)
        tx.enqueue(PULL, following, key=str(pull.run_id))
    else:
        await reconcile(pull.run_id, policy, tx=tx)


async def _try_again(pull: PullPage, detail: str, retry_after_s: float | None, policy: Policy, *, tx: Tx) -> None:
    """GW-2: three more tries; then the run fails and operations are alerted."""
    delays = policy.pull_retry_delays_s
    if pull.attempt < len(delays):
        delay = timedelta(seconds=max(delays[pull.attempt], retry_after_s or 0.0))
        again = pull.model_copy(update={"attempt": pull.attempt + 1})
        tx.enqueue(PULL, again, key=str(pull.run_id), delay=delay)
        return
    await runs.fail(pull.run_id, detail, tx=tx)
    tx.notify(str(pull.run_id))
    advice = f"settlement feed: {detail}; ask the gateway, then start a run; the schedule tries again as well"
    tx.alert(AlertKind.RETRIES_EXHAUSTED, str(pull.run_id), advice)


class Schedule:
    """Sets the timer of the hourly run when the service starts; from then on the timer sets itself."""

    name = "schedule"

    def __init__(self, transaction: OpenTransaction, policy: Policy) -> None:
        self._transaction = transaction
        self._policy = policy

    @property
    def healthy(self) -> bool:
        """Nothing runs between start and stop."""
        return True

    async def start(self) -> None:
        """A restart sets the timer anew, so a run comes at most one interval after it."""
        async with self._transaction(Cause.of_person("reconciliation"), ("schedule",)) as tx:
            tx.schedule(RUN_TIMER, RUN_TIMER_KEY, tx.now + self._policy.run_every)

    async def stop(self) -> None:
        """Nothing to finish."""
