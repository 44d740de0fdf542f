"""Numbers: how they are written, and which year they belong to (INV-2)."""

from datetime import UTC, date, datetime

import pytest

from caas_billing.domain.numbering import DocumentNumber, NumberBlock, Series, billing_date, billing_year


def test_a_number_names_series_year_and_position() -> None:
    assert str(DocumentNumber(Series.SERVICE, 2026, 1)) == "S-2026-000001"
    assert str(DocumentNumber(Series.CREDIT_NOTE, 2027, 1234567)) == "R-2027-1234567"


def test_a_block_gives_consecutive_numbers() -> None:
    block = NumberBlock(Series.SERVICE, 2026, first=9, count=3, issued_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert [str(number) for number in block] == ["S-2026-000009", "S-2026-000010", "S-2026-000011"]


@pytest.mark.parametrize(
    ("instant", "year"),
    [
        (datetime(2026, 12, 31, 22, 59, 59, tzinfo=UTC), 2026),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), 2027),
        (datetime(2026, 7, 1, tzinfo=UTC), 2026),
    ],
)
def test_the_year_begins_at_midnight_in_madrid(instant: datetime, year: int) -> None:
    assert billing_year(instant) == year


def test_the_day_follows_summer_time() -> None:
    assert billing_date(datetime(2026, 6, 30, 22, 0, tzinfo=UTC)) == date(2026, 7, 1)
    assert billing_date(datetime(2026, 11, 30, 22, 30, tzinfo=UTC)) == date(2026, 11, 30)
