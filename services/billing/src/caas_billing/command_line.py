"""`caas billing`: what operators type at the end of a month (SUB-8).

Exit codes: 0 done, 1 stopped before the end or something is left open, 2 it could not be done, or wrong arguments.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import cyclopts

from caas_billing.collections_command import collections
from caas_billing.command_output import Listed, Outcome, Speaker
from caas_billing.domain.billing_policy import BillingPolicy
from caas_billing.domain.billing_run import Run, RunReport
from caas_billing.domain.period import Period
from caas_billing.errors import PeriodMalformed, PeriodNotEnded
from caas_billing.handlers.closing import RunWork, period_named, refuse_unended, start_run
from caas_billing.store import closing, runs
from caas_billing.store.closing import Closed
from caas_billing.store.preview import Preview
from caas_chassis.cause import Cause
from caas_chassis.database import TRANSIENT
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.settings import ServiceSettings
from caas_chassis.time_zones import zone_named

DONE: Final = 0
LEFT_OPEN: Final = 1
_NOT_DONE: Final = (*TRANSIENT, asyncpg.PostgresError, asyncpg.InterfaceError)

billing = cyclopts.App(name="billing", help="The end of the month: runs of the billing cycle, and what stays unpaid.")
billing.command(collections)

DatabaseUrl = Annotated[str, cyclopts.Parameter(env_var="CAAS_BILLING_DATABASE_URL")]
ClockFile = Annotated[Path | None, cyclopts.Parameter(env_var="CAAS_CLOCK_FILE")]
ZoneName = Annotated[str, cyclopts.Parameter(env_var="CAAS_BILLING_BILLING_TIME_ZONE")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json")]


@billing.command
def run(
    *,
    period: str,
    database_url: DatabaseUrl,
    dry_run: bool = False,
    workers: Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=1, lte=16))] = 2,
    time_zone: ZoneName = "Europe/Madrid",
    clock_file: ClockFile = None,
    as_json: AsJson = False,
) -> None:
    """Close a period: rate, invoice and charge every subscription that is due, each exactly once.

    It can be interrupted and started again, and run beside the service or another `run`: they share the work.

    Parameters
    ----------
    period
        The calendar month, 2026-10. Earlier months that are still open are closed before it.
    database_url
        The database of billing, for the role that serves.
    dry_run
        Write nothing: say what would be invoiced.
    workers
        Connections that close at once.
    time_zone
        The billing time zone; the same as the service's.
    clock_file
        Where demos and tests move the business clock.
    as_json
        Print the report as JSON.
    """
    speaker = Speaker(as_json)
    policy = BillingPolicy(time_zone=_zone(time_zone, speaker))
    task = _run(database_url, clock_file, policy, period, dry_run=dry_run, workers=workers, speaker=speaker)
    outcome = _carried_out(task, speaker)
    speaker.say_outcome(outcome)
    sys.exit(DONE if outcome.finished and not outcome.report.too_large else LEFT_OPEN)


@billing.command(name="runs")
def list_runs(*, database_url: DatabaseUrl, limit: int = 20, as_json: AsJson = False) -> None:
    """List the runs, the newest first, and how far each is.

    Parameters
    ----------
    database_url
        The database of billing; reading is enough.
    limit
        How many to list.
    as_json
        Print them as JSON.
    """
    speaker = Speaker(as_json)
    speaker.say_runs(_carried_out(_listed(database_url, limit), speaker))


@billing.command
def status(*, database_url: DatabaseUrl, run_id: UUID | None = None, as_json: AsJson = False) -> None:
    """Say how far a run is and what it has come to; without --run-id, the newest one.

    Parameters
    ----------
    database_url
        The database of billing; reading is enough.
    run_id
        Which run; `caas billing runs` lists them.
    as_json
        Print it as JSON.
    """
    speaker = Speaker(as_json)
    outcome = _carried_out(_found(database_url, run_id), speaker)
    if outcome is None:
        speaker.give_up("there is no such run: `caas billing runs` lists them")
    speaker.say_outcome(outcome)
    sys.exit(DONE if outcome.finished else LEFT_OPEN)


async def _run(
    url: str,
    clock_file: Path | None,
    policy: BillingPolicy,
    text: str,
    *,
    dry_run: bool,
    workers: int,
    speaker: Speaker,
) -> Outcome:
    runtime = _runtime(url, clock_file, workers)
    try:
        period = period_named(text)
        refuse_unended(period, runtime.clock.now(), policy)
        if dry_run:
            return await _preview(runtime, period, policy, speaker)
        return await _close(runtime, period, policy, workers, speaker)
    finally:
        await runtime.database.close()


async def _preview(runtime: Runtime, period: Period, policy: BillingPolicy, speaker: Speaker) -> Outcome:
    """One read-only snapshot."""
    preview = Preview(period, policy.time_zone)
    async with runtime.reading() as tx:
        shards = await closing.due_shards(tx, period)
        with speaker.progress(f"preview of {period}", len(shards), "shards") as advance:
            for shard in shards:
                await preview.look_at(shard, tx=tx)
                advance(1)
    return Outcome(period=str(period), dry_run=True, finished=True, run_id=None, report=preview.report())


async def _close(runtime: Runtime, period: Period, policy: BillingPolicy, workers: int, speaker: Speaker) -> Outcome:
    async with runtime.transaction(Cause.of_person(f"operator:{getuser()}"), ("starting",)) as tx:
        run = await start_run(period, f"operator:{getuser()}", tx=tx, policy=policy)
    async with runtime.reading() as tx:
        progress = await runs.read_progress(tx, run)
    if progress.closed:
        speaker.say(f"run {run.run_id} goes on: {progress.closed} periods are closed already")
    stopped = asyncio.Event()
    _stop_on_signals(stopped)
    with speaker.progress(f"closing {period}", progress.left, "periods") as advance:

        def count(closed: Closed) -> None:
            advance(closed.periods)

        work = RunWork(run, policy, runtime.transaction, closed=count, stopping=stopped.is_set)
        await work.to_the_end(workers)
    async with runtime.reading() as tx:
        found = await runs.find(tx, run.run_id) or run
        return _outcome(found, await runs.read_report(tx, found, work.left_out))


def _stop_on_signals(stopped: asyncio.Event) -> None:
    """Ctrl-C ends the work between two chunks; nothing is lost either way."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopped.set)


async def _listed(url: str, limit: int) -> list[Listed]:
    runtime = _runtime(url, None, 1)
    try:
        async with runtime.reading() as tx:
            return [Listed(one, await runs.read_progress(tx, one)) for one in await runs.list_newest(tx, limit)]
    finally:
        await runtime.database.close()


async def _found(url: str, run_id: UUID | None) -> Outcome | None:
    runtime = _runtime(url, None, 1)
    try:
        async with runtime.reading() as tx:
            newest = await runs.list_newest(tx, 1)
            one = await runs.find(tx, run_id) if run_id else next(iter(newest), None)
            return _outcome(one, await runs.read_report(tx, one)) if one else None
    finally:
        await runtime.database.close()


def _outcome(run: Run, report: RunReport) -> Outcome:
    is_over = run.finished_at is not None
    return Outcome(period=str(run.period), dry_run=False, finished=is_over, run_id=run.run_id, report=report)


def _runtime(url: str, clock_file: Path | None, workers: int) -> Runtime:
    """Opens transactions as the service does; nothing of it is started."""
    settings = ServiceSettings(database_url=url, clock_file=clock_file, database_pool_size=workers + 2)
    return Runtime(Service(name="billing", migrations="caas_billing.migrations", handlers={}), settings)


def _zone(name: str, speaker: Speaker) -> ZoneInfo:
    zone = zone_named(name)
    if zone is None:
        speaker.give_up(f"{name!r} is no time zone of the IANA database, such as Europe/Madrid")
    return zone


def _carried_out[T](task: Coroutine[Any, Any, T], speaker: Speaker) -> T:
    try:
        return asyncio.run(task)
    except (PeriodMalformed, PeriodNotEnded) as refused:
        speaker.give_up(refused.detail)
    except asyncpg.UndefinedTableError:
        speaker.give_up("this is not billing's database, or it is not migrated: run `python -m caas_billing migrate`")
    except BaseExceptionGroup as group:
        speaker.give_up(f"the database failed: {_first(group)}. What was committed stays; run the command again")
    except _NOT_DONE as error:
        speaker.give_up(f"the database cannot be used: {type(error).__name__}: {error}")


def _first(group: BaseExceptionGroup) -> BaseException:
    if not group.subgroup(_NOT_DONE):
        raise group
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return inner


if __name__ == "__main__":
    billing()
