"""Versions of rate plans as billing keeps them (SUB-3). A version never changes."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from caas_billing.errors import RatePlanMalformed
from caas_contracts.subscriptions import RatePlan, RatePlanKind

_PER_UNIT: Final = frozenset({RatePlanKind.PER_USE, RatePlanKind.TIERED})


@dataclass(frozen=True, slots=True)
class Tier:
    """One step of a tiered plan: the quantity above `above` and up to `up_to` costs `rate` minor units each."""

    above: Decimal
    up_to: Decimal | None
    rate: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanVersion:
    """One version of a plan; `rate` is in minor units per unit, day or month, VAT included, None for tiered plans."""

    plan_code: str
    version: int
    kind: RatePlanKind
    currency: str
    unit: str | None
    rate: Decimal | None
    effective_from: date
    tiers: tuple[Tier, ...] = ()


def plan_version(plan: RatePlan) -> PlanVersion:
    """The version that a message names. Raises RatePlanMalformed when it prices nothing or not everything."""
    tiers = _tiers(plan)
    is_tiered = plan.kind is RatePlanKind.TIERED
    if is_tiered != (plan.rate is None) or is_tiered != bool(tiers):
        raise RatePlanMalformed(plan.plan_code, plan.version, "tiered plans have tiers, all others a rate")
    if plan.kind in _PER_UNIT and plan.unit is None:
        raise RatePlanMalformed(plan.plan_code, plan.version, "what is paid per unit needs a unit")
    return PlanVersion(
        plan_code=plan.plan_code,
        version=plan.version,
        kind=plan.kind,
        currency=plan.currency,
        unit=plan.unit,
        rate=None if plan.rate is None else Decimal(plan.rate),
        effective_from=date.fromisoformat(f"{plan.effective_from}-01"),
        tiers=tiers,
    )


def _tiers(plan: RatePlan) -> tuple[Tier, ...]:
    """Steps without a gap from zero on, the last one without an end."""
    tiers, above = [], Decimal(0)
    for index, step in enumerate(plan.tiers):
        is_last = index == len(plan.tiers) - 1
        up_to = None if step.up_to is None else Decimal(step.up_to)
        if is_last != (up_to is None) or (up_to is not None and up_to <= above):
            raise RatePlanMalformed(plan.plan_code, plan.version, "its tiers must rise, and only the last has no end")
        tiers.append(Tier(above, up_to, Decimal(step.rate)))
        above = above if up_to is None else up_to
    return tuple(tiers)
