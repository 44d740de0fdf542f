"""Months of a time zone, in whole microseconds since 1970: where each day begins, and what is remarkable.

Instants are integers here, so that a month's end is exact and a day is found by bisection.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros_of(instant: datetime) -> int:
    """An aware instant as microseconds since 1970."""
    return (instant - _EPOCH) // _MICROSECOND


def instant_of(micros: int) -> datetime:
    """The instant, in UTC."""
    return _EPOCH + micros * _MICROSECOND


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month; `day_starts` are the first microseconds of its days, `ends` that of the next month."""

    name: str
    day_starts: tuple[int, ...]
    ends: int

    @property
    def begins(self) -> int:
        """Its first microsecond."""
        return self.day_starts[0]

    @property
    def length(self) -> int:
        """Its number of days."""
        return len(self.day_starts)

    def day_of(self, micros: int) -> int:
        """The day of the month, from 1. Raises ValueError for an instant of another month."""
        if not self.begins <= micros < self.ends:
            raise ValueError(f"{instant_of(micros)} is not in {self.name}")
        return bisect_right(self.day_starts, micros)

    def days_between(self, start: int, end: int | None) -> int:
        """How many days of the month have any of the time from `start` until before `end`; None: without end."""
        first = max(start, self.begins)
        last = (self.ends if end is None else min(end, self.ends)) - 1
        return self.day_of(last) - self.day_of(first) + 1 if first <= last else 0

    def edges(self) -> tuple[int, ...]:
        """Instants at which calendars go wrong: the ends of the month and of days whose clocks are changed."""
        found = [self.begins, self.begins + 1, self.ends - 1]
        for start, end in zip(self.day_starts, (*self.day_starts[1:], self.ends), strict=True):
            if end - start != 86_400_000_000:
                # An hour before and after each hour at which clocks may jump, and that day's own ends.
                found += [start, end - 1, *(start + hour * 3_600_000_000 for hour in range(1, 5))]
        return tuple(found)


@cache
def month_of(name: str, zone: ZoneInfo) -> Month:
    """The month named like `2026-10`. Raises ValueError for another text."""
    first = date.fromisoformat(f"{name}-01")
    following = _next_first(first)
    days = [first + timedelta(days=number) for number in range((following - first).days)]
    return Month(name, tuple(_midnight(day, zone) for day in days), _midnight(following, zone))


def next_name(name: str) -> str:
    """The name of the month after."""
    return f"{_next_first(date.fromisoformat(f'{name}-01')):%Y-%m}"


def previous_name(name: str) -> str:
    """The name of the month before."""
    return f"{date.fromisoformat(f'{name}-01') - timedelta(days=1):%Y-%m}"


def name_of(micros: int, zone: ZoneInfo) -> str:
    """The name of the month that an instant is in."""
    return f"{instant_of(micros).astimezone(zone):%Y-%m}"


def _next_first(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _midnight(day: date, zone: ZoneInfo) -> int:
    return micros_of(datetime(day.year, day.month, day.day, tzinfo=zone))
