"""A reconciliation run: pull the feed to its end, match, look for discrepancies, report (RCN-1, RCN-7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID


class RunStatus(StrEnum):
    """At most one run is RUNNING."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


TRANSITIONS: Final[Mapping[RunStatus, frozenset[RunStatus]]] = {
    RunStatus.RUNNING: frozenset({RunStatus.COMPLETED, RunStatus.FAILED}),
    RunStatus.COMPLETED: frozenset(),
    RunStatus.FAILED: frozenset(),
}


class Trigger(StrEnum):
    """What started the run."""

    SCHEDULE = "schedule"
    DEMAND = "demand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`lines` counts those that were new to us; `failure` says why a failed run ended."""

    run_id: UUID
    trigger: Trigger
    requested_by: str
    status: RunStatus
    started_at: datetime
    completed_at: datetime | None
    lines: int
    failure: str | None
