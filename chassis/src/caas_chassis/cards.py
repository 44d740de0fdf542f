"""Finds card numbers in input, so that they are refused at the door without being echoed (GW-6).

A card number is 13 to 19 digits, possibly grouped by spaces or dashes, that begins like an issuer's range
and satisfies the Luhn checksum. Length alone would refuse harmless references.
"""

import re
from typing import Final

_CANDIDATE: Final = re.compile(r"(?<![0-9A-Za-z-])(?:\d[ -]?){12,18}\d(?![0-9A-Za-z])")
_ISSUERS: Final = re.compile(
    r"^(?:4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12,15}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}|(?:50|5[6-9]|6\d)\d{10,17})$"
)


def holds_card_number(text: str) -> bool:
    """Whether the text contains what looks like a card number."""
    return any(_is_card_number(match.group()) for match in _CANDIDATE.finditer(text))


def _is_card_number(candidate: str) -> bool:
    digits = re.sub(r"[ -]", "", candidate)
    return bool(_ISSUERS.match(digits)) and _satisfies_luhn(digits)


def _satisfies_luhn(digits: str) -> bool:
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
