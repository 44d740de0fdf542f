"""From when to when a sold service runs."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class ServicePeriod:
    """Aware instants; no end means for good."""

    starts_at: datetime
    ends_at: datetime | None


def service_period(supplied_at: datetime, duration_days: int | None) -> ServicePeriod:
    """The period of a service that started at `supplied_at`: days of 24 hours, or for good (SVC-9)."""
    if duration_days is None:
        return ServicePeriod(supplied_at, None)
    return ServicePeriod(supplied_at, supplied_at + timedelta(days=duration_days))
