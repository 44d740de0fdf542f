"""Instants of civil calendars: local days and months of a customer's zone, also where clocks are changed (REC-4).

Invariant: a local time that a spring night skips is the first instant after it; one that autumn repeats is its first.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_SECOND = timedelta(seconds=1)


def zone_named(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name; None for any other text."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # Names of folders and paths are none either.
        return None


def day_named(text: str) -> date | None:
    """The day of an ISO 8601 date of our times; None for any other text, as 2026-02-30."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1970 <= day.year < 9999 else None


def instant_of(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, at which clocks of this zone first show `local` or, if they skip it, a later time."""
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None, fold=0) == local:
        return first
    before = local.replace(microsecond=0, tzinfo=zone, fold=1).astimezone(UTC)
    after = local.replace(microsecond=0, tzinfo=zone, fold=0).astimezone(UTC)
    return _change_between(before, after, zone)


def midnight_of(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local day, in UTC."""
    return instant_of(datetime.combine(day, time.min), zone)


def months_after(anchor: datetime, months: int, zone: ZoneInfo) -> datetime:
    """The local time of the anchor, so many months later, in UTC; a day that the month lacks is its last (REC-4)."""
    local = anchor.astimezone(zone).replace(tzinfo=None, fold=0)
    years, month = divmod(local.month - 1 + months, 12)
    year, month = local.year + years, month + 1
    day = min(local.day, monthrange(year, month)[1])
    return instant_of(local.replace(year=year, month=month, day=day), zone)


def _change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant of the change of clocks; both are whole seconds, and so are changes of clocks."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // (2 * _SECOND) * _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
