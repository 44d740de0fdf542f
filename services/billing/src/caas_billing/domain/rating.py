"""What use costs: quantity times rate in exact decimals, each line rounded once, half up (SUB-3).

This is the reference. `store/closing.py` rates by the thousand in SQL, and a test compares the two line by line.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from caas_billing.domain.period import Period
from caas_billing.domain.rate_plan import PlanVersion, Tier
from caas_contracts.subscriptions import RatePlanKind

_LEAST: Final = Decimal("0.000001")
"""The least quantity that a message can carry."""


def version_in_force(versions: Iterable[PlanVersion], agreed: int, period: Period) -> PlanVersion:
    """The newest version in force at the period's first instant, but none older than the agreed one (SUB-3)."""
    known = [plan for plan in versions if plan.version == agreed or plan.effective_from <= period.first_day]
    return max(known, key=lambda plan: plan.version)


@dataclass(frozen=True, slots=True)
class Use:
    """One use: its calendar day in the billing time zone, and how much."""

    used_on: date
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One rated line: `days` are days with use (per_day_used) or days that the service ran (flat_monthly).

    `usage_events` is how many uses its quantity is taken from; the steps of a tiered plan share theirs.
    """

    plan: PlanVersion
    used_in: Period
    quantity: Decimal
    rate: Decimal
    usage_events: int
    total_minor: int
    tier: int | None = None
    days: int | None = None
    days_in_month: int | None = None


def rate_period(
    versions: Iterable[PlanVersion],
    agreed: int,
    period: Period,
    days_run: int,
    uses: Iterable[Use],
    billed_before: Iterable[Use] = (),
) -> list[Line]:
    """The lines of one subscription's period, those of late usage last, month by month backwards (SUB-2, SUB-3).

    `uses` are billed with this period; those of earlier months are late, and cost what they would have cost in
    time: by the version of their month, a day that was billed already not again, steps continued from
    where `billed_before` (uses billed with earlier periods) had come.
    """
    versions, billed_before = list(versions), list(billed_before)
    by_month = _by_month(uses)
    by_month.setdefault(period, [])
    lines: list[Line] = []
    for used_in in sorted(by_month, reverse=True):
        plan = version_in_force(versions, agreed, used_in)
        if plan.kind is RatePlanKind.FLAT_MONTHLY:
            if used_in == period and days_run:
                lines.append(_flat(plan, period, days_run, len(by_month[used_in])))
        elif by_month[used_in]:
            earlier = [use for use in billed_before if Period.of_day(use.used_on) == used_in]
            lines += _used(plan, used_in, by_month[used_in], earlier)
    return lines


def divided_half_up(dividend: int, divisor: int) -> int:
    """The quotient as a whole number, halves up; the dividend is at least zero."""
    return (2 * dividend + divisor) // (2 * divisor)


def exact_product(one: Decimal, other: Decimal) -> tuple[int, int]:
    """The product as dividend and divisor: no context of the decimal module can round it."""
    (a, b), (c, d) = one.as_integer_ratio(), other.as_integer_ratio()
    return a * c, b * d


def _by_month(uses: Iterable[Use]) -> dict[Period, list[Use]]:
    found: dict[Period, list[Use]] = {}
    for use in uses:
        found.setdefault(Period.of_day(use.used_on), []).append(use)
    return found


def _flat(plan: PlanVersion, period: Period, days_run: int, events: int) -> Line:
    dividend, divisor = _rate(plan).as_integer_ratio()
    return Line(
        plan=plan,
        used_in=period,
        quantity=Decimal(1),
        rate=_rate(plan),
        usage_events=events,
        total_minor=divided_half_up(dividend * days_run, divisor * period.days),
        days=days_run,
        days_in_month=period.days,
    )


def _used(plan: PlanVersion, used_in: Period, uses: list[Use], earlier: list[Use]) -> Iterator[Line]:
    if plan.kind is RatePlanKind.TIERED:
        yield from _tiered(plan, used_in, uses, sum((use.quantity for use in earlier), Decimal(0)))
        return
    days: int | None = None
    quantity = sum((use.quantity for use in uses), Decimal(0))
    if plan.kind is RatePlanKind.PER_DAY_USED:
        days = len({use.used_on for use in uses} - {use.used_on for use in earlier})
        quantity = Decimal(days)
    yield Line(
        plan=plan,
        used_in=used_in,
        quantity=quantity,
        rate=_rate(plan),
        usage_events=len(uses),
        total_minor=divided_half_up(*exact_product(quantity, _rate(plan))),
        days=days,
    )


def _tiered(plan: PlanVersion, used_in: Period, uses: list[Use], before: Decimal) -> Iterator[Line]:
    """A line for each step that the quantity reaches; use of no quantity shows in the step that it stands in."""
    quantity = sum((use.quantity for use in uses), Decimal(0))
    for number, tier in enumerate(plan.tiers, start=1):
        part = _inside(tier, before, before + quantity)
        if part or (not quantity and _inside(tier, before, before + _LEAST)):
            yield Line(
                plan=plan,
                used_in=used_in,
                quantity=part,
                rate=tier.rate,
                usage_events=len(uses),
                total_minor=divided_half_up(*exact_product(part, tier.rate)),
                tier=number,
            )


def _inside(tier: Tier, start: Decimal, end: Decimal) -> Decimal:
    """How much of the quantity from `start` to `end` this step prices."""
    top = end if tier.up_to is None else min(end, tier.up_to)
    return max(Decimal(0), top - max(start, tier.above))


def _rate(plan: PlanVersion) -> Decimal:
    if plan.rate is None:
        raise ValueError(f"plan {plan.plan_code} version {plan.version} has tiers instead of a rate")
    return plan.rate
