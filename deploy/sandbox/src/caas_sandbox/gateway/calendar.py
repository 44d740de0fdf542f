"""Business days and settlement dates; weekends are free, holidays are not modelled, all in UTC."""

from datetime import datetime, timedelta

_SATURDAY = 5

HOLD_BUSINESS_DAYS = 7
SETTLES_AFTER = timedelta(days=2)
SETTLES_LATE_AFTER = timedelta(days=12)
CHARGEBACK_BUSINESS_DAYS = 1


def after_business_days(start: datetime, days: int) -> datetime:
    """The same time of day, `days` Mondays to Fridays after `start`."""
    day = start
    while days > 0:
        day += timedelta(days=1)
        if day.weekday() < _SATURDAY:
            days -= 1
    return day
