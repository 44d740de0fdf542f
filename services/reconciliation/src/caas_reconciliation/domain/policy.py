"""The numbers that the business decides about reconciliation, set by operations."""

from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`pull_retry_delays_s` are seconds of real time (GW-2); all other durations are business time.

    `currency` is that of the totals in published events; reports show every currency.
    """

    time_zone: ZoneInfo
    currency: str
    run_every: timedelta
    delayed_after_business_days: int
    case_overdue_after: timedelta
    pull_retry_delays_s: tuple[float, ...]
