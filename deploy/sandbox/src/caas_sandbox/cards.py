"""Recognises card numbers, so that none is ever echoed or stored (GW-6)."""

import re

# Not inside a longer run of letters, digits or dashes: a UUID is not a card number.
_CANDIDATE = re.compile(r"(?<![\w-])\d(?:[ -]?\d){11,18}(?![\w-])")


def holds_card_number(text: str) -> bool:
    """Whether `text` has 12 to 19 digits, spaces and dashes aside, that pass the Luhn check."""
    return any(_passes_luhn(re.sub(r"[ -]", "", found)) for found in _CANDIDATE.findall(text))


def _passes_luhn(digits: str) -> bool:
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    total = sum(map(int, digits[-1::-2])) + sum(value - 9 if value > 9 else value for value in doubled)
    return total % 10 == 0
