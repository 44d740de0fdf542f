"""How monthly invoices are billed and collected, as the settings say (SUB-3, SUB-6)."""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from caas_billing.domain.numbering import BILLING_TIME_ZONE

_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingPolicy:
    """`retry_days` are counted from the day of an invoice's first failed charge; its last failure ends the dunning.

    Retries are made at `charge_hour` in the billing time zone and, with `business_days_only`, moved to the next day
    that is neither a weekend nor one of `holidays`. After a technical failure, which is nobody's refusal, the
    same step is tried again after `technical_retry`. A month is closed by itself `grace` after its end.
    """

    time_zone: ZoneInfo = BILLING_TIME_ZONE
    retry_days: tuple[int, ...] = (3, 7)
    charge_hour: int = 10
    business_days_only: bool = False
    holidays: frozenset[date] = field(default_factory=frozenset)
    technical_retry: timedelta = timedelta(hours=6)
    grace: timedelta = timedelta(hours=6)

    def period_of(self, instant: datetime) -> date:
        """The first day of the calendar month of an aware instant, in the billing time zone (SUB-3)."""
        return instant.astimezone(self.time_zone).date().replace(day=1)

    def retry_at(self, first_failed_at: datetime, failures: int, now: datetime) -> datetime | None:
        """When the schedule charges again after so many failures (SUB-6); None when it is exhausted.

        Never before `now`: a step whose day has passed meanwhile is made at the next charge hour.
        """
        if failures > len(self.retry_days):
            return None
        first_day = first_failed_at.astimezone(self.time_zone).date()
        due = self._charge_time(first_day + timedelta(days=self.retry_days[failures - 1]))
        if due > now:
            return due
        today = now.astimezone(self.time_zone).date()
        later = self._charge_time(today)
        return later if later > now else self._charge_time(today + timedelta(days=1))

    def _charge_time(self, day: date) -> datetime:
        while self.business_days_only and (day.weekday() >= _SATURDAY or day in self.holidays):
            day += timedelta(days=1)
        return datetime.combine(day, time(self.charge_hour), self.time_zone).astimezone(ZoneInfo("UTC"))
