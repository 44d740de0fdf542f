"""Runs over HTTP, for operators: start one, preview it, follow it (SUB-8)."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from caas_billing.domain.billing_policy import BillingPolicy
from caas_billing.domain.billing_run import Progress, Run, RunReport
from caas_billing.domain.period import Period
from caas_billing.errors import BillingRunNotFound
from caas_billing.handlers.closing import period_named, refuse_unended, start_run
from caas_billing.http.callers import Limit, Operator
from caas_billing.store import closing, runs
from caas_billing.store.preview import Preview
from caas_chassis.runtime import Runtime
from caas_chassis.transaction import Tx
from caas_chassis.web import cause_of
from caas_contracts.message import Instant


class RunRequest(BaseModel):
    """What is to be closed; a dry run writes nothing and says what would happen."""

    period: Annotated[str, Field(max_length=20, description="a calendar month, 2026-10")]
    dry_run: bool = False


class RunState(BaseModel):
    """A run, how far it is, and what it has come to so far."""

    run_id: UUID
    period: str
    requested_by: str
    requested_at: Instant
    finished_at: Instant | None
    progress: Progress
    report: RunReport


class RunSummary(BaseModel):
    """A run among others."""

    run_id: UUID
    period: str
    requested_by: str
    requested_at: Instant
    finished_at: Instant | None


class RunList(BaseModel):
    """Runs, the newest first."""

    runs: list[RunSummary]


class RunPreview(BaseModel):
    """What a run of the period would come to now."""

    period: str
    report: RunReport


def runs_router(runtime: Runtime, policy: BillingPolicy) -> APIRouter:
    """What operators do about the end of a month."""
    router = APIRouter(tags=["operators"])

    @router.post("/billing-runs", status_code=202, responses={200: {"model": RunPreview}})
    async def request_run(
        wanted: RunRequest, request: Request, response: Response, principal: Operator
    ) -> RunState | RunPreview:
        """Start the run of a period, or join the open one; with `dry_run`, only say what it would come to."""
        period = period_named(wanted.period)
        if wanted.dry_run:
            refuse_unended(period, runtime.clock.now(), policy)
            response.status_code = 200
            return RunPreview(period=str(period), report=await _preview(runtime, period, policy))
        async with runtime.transaction(cause_of(request, principal)) as tx:
            run = await start_run(period, principal.actor, tx=tx, policy=policy)
        response.headers["Location"] = f"/billing-runs/{run.run_id}"
        async with runtime.reading() as tx:
            return await _state(run, tx)

    @router.get("/billing-runs")
    async def list_runs(_: Operator, limit: Limit = 50) -> RunList:
        """Runs, the newest first."""
        async with runtime.reading() as tx:
            return RunList(runs=[_summary(run) for run in await runs.list_newest(tx, limit)])

    @router.get("/billing-runs/{run_id}")
    async def read_run(run_id: UUID, _: Operator) -> RunState:
        """One run: how far it is and what it has come to."""
        async with runtime.reading() as tx:
            run = await runs.find(tx, run_id)
            if run is None:
                raise BillingRunNotFound(f"no billing run {run_id}: list them with GET /billing-runs")
            return await _state(run, tx)

    return router


async def _preview(runtime: Runtime, period: Period, policy: BillingPolicy) -> RunReport:
    """One snapshot, so that the sums fit together; the transaction cannot write."""
    preview = Preview(period, policy.time_zone)
    async with runtime.reading() as tx:
        for shard in await closing.due_shards(tx, period):
            await preview.look_at(shard, tx=tx)
    return preview.report()


async def _state(run: Run, tx: Tx) -> RunState:
    progress, report = await runs.read_progress(tx, run), await runs.read_report(tx, run)
    return RunState(**_summary(run).model_dump(), progress=progress, report=report)


def _summary(run: Run) -> RunSummary:
    return RunSummary(
        run_id=run.run_id,
        period=str(run.period),
        requested_by=run.requested_by,
        requested_at=run.requested_at,
        finished_at=run.finished_at,
    )
