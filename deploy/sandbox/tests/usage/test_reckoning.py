"""What is owed, in cases that were worked out by hand (SUB-2, SUB-3)."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from caas_sandbox.usage.agreement import MILLION, Agreement, Kind, Price, Step, millionths
from caas_sandbox.usage.calendar import micros_of, month_of
from caas_sandbox.usage.reckoning import Tally, Used, lines_of, rounded
from deploy.sandbox.tests.usage.agreements import FLAT, MADRID, PER_DAY, PER_USE, TIERED, an_agreement, at

OCTOBER = month_of("2026-10", MADRID)


def tally(quantity: str, *days: int) -> Tally:
    return Tally(millionths(quantity), sum(1 << day for day in days), len(days))


def owed(agreement: Agreement, *used: tuple[str, Tally], month: str = "2026-10") -> list[tuple[str, str, int]]:
    return list(lines_of(agreement, month_of(month, MADRID), [Used(name, now) for name, now in used]))


def owed_late(agreement: Agreement, now: Tally, before: Tally) -> list[tuple[str, str, int]]:
    """October's bill of use of September, of which some was billed before."""
    return list(lines_of(agreement, OCTOBER, [Used("2026-09", now, before)]))


@pytest.mark.parametrize(
    ("quantity", "minor"),
    [("12.5", 44), ("1", 4), ("0.142857", 0), ("0.142858", 1), ("1000000.000001", 3_500_000)],
    ids=["43.75 up", "3.5 up", "0.4999995 down", "0.500003 up", "3500000.0000035 down"],
)
def test_each_use_costs_its_rate_and_the_line_is_rounded_once_half_up(quantity: str, minor: int) -> None:
    lines = owed(an_agreement(PER_USE), ("2026-10", tally(quantity, 3)))
    assert [amount for _, _, amount in lines] == ([minor] if minor else [])


def test_days_with_any_use_cost_once_each() -> None:
    assert owed(an_agreement(PER_DAY), ("2026-10", tally("99.123", 1, 7, 31))) == [("per_day_used", "2026-10", 447)]


@pytest.mark.parametrize(
    ("quantity", "amounts"),
    [("100", [400]), ("100.5", [400, 1]), ("500", [400, 1000]), ("512.4", [400, 1000, 16]), ("0", [])],
    ids=["to the step", "1.25 down above it", "to the second step", "15.5 up in the last", "nothing"],
)
def test_steps_cost_what_lies_inside_them_with_a_line_each(quantity: str, amounts: list[int]) -> None:
    assert [amount for _, _, amount in owed(an_agreement(TIERED), ("2026-10", tally(quantity, 1)))] == amounts


def test_late_use_has_lines_of_its_own() -> None:
    lines = owed(an_agreement(TIERED), ("2026-09", tally("50", 30)), ("2026-10", tally("150", 1)))
    assert lines == [("tiered", "2026-09", 200), ("tiered", "2026-10", 400), ("tiered", "2026-10", 125)]


def test_late_use_costs_what_it_would_have_cost_in_time() -> None:
    """Steps go on where they were, and a day that was billed is not billed again."""
    late = owed_late(an_agreement(TIERED), tally("50", 3), tally("80.5", 1))
    assert [amount for _, _, amount in late] == [78, 76]  # 19.5 at 4, 30.5 at 2.5: 76.25
    assert owed_late(an_agreement(PER_DAY), tally("9", 1, 2, 3), tally("1", 2, 3, 4)) == [
        ("per_day_used", "2026-09", 149)
    ]
    assert owed_late(an_agreement(PER_DAY), tally("9", 2), tally("1", 2)) == []
    assert owed_late(an_agreement(FLAT), tally("9", 2), Tally()) == [("flat_monthly", "2026-10", 990)]


def test_late_use_costs_what_its_month_cost() -> None:
    dearer = Price(kind=Kind.PER_USE, unit="km", rate="7", effective_from="2026-10")
    assert owed_late(an_agreement(PER_USE, prices=(PER_USE, dearer)), tally("10", 1), Tally()) == [
        ("per_use", "2026-09", 35)
    ]


@pytest.mark.parametrize(
    ("month", "start", "end", "minor"),
    [
        ("2026-10", "2020-01-01T00:00", None, 990),
        ("2026-10", "2026-10-31T23:59:59.999999", None, 32),  # 990 / 31 = 31.94
        ("2026-10", "2026-10-16T12:00", None, 511),  # 16 of 31 days: 510.97
        ("2026-10", "2020-01-01T00:00", "2026-10-05T00:00", 128),  # 4 of 31 days: 127.74
        ("2026-10", "2020-01-01T00:00", "2026-10-05T00:00:00.000001", 160),  # 5 of 31 days: 159.68
        ("2026-10", "2026-10-25T02:30", "2026-10-25T02:45", 32),
        ("2026-10", "2020-01-01T00:00", "2026-10-01T00:00", 0),
        ("2026-10", "2026-11-01T00:00", None, 0),
        ("2028-02", "2028-02-15T00:00", None, 512),  # 15 of 29 days: 512.07
        ("2026-02", "2026-02-15T00:00", None, 495),  # 14 of 28 days
    ],
)
def test_a_monthly_fee_counts_the_days_with_any_service(month: str, start: str, end: str | None, minor: int) -> None:
    agreement = an_agreement(FLAT, started_at=at(start), ended_at=end and at(end))
    assert sum(amount for _, _, amount in owed(agreement, month=month)) == minor


def test_use_of_a_monthly_fee_costs_nothing_more() -> None:
    assert owed(an_agreement(FLAT), ("2026-10", tally("7", 2))) == [("flat_monthly", "2026-10", 990)]


def test_a_new_price_counts_from_its_month_on_and_an_older_one_never() -> None:
    newer = Price(kind=Kind.PER_USE, unit="km", rate="7", effective_from="2026-11")
    older = Price(kind=Kind.PER_USE, unit="km", rate="1", effective_from="2026-12")
    agreement = an_agreement(PER_USE, prices=(PER_USE, newer, older))
    rates = [agreement.price_in(month).rate for month in ("2026-10", "2026-11", "2026-12")]
    assert rates == ["3.5", "7", "1"]
    assert an_agreement(newer).price_in("2026-10").rate == "7"


@pytest.mark.parametrize(("numerator", "quotient"), [(0, 0), (1, 0), (2, 1), (3, 1), (5, 1), (6, 2)])
def test_halves_go_up(numerator: int, quotient: int) -> None:
    assert rounded(numerator, 4) == quotient


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2026-09-30T22:00:00Z", 1),
        ("2026-10-24T21:59:59.999999Z", 24),
        ("2026-10-25T00:30:00Z", 25),  # 02:30, summer time
        ("2026-10-25T01:30:00Z", 25),  # 02:30 again, winter time
        ("2026-10-25T22:59:59.999999Z", 25),
        ("2026-10-31T22:59:59.999999Z", 31),
    ],
)
def test_a_day_is_that_of_a_clock_in_madrid(instant: str, day: int) -> None:
    assert OCTOBER.day_of(micros_of(datetime.fromisoformat(instant))) == day


@pytest.mark.parametrize("instant", ["2026-09-30T21:59:59.999999Z", "2026-10-31T23:00:00Z"])
def test_a_month_ends_with_its_last_microsecond(instant: str) -> None:
    with pytest.raises(ValueError, match="not in 2026-10"):
        OCTOBER.day_of(micros_of(datetime.fromisoformat(instant)))


def test_the_day_of_a_changed_clock_has_25_or_23_hours() -> None:
    march = month_of("2026-03", MADRID)
    hours = [(end - start) // 3_600_000_000 for start, end in zip(march.day_starts, march.day_starts[1:], strict=False)]
    assert [day for day, number in enumerate(hours, start=1) if number != 24] == [29]
    assert hours[28] == 23
    assert (OCTOBER.ends - OCTOBER.begins) // 3_600_000_000 == 31 * 24 + 1
    assert OCTOBER.begins == micros_of(datetime(2026, 9, 30, 22, tzinfo=UTC))


@pytest.mark.parametrize(
    "prices",
    [
        {"kind": "tiered", "rate": "1"},
        {"kind": "tiered", "tiers": [{"up_to": "1", "rate": "1"}]},
        {"kind": "tiered", "tiers": [{"rate": "1"}, {"up_to": "1", "rate": "1"}]},
        {"kind": "per_use"},
        {"kind": "per_use", "rate": "1.1234567"},
    ],
)
def test_a_price_that_says_nothing_is_refused(prices: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Price.model_validate(prices)


def test_no_quantity_is_lost_in_a_million_additions() -> None:
    total = Tally()
    for _ in range(MILLION):
        total = total.plus(1, 1)
    assert owed(an_agreement(Price(kind=Kind.PER_USE, unit="km", rate="1")), ("2026-10", total)) == [
        ("per_use", "2026-10", 1)
    ]
    assert Step(rate="1").up_to is None
