"""Billing periods: the calendar months of one time zone, which tile time without gap or overlap (SUB-3)."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """One calendar month; `str` writes it `2026-10`. Which instants it holds depends on the billing time zone."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The period written `2026-10`. Raises ValueError, naming the text, for anything else."""
        year, dash, month = text.partition("-")
        digits = f"{year}{month}"
        is_written_so = dash == "-" and len(year) == 4 and len(month) == 2 and digits.isascii() and digits.isdigit()
        if not is_written_so or not (1 <= int(month) <= 12 and 2000 <= int(year) <= 9998):
            raise ValueError(f"a period is written as year and month, 2026-10, not {text!r}")
        return cls(int(year), int(month))

    @classmethod
    def find(cls, text: str) -> Self | None:
        """The period written `2026-10`, or None for anything else."""
        try:
            return cls.parse(text)
        except ValueError:
            return None

    @classmethod
    def of_day(cls, day: date) -> Self:
        """The period that a calendar day lies in."""
        return cls(day.year, day.month)

    @classmethod
    def of_instant(cls, instant: datetime, zone: ZoneInfo) -> Self:
        """The period that an aware instant lies in."""
        return cls.of_day(instant.astimezone(zone).date())

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def first_day(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def last_day(self) -> date:
        return self.next.first_day - timedelta(days=1)

    @property
    def days(self) -> int:
        """How many calendar days it has, 28 to 31; a day of 23 or 25 hours is one day."""
        return self.last_day.day

    @property
    def next(self) -> "Period":
        return Period(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def previous(self) -> "Period":
        return Period(self.year - (self.month == 1), (self.month - 2) % 12 + 1)

    def starts_at(self, zone: ZoneInfo) -> datetime:
        """Its first instant, in UTC."""
        return datetime.combine(self.first_day, time(), zone).astimezone(UTC)

    def ends_at(self, zone: ZoneInfo) -> datetime:
        """The first instant after it, in UTC: where the next one starts."""
        return self.next.starts_at(zone)


def last_ended(now: datetime, zone: ZoneInfo) -> Period:
    """The newest period that is over at this instant."""
    return Period.of_instant(now, zone).previous


@dataclass(frozen=True, slots=True)
class Service:
    """When a subscription runs: from `started_at` until just before `ended_at`, without end when that is None."""

    started_at: datetime
    ended_at: datetime | None = None

    def periods(self, zone: ZoneInfo, until: Period) -> list[Period]:
        """The periods that it is billed for, up to and including `until`: the first and the last may be parts."""
        found = []
        period: Period | None = Period.of_instant(self.started_at, zone)
        while period is not None and period <= until:
            found.append(period)
            period = self.following(period, zone)
        return found

    def following(self, period: Period, zone: ZoneInfo) -> Period | None:
        """The period to bill after this one, or None when the service had ended by the end of this one (SUB-7)."""
        is_over = self.ended_at is not None and self.ended_at <= period.ends_at(zone)
        return None if is_over else period.next

    def days_in(self, period: Period, zone: ZoneInfo) -> int:
        """On how many calendar days of the period it ran at all: start and end days count whole (SUB-3).

        A service that ends at midnight exactly did not run on the day that begins then.
        """
        if self.ended_at is not None and self.ended_at <= self.started_at:
            return 0
        first = max(period.first_day, self.started_at.astimezone(zone).date())
        last = period.last_day
        if self.ended_at is not None:
            last = min(last, (self.ended_at.astimezone(UTC) - _MICROSECOND).astimezone(zone).date())
        return max(0, (last - first).days + 1)
