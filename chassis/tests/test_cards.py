"""Card numbers are found by issuer and checksum, however they are grouped (GW-6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caas_chassis.cards import holds_card_number

ISSUERS = {"4": 16, "51": 16, "55": 16, "2221": 16, "34": 15, "37": 15, "6011": 16, "3528": 16, "36": 14}


def with_check_digit(digits: str) -> str:
    doubled = [int(digit) * (1 if place % 2 else 2) for place, digit in enumerate(reversed(digits))]
    total = sum(value - 9 if value > 9 else value for value in doubled)
    return f"{digits}{-total % 10}"


@st.composite
def card_numbers(draw: st.DrawFn) -> str:
    issuer = draw(st.sampled_from(sorted(ISSUERS)))
    rest = ISSUERS[issuer] - len(issuer) - 1
    return with_check_digit(issuer + draw(st.text("0123456789", min_size=rest, max_size=rest)))


@given(card_numbers(), st.sampled_from(["", " ", "-"]))
def test_every_card_number_is_found_however_it_is_grouped(number: str, separator: str) -> None:
    grouped = separator.join(number[start : start + 4] for start in range(0, len(number), 4))
    assert holds_card_number(f'{{"payment_method": "{grouped}"}}')


@given(card_numbers(), st.integers(1, 9))
def test_a_wrong_check_digit_is_no_card_number(number: str, off: int) -> None:
    assert not holds_card_number(f"{number[:-1]}{(int(number[-1]) + off) % 10}")


@pytest.mark.parametrize(
    "text",
    ["", "4111 1111", "reference 1234567890123", "0197a5c2-4111-7111-8111-111111111111", "x4111111111111111", "0" * 16],
)
def test_harmless_texts_pass(text: str) -> None:
    assert not holds_card_number(text)
