"""Rate plans (SUB-3): what the use of a subscribed service costs, and from when on.

Invariant: a plan's versions are in force one after the other, and each says all that its kind needs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from caas_contracts.subscriptions import RatePlan, RatePlanKind
from caas_orders.domain.registration import Language

_MADRID: Final = ZoneInfo("Europe/Madrid")


@dataclass(frozen=True, slots=True)
class PlanHistory:
    """All versions of one plan, oldest first, and what its unit is called, for those that count one."""

    plan_code: str
    versions: tuple[RatePlan, ...]
    unit_names: Mapping[Language, str]

    def in_force_at(self, instant: datetime, *, at_least: int = 0) -> RatePlan | None:
        """The newest version in force in the instant's month, never older than `at_least`; None before the first."""
        month = instant.astimezone(_MADRID).strftime("%Y-%m")
        begun = [plan for plan in self.versions if plan.effective_from <= month or plan.version <= at_least]
        return begun[-1] if begun else None

    def after(self, version: int) -> tuple[RatePlan, ...]:
        """The versions that will follow one."""
        return tuple(plan for plan in self.versions if plan.version > version)


def plan_from(data: Mapping[str, Any], currency: str) -> PlanHistory:
    """A plan from its data. A missing field raises KeyError, one that makes no sense ValueError."""
    versions = tuple(_version(data["plan_code"], one, currency) for one in data["versions"])
    history = PlanHistory(
        data["plan_code"],
        versions,
        {language: data["unit_name"][language.value] for language in Language} if "unit_name" in data else {},
    )
    for contradiction in _contradictions(history):
        raise ValueError(f"plan {history.plan_code}: {contradiction}")
    return history


def _version(plan_code: str, data: Mapping[str, Any], currency: str) -> RatePlan:
    tiers = [{"up_to": None, **tier} for tier in data.get("tiers", ())]
    kind = RatePlanKind(data["kind"])
    return RatePlan.model_validate({**data, "kind": kind, "plan_code": plan_code, "currency": currency, "tiers": tiers})


def _contradictions(history: PlanHistory) -> Iterator[str]:
    if not history.versions:
        yield "it has no version"
    for older, newer in pairwise(history.versions):
        if newer.version <= older.version or newer.effective_from <= older.effective_from:
            yield f"version {newer.version} does not follow version {older.version} in number and month"
    for plan in history.versions:
        counts = plan.kind is not RatePlanKind.FLAT_MONTHLY
        if counts != (plan.unit is not None) or (counts and not history.unit_names):
            yield f"version {plan.version} has to count something, unless it is flat, and unit_name to say what"
        if (plan.kind is RatePlanKind.TIERED) != (plan.rate is None) or (plan.rate is None) != bool(plan.tiers):
            yield f"version {plan.version} needs either a rate or, when tiered, tiers"
        if not _is_staircase([tier.up_to for tier in plan.tiers]):
            yield f"version {plan.version} needs tiers that rise, of which the last alone has no end"


def _is_staircase(ends: list[str | None]) -> bool:
    bounded = [Decimal(end) for end in ends[:-1] if end is not None]
    rises = all(lower < upper for lower, upper in pairwise([Decimal(0), *bounded]))
    return not ends or (len(bounded) == len(ends) - 1 and ends[-1] is None and rises)
