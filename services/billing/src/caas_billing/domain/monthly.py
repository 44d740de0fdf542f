"""What a monthly invoice bills: one service of one vehicle over a calendar month, and how its use was rated (SUB-4).

Quantities are exact decimals; rates are minor units per unit, VAT included. The lines sum to the invoice's total.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from caas_contracts.subscriptions import RatePlanKind


@dataclass(frozen=True, slots=True)
class TierRange:
    """The quantities that one step of a tiered plan prices: those above `above`, up to `up_to` (None: all further)."""

    above: Decimal
    up_to: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLine:
    """How a part of the total was reckoned: quantity x rate, rounded once (SUB-3), by a version of a rate plan.

    `used_in` is the first day of the month of the use; it lies before the invoice's period for late usage (SUB-2).
    A flat fee counts `days` of `days_in_month`, from `first_day` on.
    """

    kind: RatePlanKind
    plan_code: str
    plan_version: int
    used_in: date
    unit: str | None
    quantity: Decimal
    rate: Decimal
    tier: TierRange | None
    days: int | None
    days_in_month: int | None
    first_day: date
    usage_events: int
    total_minor: int

    @property
    def is_pro_rated(self) -> bool:
        """Whether the service ran for a part of the month only."""
        return self.days is not None and self.days_in_month is not None and self.days < self.days_in_month

    @property
    def last_day(self) -> date:
        """The last day that a flat fee counts."""
        return self.first_day + timedelta(days=(self.days or 1) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoldSubscription:
    """The service, its vehicle, and the month that is billed; `period` is the month's first day.

    `is_charged`: the payment method is asked for the amount; else the customer has to give another one first (SUB-6).
    Credit notes and e-mails do without `lines` and `usage_days`.
    """

    code: str
    name: str
    vehicle_id: str
    period: date
    due_on: date
    is_charged: bool
    lines: tuple[UsageLine, ...] = ()
    usage_days: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True)
class DayRange:
    """Days that follow each other, both included; none beyond the end of its month."""

    first: date
    last: date


def day_ranges(days: Iterable[date]) -> list[DayRange]:
    """The same days, in order, as the fewest ranges that stay within their months."""
    ranges: list[DayRange] = []
    for day in sorted(set(days)):
        if ranges and day.day > 1 and ranges[-1].last == day - timedelta(days=1):
            ranges[-1] = DayRange(ranges[-1].first, day)
        else:
            ranges.append(DayRange(day, day))
    return ranges
