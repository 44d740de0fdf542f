"""Runs; a partial unique index lets only one be running."""

from typing import Final
from uuid import UUID

from asyncpg import Record
from pydantic import TypeAdapter

from caas_chassis.transaction import Tx
from caas_reconciliation.domain.report import RunReport
from caas_reconciliation.domain.run import Run, RunStatus, Trigger

INSERT_RUN: Final = """
INSERT INTO run (run_id, trigger, requested_by, status, started_at) VALUES ($1, $2, $3, 'running', $4)
ON CONFLICT ((true)) WHERE status = 'running' DO NOTHING RETURNING run_id
"""
SELECT_RUNNING: Final = "SELECT run_id FROM run WHERE status = 'running'"
COUNT_LINES: Final = "UPDATE run SET lines = lines + $2 WHERE run_id = $1"
COMPLETE: Final = """
UPDATE run SET status = 'completed', completed_at = $2, report = $3::jsonb WHERE run_id = $1 AND status = 'running'
"""
FAIL: Final = """
UPDATE run SET status = 'failed', completed_at = $2, failure = $3 WHERE run_id = $1 AND status = 'running'
"""
SELECT_RUN: Final = """
SELECT run_id, trigger, requested_by, status, started_at, completed_at, lines, failure FROM run WHERE run_id = $1
"""
SELECT_RUNS: Final = """
SELECT run_id, trigger, requested_by, status, started_at, completed_at, lines, failure
FROM run ORDER BY started_at DESC, run_id DESC LIMIT $1
"""
SELECT_REPORT: Final = "SELECT report FROM run WHERE run_id = $1"

_REPORT: Final = TypeAdapter(RunReport)


async def start(run: Run, *, tx: Tx) -> UUID:
    """Start the run, unless one is running. Returns the id of the running one."""
    args = (run.run_id, run.trigger.value, run.requested_by, run.started_at)
    started = await tx.fetchval(INSERT_RUN, *args) or await tx.fetchval(SELECT_RUNNING)
    assert isinstance(started, UUID)
    return started


async def count_lines(run_id: UUID, lines: int, *, tx: Tx) -> None:
    """Add to the number of lines that were new to us."""
    await tx.execute(COUNT_LINES, run_id, lines)


async def complete(report: RunReport, *, tx: Tx) -> None:
    """Finish a run with its report."""
    await tx.execute(COMPLETE, report.run_id, report.completed_at, _REPORT.dump_json(report).decode())


async def fail(run_id: UUID, failure: str, *, tx: Tx) -> None:
    """Give a run up; the next one continues from the same cursor."""
    await tx.execute(FAIL, run_id, tx.now, failure)


async def read(run_id: UUID, *, tx: Tx) -> Run | None:
    """One run."""
    row = await tx.fetchrow(SELECT_RUN, run_id)
    return None if row is None else _run(row)


async def latest(*, limit: int, tx: Tx) -> list[Run]:
    """The newest runs, newest first."""
    return [_run(row) for row in await tx.fetch(SELECT_RUNS, limit)]


async def report_of(run_id: UUID, *, tx: Tx) -> RunReport | None:
    """The report of a completed run."""
    stored = await tx.fetchval(SELECT_REPORT, run_id)
    return None if stored is None else _REPORT.validate_json(str(stored))


def _run(row: Record) -> Run:
    return Run(**{**dict(row), "trigger": Trigger(row["trigger"]), "status": RunStatus(row["status"])})
