"""What use costs, against a reference that counts in whole millionths and prices unit by unit (SUB-3)."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import floor

from hypothesis import given
from hypothesis import strategies as st

from caas_billing.domain.rate_plan import PlanVersion, Tier
from caas_billing.domain.rating import Line, Use, rate_period
from caas_contracts.subscriptions import RatePlanKind
from services.billing.tests.cycle_builders import NOVEMBER, OCTOBER, a_plan, tiers

six_decimals = st.decimals(0, 2000, places=6, allow_nan=False)
halves = st.integers(0, 4000).map(lambda number: Decimal(number) / 2)
quantities = st.one_of(six_decimals, halves)
rates = st.one_of(six_decimals, halves)
days_of_october = st.integers(1, 31).map(lambda day: date(2026, 10, day))
uses_of_october = st.lists(st.builds(Use, days_of_october, quantities), max_size=12)


def half_up(amount: Fraction) -> int:
    return floor(amount + Fraction(1, 2))


def minor(lines: Sequence[Line]) -> list[int]:
    return [line.total_minor for line in lines]


def october(plan: PlanVersion, uses: Sequence[Use] = (), days_run: int = 31, before: Sequence[Use] = ()) -> list[Line]:
    return rate_period([plan], plan.version, OCTOBER, days_run, uses, before)


@given(uses_of_october, rates)
def test_per_use_is_the_sum_of_quantities_times_the_rate(uses: list[Use], rate: Decimal) -> None:
    expected = half_up(sum((Fraction(use.quantity) for use in uses), Fraction(0)) * Fraction(rate))
    assert minor(october(a_plan(rate=str(rate)), uses)) == ([expected] if uses else [])


@given(uses_of_october, rates)
def test_per_day_used_counts_each_day_with_use_once(uses: list[Use], rate: Decimal) -> None:
    days = sum(any(use.used_on.day == day for use in uses) for day in range(1, 32))
    lines = october(a_plan(RatePlanKind.PER_DAY_USED, str(rate)), uses)
    assert minor(lines) == ([half_up(days * Fraction(rate))] if uses else [])


@given(rates, st.integers(0, 31), uses_of_october)
def test_flat_is_the_part_of_the_month_that_the_service_ran(rate: Decimal, days: int, uses: list[Use]) -> None:
    lines = october(a_plan(RatePlanKind.FLAT_MONTHLY, str(rate)), uses, days_run=days)
    assert minor(lines) == ([half_up(Fraction(rate) * days / 31)] if days else [])


def priced_millionth_by_millionth(steps: Sequence[Tier], quantity: Decimal) -> dict[int, int]:
    """What each step charges: the quantity is poured in, step after step, in whole millionths."""
    left = int(quantity * 10**6)
    charged = {}
    for number, step in enumerate(steps, start=1):
        room = left if step.up_to is None else int((step.up_to - step.above) * 10**6)
        poured = min(left, room)
        left -= poured
        if poured:
            charged[number] = half_up(Fraction(poured, 10**6) * Fraction(step.rate))
    return charged


@st.composite
def tiered_plans(draw: st.DrawFn) -> PlanVersion:
    ends = sorted(set(draw(st.lists(st.one_of(st.just(Decimal("0.5")), quantities.filter(bool)), max_size=4))))
    steps = [(str(end), str(draw(rates))) for end in ends]
    return a_plan(RatePlanKind.TIERED, tiers=tiers(*steps, (None, str(draw(rates)))))


@given(tiered_plans(), uses_of_october)
def test_tiers_are_graduated_and_have_a_line_each(plan: PlanVersion, uses: list[Use]) -> None:
    quantity = sum((use.quantity for use in uses), Decimal(0))
    expected = priced_millionth_by_millionth(plan.tiers, quantity)
    lines = october(plan, uses)
    assert {line.tier: line.total_minor for line in lines if line.quantity} == expected
    assert sum((line.quantity for line in lines), Decimal(0)) == quantity


@given(tiered_plans(), uses_of_october, uses_of_october)
def test_late_use_continues_the_steps_of_its_month(plan: PlanVersion, in_time: list[Use], late: list[Use]) -> None:
    """Reckoned together or one after the other: every step holds the same quantity."""
    together = october(plan, [*in_time, *late])
    later = rate_period([plan], 1, NOVEMBER, 30, late, in_time)
    by_step: dict[int | None, Decimal] = {}
    for line in [*october(plan, in_time), *later]:
        by_step[line.tier] = by_step.get(line.tier, Decimal(0)) + line.quantity
    assert {step: part for step, part in by_step.items() if part} == {
        line.tier: line.quantity for line in together if line.quantity
    }


@given(uses_of_october, uses_of_october)
def test_a_day_that_was_billed_already_is_not_billed_again(in_time: list[Use], late: list[Use]) -> None:
    plan = a_plan(RatePlanKind.PER_DAY_USED, "100")
    billed = sum(minor([*october(plan, in_time), *rate_period([plan], 1, NOVEMBER, 30, late, in_time)]))
    assert billed == 100 * len({use.used_on for use in [*in_time, *late]})


def test_late_use_has_lines_of_its_own_after_those_of_the_month() -> None:  # SUB-2
    uses = [
        Use(date(2026, 9, 30), Decimal(2)),
        Use(date(2026, 10, 1), Decimal(10)),
        Use(date(2026, 7, 5), Decimal(4)),
    ]
    lines = october(a_plan(rate="3.5"), uses)
    assert [(str(line.used_in), line.total_minor, line.usage_events) for line in lines] == [
        ("2026-10", 35, 1),
        ("2026-09", 7, 1),
        ("2026-07", 14, 1),
    ]


def test_a_new_price_touches_no_month_before_it() -> None:
    old, new = a_plan(rate="1"), a_plan(rate="2", version=2, effective_from=NOVEMBER.first_day)
    uses = [Use(date(2026, 11, 2), Decimal(10)), Use(date(2026, 10, 31), Decimal(10))]
    assert minor(rate_period([old, new], 1, OCTOBER, 31, uses[1:])) == [10]
    assert minor(rate_period([old, new], 1, NOVEMBER, 30, uses)) == [20, 10]


def test_no_version_older_than_the_agreed_one_is_used() -> None:
    agreed = a_plan(rate="5", version=2, effective_from=NOVEMBER.first_day)
    assert minor(rate_period([a_plan(rate="1"), agreed], 2, OCTOBER, 31, [Use(date(2026, 10, 30), Decimal(1))])) == [5]


def test_a_line_is_rounded_once_and_halves_go_up() -> None:
    uses = [Use(date(2026, 10, day), Decimal("0.1")) for day in range(1, 6)]
    assert minor(october(a_plan(rate="1"), uses)) == [1]
    assert minor(october(a_plan(rate="1"), uses[:4])) == [0]
    assert minor(october(a_plan(RatePlanKind.FLAT_MONTHLY, "1"), days_run=15)) == [0]
    assert minor(rate_period([a_plan(RatePlanKind.FLAT_MONTHLY, "1")], 1, NOVEMBER, 15, [])) == [1]


@given(uses_of_october, st.permutations(range(12)))
def test_the_order_of_use_does_not_matter(uses: list[Use], order: Sequence[int]) -> None:
    shuffled = [uses[place] for place in order if place < len(uses)]
    for plan in (
        a_plan(),
        a_plan(RatePlanKind.PER_DAY_USED),
        a_plan(RatePlanKind.TIERED, tiers=tiers(("5", "1"), (None, "2"))),
    ):
        assert october(plan, uses) == october(plan, shuffled)


def test_a_period_before_the_first_version_is_rated_by_the_agreed_one() -> None:
    plan = a_plan(effective_from=date(2027, 1, 1))
    assert minor(october(plan, [Use(date(2026, 10, 1), Decimal(2))])) == [7]
