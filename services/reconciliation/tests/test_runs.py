"""Runs: on schedule and on demand, one at a time, patient with the gateway, safe to repeat (RCN-1)."""

from datetime import datetime, timedelta

import pytest

from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.reconciliation import ReconciliationCompleted
from caas_reconciliation.app import policy_of
from caas_reconciliation.domain.run import Run, RunStatus, Trigger
from caas_reconciliation.gateway import FeedAnswer, Unavailable, Unusable
from caas_reconciliation.handlers.runs import RUN_TIMER, RUN_TIMER_KEY, Schedule, start_run
from caas_reconciliation.store import runs
from services.reconciliation.tests.builders import AN_INSTANT, a_capture, a_line, settings_for
from services.reconciliation.tests.running import Reconciliation, a_reconciliation


async def latest(service: Reconciliation) -> list[Run]:
    async with service.reading() as tx:
        return await runs.latest(limit=50, tx=tx)


async def start(service: Reconciliation) -> None:
    async with service.harness.transaction() as tx:
        await start_run(Trigger.DEMAND, requested_by="operator:test", tx=tx)


async def test_a_run_reads_page_after_page_and_the_next_goes_on_from_there(service: Reconciliation) -> None:
    captures = [a_capture() for _ in range(7)]
    await service.harness.receive(*captures)
    report = await service.reconcile(*[a_line(capture.payment_id) for capture in captures])
    assert (report.lines, report.matched_lines) == (7, 7)
    assert service.feed.asked == ["", "3", "6"]
    again = await service.reconcile()
    assert (again.lines, again.matched_lines) == (0, 0)
    assert service.feed.asked[3:] == ["7"]


async def test_a_run_says_what_it_found(service: Reconciliation) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    await service.reconcile(a_line(capture.payment_id, 1000))
    [completed] = await service.harness.published(ReconciliationCompleted)
    assert (completed.lines, completed.matched, completed.matched_gross.amount_minor) == (1, 1, 1000)
    assert (completed.cases_opened, completed.cases_open, completed.proof_difference_minor) == (1, 1, 0)


async def test_a_second_request_joins_the_running_run(service: Reconciliation) -> None:
    await start(service)
    await start(service)
    await service.harness.run_effects()
    assert [run.status for run in await latest(service)] == [RunStatus.COMPLETED]


@pytest.mark.parametrize("failure", [Unavailable("status 503"), Unusable("the page is not as GW-1 says")])
async def test_a_gateway_that_fails_three_times_is_asked_again(
    service: Reconciliation, failure: FeedAnswer
) -> None:  # GW-2
    service.feed.failures += [failure] * 3
    await start(service)
    for _ in range(4):
        await service.harness.run_effects()
        await service.harness.skip_delays()
    assert [run.status for run in await latest(service)] == [RunStatus.COMPLETED]
    assert await service.harness.published(AlertRaised) == []


async def test_a_gateway_that_keeps_failing_fails_the_run_and_the_next_one_loses_nothing(
    service: Reconciliation,
) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    service.feed.state(*[a_line(capture.payment_id, 400) for _ in range(5)])
    service.feed.failures += [Unavailable("status 503")] * 4
    await start(service)
    for _ in range(4):
        await service.harness.run_effects()
        await service.harness.skip_delays()
    [failed] = await latest(service)
    assert (failed.status, failed.failure) == (RunStatus.FAILED, "status 503")
    [alert] = await service.harness.published(AlertRaised)
    assert alert.kind is AlertKind.RETRIES_EXHAUSTED
    report = await service.reconcile()
    assert report.matched_lines == 5


async def test_a_page_fetched_again_after_a_crash_counts_once(service: Reconciliation) -> None:
    """A process that died asks for the same pages once more, and so does a restored backup."""
    capture = a_capture()
    await service.harness.receive(capture)
    lines = [a_line(capture.payment_id, 400) for _ in range(4)]
    await service.reconcile(*lines)
    before = await service.state()
    report = await service.read_feed_again(lines)
    assert (report.lines, report.matched_lines) == (0, 0)
    assert await service.state() == before


async def test_the_schedule_runs_every_hour_and_does_not_catch_up(make_database: MakeDatabase) -> None:
    async with a_reconciliation(make_database) as service:
        policy = policy_of(settings_for("postgresql://unused"))
        schedule = Schedule(service.harness.runtime.transaction, policy)
        await schedule.start()
        await schedule.stop()
        for hours in (1, 1, 24):
            await service.harness.move_clock(timedelta(hours=hours, minutes=1))
            await service.harness.run_effects()
        found = await latest(service)
        assert [(run.trigger, run.status) for run in found] == [(Trigger.SCHEDULE, RunStatus.COMPLETED)] * 3
        async with service.reading() as tx:
            due_at = await tx.fetchval(
                "SELECT due_at FROM chassis.timer WHERE timer = $1 AND key = $2", RUN_TIMER, RUN_TIMER_KEY
            )
        assert isinstance(due_at, datetime)
        assert due_at > service.harness.clock.now()


async def test_a_case_past_its_age_alerts_operations_once(service: Reconciliation) -> None:  # NOT-2
    capture = a_capture()
    await service.harness.receive(capture)
    await service.reconcile(a_line(capture.payment_id, 1000))
    await service.move_to(AN_INSTANT + timedelta(days=11))
    await service.reconcile()
    await service.reconcile()
    [case] = await service.open_cases()
    [alert] = await service.harness.published(AlertRaised)
    assert (alert.kind, alert.subject) == (AlertKind.CASE_OVERDUE, str(case.case_id))
