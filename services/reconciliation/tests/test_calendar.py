"""Business days of TARGET, and when a capture counts as delayed (RCN-3)."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caas_reconciliation.domain.calendar import (
    after_business_days,
    business_date,
    delayed_before,
    easter_sunday,
    is_business_day,
)

MADRID = ZoneInfo("Europe/Madrid")


@pytest.mark.parametrize(
    ("year", "easter"),
    [
        (2024, date(2024, 3, 31)),
        (2025, date(2025, 4, 20)),
        (2026, date(2026, 4, 5)),
        (2027, date(2027, 3, 28)),
        (2038, date(2038, 4, 25)),
    ],
)
def test_easter_is_where_the_almanac_has_it(year: int, easter: date) -> None:
    assert easter_sunday(year) == easter


@pytest.mark.parametrize(
    "closed",
    [date(2026, 4, 3), date(2026, 4, 6), date(2026, 5, 1), date(2026, 12, 25), date(2027, 1, 1), date(2026, 3, 7)],
)
def test_target_is_closed_on_its_holidays_and_on_weekends(closed: date) -> None:
    assert not is_business_day(closed)


def test_five_business_days_over_easter_are_longer() -> None:
    assert after_business_days(date(2026, 3, 31), 5) == date(2026, 4, 9)


@given(
    now=st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    days=st.integers(1, 10),
    age=st.timedeltas(timedelta(0), timedelta(days=25)),
)
def test_a_capture_is_delayed_exactly_when_its_business_days_are_over(now: datetime, days: int, age: timedelta) -> None:
    captured_at = now - age
    over = after_business_days(business_date(captured_at, MADRID), days) < business_date(now, MADRID)
    assert (captured_at < delayed_before(now, days, MADRID)) == over
