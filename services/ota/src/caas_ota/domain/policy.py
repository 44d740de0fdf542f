"""How long ota waits for vehicles and how often it asks again (OTA-2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """The delays, in real time, before each retry; their number is the number of retries."""

    delays: tuple[timedelta, ...] = (timedelta(seconds=5), timedelta(seconds=15), timedelta(seconds=45))

    def has_retry_after(self, attempt: int) -> bool:
        """Whether attempt number `attempt` (from 1) may be followed by another."""
        return attempt <= len(self.delays)

    def delay_after(self, attempt: int) -> timedelta:
        """How long the answer to this attempt is waited for; the last attempt waits as the one before."""
        if not self.delays:
            return timedelta(seconds=5)
        return self.delays[min(attempt, len(self.delays)) - 1]


@dataclass(frozen=True, slots=True)
class Policy:
    """All of the configuration that rules depend on. Everything but the retry delays is business time."""

    retries: RetrySchedule = RetrySchedule()
    retries_by_service: Mapping[str, RetrySchedule] = field(default_factory=dict)
    clock_margin: timedelta = timedelta(minutes=5)
    unknown_vehicle_grace: timedelta = timedelta(seconds=30)
    recheck_interval: timedelta = timedelta(hours=1)
    recheck_interval_max: timedelta = timedelta(days=1)
    deactivation_interval: timedelta = timedelta(minutes=15)

    def schedule_for(self, service_code: str) -> RetrySchedule:
        """The retries of one service."""
        return self.retries_by_service.get(service_code, self.retries)

    def deadline_of(self, not_after: datetime) -> datetime:
        """When an unanswered activation counts as not applied: the charge fence's clock margin has passed."""
        return not_after + self.clock_margin

    def recheck_after(self, earlier: int) -> timedelta:
        """How long until an uncertain vehicle is asked again, after `earlier` cancel commands."""
        doubled = self.recheck_interval * (1 << min(earlier, 10))
        return min(doubled, self.recheck_interval_max)
