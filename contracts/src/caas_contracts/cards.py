"""Finds card data in text: numbers by issuer and checksum, security codes by their name, magnetic tracks (GW-6).

Invariant: no field of a message can carry what is found here. Length alone would refuse harmless references, so a
number must begin like an issuer's range and satisfy the Luhn checksum; ids of known forms are looked past.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

REMOVED: Final = "[card data removed]"

_CHAIN: Final = re.compile(r"[0-9][0-9 .-]{10,}[0-9]")
_GROUP: Final = re.compile(r"[0-9]+")
_RUN: Final = b"0" * 12
_RUNS: Final = bytes.maketrans(b"123456789 .-+", b"0" * 13)
_REACH: Final = 64
"""As long as the longest known form, and longer than a track's end."""
_NAMES: Final = ("cvv", "cvc", "security", "verification")
_UUIDS: Final = re.compile(rb"(?<![0-9A-Za-z])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9A-Za-z])")

# What holds many digits and is no card number: UUIDs, W3C trace contexts, hexadecimal digests, decimal fractions,
# vehicle identification numbers, dates of instants.
_KNOWN_FORMS: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
    r"|[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}"
    r"|\d{1,3}\.\d{7,}"
    r"|[A-HJ-NPR-Z]{3}\d{14}"
    r"|(?:19|20)\d\d-(?:0\d|1[0-2])-(?:[0-2]\d|3[01])(?=[ T]\d\d:)"
    r")(?![0-9A-Za-z])"
)

_ISSUERS: Final = re.compile(
    r"(?:"
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12,15}"  # Discover
    r"|3(?:0[0-5]|095|6\d|[89]\d)\d{11,16}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|(?:62\d\d|81[0-7]\d)\d{12,15}"  # UnionPay
    r"|(?:5018|5020|5038|5893|6304|6390|67[0-9]\d)\d{8,15}"  # Maestro
    r"|(?:50|5[6-8]|6\d)\d{11,17}"  # Maestro and others of its ranges, from 13 digits on
    r"|220[0-4]\d{12,15}"  # Mir
    r"|(?:82\d\d|9792)\d{12}"  # RuPay, Troy
    r")"
)

_SECURITY_CODE: Final = re.compile(
    r"(?<![a-z])(?:card[ _-]?)?(?:cvv2?|cvc2?|(?:security|verification)[ _-]?code)"
    r"(?:[\"'\\]{0,2}[ \t]*[:=][ \t]*[\"'\\]{0,2}|[ \t]+(?:is|es)?[ \t]*)\d{3,4}(?!\d)",
    re.IGNORECASE,
)
_TRACK_1: Final = re.compile(r"%?[Bb]\d{12,19}\^[^\^\r\n]{2,26}\^\d{4}")
_TRACK_2: Final = re.compile(r";\d{12,19}=\d{4,}")


def holds_card_data(text: str) -> bool:
    """Whether the text contains what looks like a card number, a security code or a magnetic track."""
    if text.isascii() and is_far_from_card_data(text.encode()):
        return False
    return next(_places(text), None) is not None


def is_far_from_card_data(text: bytes) -> bool:
    """Whether ASCII text has neither twelve digits, spaces, dots, dashes or plus signs in a row nor a name of a code.

    Nothing in it can be card data then, and that is said ten times sooner than `holds_card_data` says it.
    """
    if _RUN in text.translate(_RUNS) and _RUN in _UUIDS.sub(b"id", text).translate(_RUNS):
        return False
    lowered = text.lower()
    return not (b"cvv" in lowered or b"cvc" in lowered or b"security" in lowered or b"verification" in lowered)


def redact_card_data(text: str) -> str:
    """The text with `REMOVED` in the place of card data; the same text when there is none."""
    parts: list[str] = []
    end = 0
    for start, stop in sorted(_places(text)):
        if start >= end:
            parts += [text[end:start], REMOVED]
        end = max(end, stop)
    return "".join([*parts, text[end:]])


def refuse_card_data(text: str) -> str:
    """A validator of fields. Raises ValueError, without the value, for text that holds card data."""
    if len(text) > 7 and holds_card_data(text):
        raise ValueError("card data is not accepted: send the gateway's token instead")
    return text


def _places(text: str) -> Iterator[tuple[int, int]]:
    """Where card data stands, as (start, end). Digits of any script and all dashes and spaces count."""
    plain = text if text.isascii() else "".join(map(_plain, text))
    for chain in _CHAIN.finditer(plain):
        yield from _numbers(plain, *chain.span())
        yield from _near(_TRACK_1, plain, *chain.span())
        yield from _near(_TRACK_2, plain, *chain.span())
    lowered = plain.lower()
    if any(name in lowered for name in _NAMES):
        yield from (found.span() for found in _SECURITY_CODE.finditer(plain))


def _numbers(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The card numbers among groups of digits, looking past those that belong to a known form."""
    known = list(_near(_KNOWN_FORMS, text, start, end))
    groups = [
        at.span()
        for at in _GROUP.finditer(text, start, end)
        if not any(first < at.end() and at.start() < last for first, last in known)
    ]
    for first in range(len(groups)):
        yield from _number_from(text, groups[first:])


def _near(pattern: re.Pattern[str], text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the pattern matches at these digits, or so near that they may be a part of it."""
    return (found.span() for found in pattern.finditer(text, max(0, start - _REACH), min(len(text), end + _REACH)))


def _number_from(text: str, groups: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Card numbers that begin with the first of these groups and end with one of them."""
    digits, before = "", groups[0][0]
    for start, end in groups:
        if start - before > 2:  # A known form stood between them.
            return
        before = end
        digits += text[start:end]
        if len(digits) > 19:
            return
        if _ISSUERS.fullmatch(digits) and _satisfies_luhn(digits) and _stands_alone(text, groups[0][0], end):
            yield groups[0][0], end


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether it is no part of an id: letters around it are words then, not hexadecimal or mixed with digits."""
    before, after = start, end
    while before > 0 and text[before - 1].isalnum():
        before -= 1
    while after < len(text) and text[after].isalnum():
        after += 1
    around = text[before:start] + text[end:after]
    return not around or (around.isalpha() and not all(letter in "abcdefABCDEF" for letter in around))


def _satisfies_luhn(digits: str) -> bool:
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _plain(character: str) -> str:
    """The ASCII digit, space or dash that a reader takes the character for; format characters are spaces."""
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    category = unicodedata.category(character)
    if category in ("Zs", "Cf"):
        return " "
    return "-" if category == "Pd" else character
