"""Runs and their reports (RCN-1, RCN-7)."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from caas_chassis.auth import Principal
from caas_chassis.runtime import Runtime
from caas_chassis.web import cause_of, requires
from caas_reconciliation.domain.report import RunReport
from caas_reconciliation.domain.run import Run, RunStatus, Trigger
from caas_reconciliation.errors import RunNotFinished, UnknownRun
from caas_reconciliation.handlers.runs import start_run
from caas_reconciliation.store import runs

MAX_WAIT_S: Final = 30.0

Operator = Annotated[Principal, Depends(requires("operator"))]


def router_of(runtime: Runtime) -> APIRouter:
    """The routes below /runs."""
    router = APIRouter(prefix="/runs", tags=["runs"])

    @router.post("", status_code=202)
    async def post_run(
        request: Request,
        response: Response,
        operator: Operator,
        prefer: Annotated[str, Header(max_length=200)] = "",
    ) -> Run:
        """Start a run, or join the one that is running. `Prefer: wait=N` waits up to 30 s for its end: 200."""
        async with runtime.transaction(cause_of(request, operator)) as tx:
            run_id = await start_run(Trigger.DEMAND, requested_by=operator.actor, tx=tx)
        response.headers["Location"] = f"/runs/{run_id}"
        finished = await runtime.wait(str(run_id), lambda: _finished(runtime, run_id), _wait_s(prefer))
        if finished is not None:
            response.status_code = 200
            return finished
        return await _read(runtime, run_id)

    @router.get("")
    async def get_runs(_: Operator, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> list[Run]:
        """The newest runs first."""
        async with runtime.reading() as tx:
            return await runs.latest(limit=limit, tx=tx)

    @router.get("/{run_id}")
    async def get_run(run_id: UUID, _: Operator) -> Run:
        """One run, without its report."""
        return await _read(runtime, run_id)

    @router.get("/{run_id}/report")
    async def get_report(run_id: UUID, _: Operator) -> RunReport:
        """The report of a completed run; 409 before that, and for a failed one."""
        run = await _read(runtime, run_id)
        async with runtime.reading() as tx:
            report = await runs.report_of(run_id, tx=tx)
        if report is None:
            raise RunNotFinished(f"run {run_id} is {run.status}{f': {run.failure}' if run.failure else ''}")
        return report

    return router


async def _read(runtime: Runtime, run_id: UUID) -> Run:
    async with runtime.reading() as tx:
        run = await runs.read(run_id, tx=tx)
    if run is None:
        raise UnknownRun(f"no run {run_id}")
    return run


async def _finished(runtime: Runtime, run_id: UUID) -> Run | None:
    run = await _read(runtime, run_id)
    return None if run.status is RunStatus.RUNNING else run


def _wait_s(prefer: str) -> float:
    """The seconds of `Prefer: wait=N` (RFC 7240); preferences that are not understood are ignored."""
    for preference in prefer.split(","):
        name, _, value = preference.strip().partition("=")
        if name.lower() == "wait" and value.isascii() and value.isdigit():
            return min(MAX_WAIT_S, float(value))
    return 0.0
