"""Business days of the euro's payment system TARGET: what "within N days" of a settlement means (RCN-3)."""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_SATURDAY: Final = 5
# Fixed closing days of TARGET: New Year, 1 May, Christmas and the day after it (European Central Bank).
_FIXED_CLOSING_DAYS: Final = frozenset({(1, 1), (5, 1), (12, 25), (12, 26)})


def business_date(instant: datetime, time_zone: ZoneInfo) -> date:
    """The calendar day of an instant where the business is."""
    return instant.astimezone(time_zone).date()


def after_business_days(start: date, days: int) -> date:
    """The business day that is `days` business days after `start`."""
    day = start
    while days > 0:
        day += timedelta(days=1)
        if is_business_day(day):
            days -= 1
    return day


def delayed_before(now: datetime, days: int, time_zone: ZoneInfo) -> datetime:
    """What happened before this instant has been waiting for more than `days` business days (RCN-3)."""
    today = business_date(now, time_zone)
    newest = today - timedelta(days=1)
    while after_business_days(newest, days) >= today:
        newest -= timedelta(days=1)
    return datetime.combine(newest + timedelta(days=1), time.min, time_zone)


def is_business_day(day: date) -> bool:
    """Whether TARGET settles on that day: not on weekends, Good Friday, Easter Monday and four fixed days."""
    if day.weekday() >= _SATURDAY or (day.month, day.day) in _FIXED_CLOSING_DAYS:
        return False
    return day - easter_sunday(day.year) not in (timedelta(days=-2), timedelta(days=1))


def easter_sunday(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (the anonymous algorithm, Meeus, Astronomical Algorithms, ch. 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (b - (b + 8) // 25 + 1) // 3
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    ell = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * ell) // 451
    month, day = divmod(h + ell - 7 * m + 114, 31)
    return date(year, month, day + 1)
