"""Civil time against an independent reference: every anchor, every zone, ten years of months (REC-4)."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from caas_orders.domain.civil_time import day_named, instant_of, midnight_of, zone_named
from caas_orders.domain.recurring import boundary

ZONES = ["Europe/Madrid", "Atlantic/Canary", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "UTC"]
MONTHS = 120


def shown(text: str) -> datetime:
    """What clocks show, in no zone."""
    return datetime.fromisoformat(text)


INSTANTS = st.datetimes(shown("2020-01-01"), shown("2032-12-31"), timezones=st.just(UTC))


def reference(anchor_at: datetime, months: int, zone: ZoneInfo) -> datetime:
    """The first second at which clocks of the zone show the wanted time or a later one.

    It reads the zone from UTC only, where no local time is missing or twice, and finds the last day of a month by
    walking back; a fraction of a second is added where clocks do show the wanted time.
    """
    local = anchor_at.astimezone(zone).replace(tzinfo=None)
    month = local.year * 12 + local.month - 1 + months
    wanted_day = local.day
    while not _exists(month // 12, month % 12 + 1, wanted_day):
        wanted_day -= 1
    wanted = datetime.combine(date(month // 12, month % 12 + 1, wanted_day), local.time().replace(microsecond=0))
    second = datetime.combine(wanted, time.min, UTC) - timedelta(days=1)
    second += timedelta(seconds=local.second)  # Offsets of these years are whole minutes.
    while second.astimezone(zone).replace(tzinfo=None) < wanted:
        second += timedelta(minutes=1)
    if second.astimezone(zone).replace(tzinfo=None) == wanted:
        return second.replace(microsecond=local.microsecond)
    return second - timedelta(seconds=second.second)


def _exists(year: int, month: int, day: int) -> bool:
    return day_named(f"{year:04}-{month:02}-{day:02}") is not None


@given(
    anchor_at=INSTANTS, zone=st.sampled_from(ZONES), every=st.sampled_from([1, 2, 3, 6, 12]), n=st.integers(1, MONTHS)
)
@example(anchor_at=datetime(2027, 1, 31, 10, tzinfo=UTC), zone="Europe/Madrid", every=1, n=2)
@example(anchor_at=datetime(2028, 2, 29, 10, tzinfo=UTC), zone="Europe/Madrid", every=12, n=2)
@example(anchor_at=datetime(2026, 2, 28, 1, 30, tzinfo=UTC), zone="Europe/Madrid", every=1, n=2)  # 29 March is skipped.
@example(anchor_at=datetime(2027, 2, 28, 1, 30, tzinfo=UTC), zone="Europe/Madrid", every=1, n=2)
@example(anchor_at=datetime(2026, 9, 25, 0, 30, tzinfo=UTC), zone="Europe/Madrid", every=1, n=2)  # Repeated at 2:30.
def test_every_boundary_is_that_of_the_reference(anchor_at: datetime, zone: str, every: int, n: int) -> None:
    period = min(n, MONTHS // every + 1)
    assert boundary(anchor_at, period, every, zone) == reference(anchor_at, (period - 1) * every, ZoneInfo(zone))


@pytest.mark.parametrize("day", [28, 29, 30, 31])
@pytest.mark.parametrize("zone", ["Europe/Madrid", "America/Santiago"])
@pytest.mark.parametrize("clock", [time(0, 0), time(0, 30), time(2, 30), time(23, 59, 59)])
def test_the_ends_of_months_never_drift_in_ten_years(day: int, zone: str, clock: time) -> None:
    anchor_at = instant_of(datetime.combine(date(2024, 1, day), clock), ZoneInfo(zone))
    found = [boundary(anchor_at, period, 1, zone) for period in range(1, MONTHS + 2)]
    assert found == [reference(anchor_at, months, ZoneInfo(zone)) for months in range(MONTHS + 1)]
    assert found == sorted(set(found)), "each period ends where the next begins, and lasts"
    days = [one.astimezone(ZoneInfo(zone)).day for one in found]
    assert days.count(day) >= (MONTHS * 7) // 12, "a short month does not shorten the next one"


def test_a_skipped_local_time_is_the_first_instant_after_it_and_a_repeated_one_its_first() -> None:
    madrid = ZoneInfo("Europe/Madrid")
    assert instant_of(shown("2026-03-29T02:30"), madrid) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert instant_of(shown("2026-03-29T02:00"), madrid) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert instant_of(shown("2026-03-29T03:00"), madrid) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert instant_of(shown("2026-10-25T02:30"), madrid) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    half_an_hour = instant_of(shown("2026-10-04T02:15"), ZoneInfo("Australia/Lord_Howe"))
    assert half_an_hour == datetime(2026, 10, 3, 15, 30, tzinfo=UTC)


def test_a_day_that_has_no_midnight_begins_later() -> None:
    assert midnight_of(date(2026, 9, 6), ZoneInfo("America/Santiago")) == datetime(2026, 9, 6, 4, 0, tzinfo=UTC)
    # Samoa left this day out when it moved over the date line: it begins with the next one.
    assert midnight_of(date(2011, 12, 30), ZoneInfo("Pacific/Apia")) == datetime(2011, 12, 30, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-02-30", "2026-13-01", "0001-01-01", "9999-12-31", "tomorrow", ""])
def test_what_is_no_day_of_our_times_is_none(text: str) -> None:
    assert day_named(text) is None


@pytest.mark.parametrize("name", ["Europe", "../../etc/passwd", "/etc/localtime", "Europe/Atlantis", "", "\0"])
def test_what_is_no_zone_is_none(name: str) -> None:
    assert zone_named(name) is None
