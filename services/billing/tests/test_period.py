"""Periods tile time: every instant lies in one, every day of service is counted once (SUB-3).

The reference knows no months: it walks instants and days one by one, and asks the calendar of the standard library.
"""

import calendar
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caas_billing.domain.period import Period, Service, last_ended

MADRID = ZoneInfo("Europe/Madrid")
ZONES = [MADRID, ZoneInfo("UTC"), ZoneInfo("America/Sao_Paulo"), ZoneInfo("Pacific/Auckland"), ZoneInfo("Asia/Kolkata")]
MICROSECOND = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
A_DECADE_US = 10 * 365 * 24 * 3600 * 10**6
instants = st.integers(0, A_DECADE_US).map(lambda us: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=us))
zones = st.sampled_from(ZONES)


def days_with_service(service: Service, zone: ZoneInfo, until: datetime) -> set[date]:
    """The calendar days of every hour of the service, its first and its last instant."""
    end = min(service.ended_at or until, until)
    if end <= service.started_at:
        return set()
    days = {service.started_at.astimezone(zone).date(), (end - MICROSECOND).astimezone(zone).date()}
    instant = service.started_at
    while instant < end:
        days.add(instant.astimezone(zone).date())
        instant += 6 * HOUR
    return days


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_120_months_follow_each_other_without_gap_or_overlap(zone: ZoneInfo) -> None:
    period = Period(2024, 1)
    for _ in range(120):
        start, end = period.starts_at(zone), period.ends_at(zone)
        assert end == period.next.starts_at(zone)
        assert period.next.previous == period
        assert Period.of_instant(start, zone) == period == Period.of_instant(end - MICROSECOND, zone)
        assert Period.of_instant(start - MICROSECOND, zone) == period.previous
        assert Period.of_instant(end, zone) == period.next
        assert period.days == calendar.monthrange(period.year, period.month)[1]
        assert (end - start) in {timedelta(days=period.days) + shift * HOUR for shift in (-1, 0, 1)}
        period = period.next


def test_clock_changes_are_inside_the_month_that_holds_them() -> None:
    assert Period(2026, 3).ends_at(MADRID) - Period(2026, 3).starts_at(MADRID) == timedelta(days=31) - HOUR
    assert Period(2026, 10).ends_at(MADRID) - Period(2026, 10).starts_at(MADRID) == timedelta(days=31) + HOUR
    assert Period(2026, 10).starts_at(MADRID) == datetime(2026, 9, 30, 22, tzinfo=UTC)
    assert Period(2026, 11).starts_at(MADRID) == datetime(2026, 10, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize("anchor", range(1, 32))
def test_every_anchor_day_is_billed_once_a_month_for_120_months(anchor: int) -> None:
    """Started on the 29th, 30th or 31st of a month: no later month is skipped, none comes twice."""
    for month in range(1, 13):
        if anchor > calendar.monthrange(2024, month)[1]:
            continue
        service = Service(datetime(2024, month, anchor, 12, tzinfo=UTC))
        first = Period(2024, month)
        last = Period(2034, month).previous
        periods = service.periods(MADRID, last)
        assert len(periods) == len(set(periods)) == 120
        assert periods[0] == first
        assert periods[-1] == last
        assert all(before.next == after for before, after in pairwise(periods))
        days = sum(service.days_in(period, MADRID) for period in periods)
        assert days == (last.last_day - date(2024, month, anchor)).days + 1


@pytest.mark.parametrize("year", [2024, 2026])
def test_every_start_and_end_day_of_a_year_is_counted_as_the_calendar_counts(year: int) -> None:
    noon = datetime(year, 1, 1, 11, 30, tzinfo=UTC)
    days_of_year = 366 if calendar.isleap(year) else 365
    for start in range(0, days_of_year, 3):
        for end in range(start, min(start + 70, days_of_year)):
            service = Service(noon + timedelta(days=start), noon + timedelta(days=end, hours=1))
            periods = service.periods(MADRID, Period(year, 12))
            assert sum(service.days_in(period, MADRID) for period in periods) == end - start + 1


@given(instants, st.timedeltas(timedelta(0), timedelta(days=100)), zones)
def test_the_days_of_all_periods_are_the_days_with_service(start: datetime, length: timedelta, zone: ZoneInfo) -> None:
    service = Service(start, start + length)
    until = last_ended(start + length + timedelta(days=62), zone)
    periods = service.periods(zone, until)
    days = days_with_service(service, zone, until.ends_at(zone))
    assert all(before.next == after for before, after in pairwise(periods))
    for period in periods:
        assert service.days_in(period, zone) == sum(
            (day.year, day.month) == (period.year, period.month) for day in days
        )
    assert sum(service.days_in(period, zone) for period in periods) == len(days)
    # No further period is opened once nothing is left of the service; the only empty one can be that of a start.
    assert periods[-1].starts_at(zone) < (start + length) or len(periods) == 1


@given(instants, zones)
def test_an_instant_lies_in_the_period_that_has_begun_and_not_ended(instant: datetime, zone: ZoneInfo) -> None:
    period = Period.of_instant(instant, zone)
    assert period.starts_at(zone) <= instant < period.ends_at(zone)
    assert last_ended(instant, zone).ends_at(zone) <= instant
    assert last_ended(instant, zone).next == period


@given(instants, zones)
def test_whoever_starts_and_ends_on_one_day_has_that_day(start: datetime, zone: ZoneInfo) -> None:
    service = Service(start, start + MICROSECOND)
    period = Period.of_instant(start, zone)
    assert service.days_in(period, zone) == 1
    assert service.following(period, zone) is None
    assert Service(start, start).days_in(period, zone) == 0


def test_an_end_at_midnight_leaves_the_next_day_and_month_alone() -> None:
    november = Period(2026, 11).starts_at(MADRID)
    service = Service(datetime(2026, 10, 20, tzinfo=UTC), november)
    assert service.days_in(Period(2026, 10), MADRID) == 12
    assert service.days_in(Period(2026, 11), MADRID) == 0
    assert service.following(Period(2026, 10), MADRID) is None
    assert Service(service.started_at, november + MICROSECOND).following(Period(2026, 10), MADRID) == Period(2026, 11)


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-1", "26-10", "2026/10", "october", "", "²026-10", "9999-01"]
)
def test_what_is_no_period_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(ValueError, match="is written as year and month"):
        Period.parse(text)


@given(st.integers(2000, 9998), st.integers(1, 12))
def test_a_period_is_read_as_it_is_written(year: int, month: int) -> None:
    assert Period.parse(str(Period(year, month))) == Period(year, month)
