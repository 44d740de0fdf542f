"""VAT: whole minor units, half to even, and sums that always add up (INV-3)."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caas_billing.domain.vat import split_part, split_total

totals = st.integers(min_value=0, max_value=10**12)
rates = st.one_of(st.sampled_from([0, 400, 1000, 2100]), st.integers(min_value=0, max_value=10_000))


@pytest.mark.parametrize(
    ("total", "rate", "base", "vat"),
    [
        (1999, 2100, 1652, 347),
        (149900, 2100, 123884, 26016),
        (1, 2100, 1, 0),
        (0, 2100, 0, 0),
        (500, 0, 500, 0),
        (3, 10_000, 2, 1),  # 1.5 lies between 1 and 2: the even one.
        (5, 10_000, 2, 3),  # 2.5 lies between 2 and 3: the even one.
    ],
)
def test_a_total_is_taken_apart_half_to_even(total: int, rate: int, base: int, vat: int) -> None:
    amount = split_total(total, rate)
    assert (amount.base_minor, amount.vat_minor) == (base, vat)


@given(totals, rates)
def test_the_base_is_the_exact_quotient_rounded_half_to_even(total: int, rate: int) -> None:
    assert split_total(total, rate).base_minor == round(Fraction(total * 10_000, 10_000 + rate))


@given(totals, rates)
def test_base_and_vat_add_up_and_are_never_negative(total: int, rate: int) -> None:
    amount = split_total(total, rate)
    assert amount.total_minor == total
    assert amount.base_minor >= 0
    assert amount.vat_minor >= 0


@given(st.lists(st.integers(min_value=1, max_value=10**9), min_size=1, max_size=20), rates)
def test_refunds_in_any_parts_sum_to_the_invoice_they_correct(parts: list[int], rate: int) -> None:
    invoiced = split_total(sum(parts), rate)
    refunds = [split_part(sum(parts[:index]), part, rate) for index, part in enumerate(parts)]
    assert sum(refund.base_minor for refund in refunds) == invoiced.base_minor
    assert sum(refund.vat_minor for refund in refunds) == invoiced.vat_minor
    assert [refund.total_minor for refund in refunds] == parts
    assert all(refund.base_minor >= 0 and refund.vat_minor >= 0 for refund in refunds)


@given(totals, totals, rates)
def test_reservation_and_final_payment_sum_to_the_price(reservation: int, final: int, rate: int) -> None:
    parts = [split_part(0, reservation, rate), split_part(reservation, final, rate)]
    price = split_total(reservation + final, rate)
    assert sum(part.base_minor for part in parts) == price.base_minor
    assert sum(part.vat_minor for part in parts) == price.vat_minor
    assert parts[0] == split_total(reservation, rate)


@pytest.mark.parametrize(("total", "rate"), [(-1, 2100), (100, -1)])
def test_negative_amounts_and_rates_are_refused(total: int, rate: int) -> None:
    with pytest.raises(ValueError, match="at least zero"):
        split_total(total, rate)
