"""Guards what comes in as bytes, and what is logged, against card data (GW-6).

Invariant: what `holds_card_data_in` lets through shows no card data to any reader, however digits may be escaped.
"""

import re
from typing import Final
from urllib.parse import unquote_plus

import structlog

from caas_contracts.cards import REMOVED, holds_card_data, is_far_from_card_data, redact_card_data

_ESCAPED: Final = re.compile(r"\\u([0-9a-fA-F]{4})|&#(\d{2,4});")
_ENOUGH_TO_LOOK_AT: Final = 7


def holds_card_data_in(raw: bytes) -> bool:
    """Whether bytes hold card data for a reader of text, of JSON (escapes), of URLs (percent signs) or of UTF-16."""
    if len(raw) < _ENOUGH_TO_LOOK_AT or _is_plainly_free(raw):
        return False
    text = raw.decode(errors="replace")
    if "\x00" in text:
        text = text.replace("\x00", "")
    if "\\u" in text or "&#" in text:
        text = _ESCAPED.sub(_unescaped, text)
    return holds_card_data(text) or ("%" in text and holds_card_data(unquote_plus(text))) or _holds_spaced(text)


def _is_plainly_free(raw: bytes) -> bool:
    """Nearly every message is ASCII, escapes nothing, and has no run of digits as long as a card number."""
    is_escaped = b"\\u" in raw or b"&#" in raw or b"%" in raw or b"\0" in raw
    return raw.isascii() and not is_escaped and is_far_from_card_data(raw)


def _holds_spaced(text: str) -> bool:
    """In forms and query strings a plus sign is a space."""
    return "+" in text and holds_card_data(text.replace("+", " "))


def _unescaped(found: re.Match[str]) -> str:
    code = int(found[1], 16) if found[1] else int(found[2])
    return chr(code) if not 0xD800 <= code <= 0xDFFF else " "


def redact_logged(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """A structlog processor that leaves no card data in any text of an event."""
    return {name: redact_values(value) for name, value in event.items()}


def redact_values(value: object) -> object:
    """The value with every text in it redacted; whatever has another form becomes text when it holds card data."""
    match value:
        case str():
            return redact_card_data(value)
        case bytes():
            return REMOVED.encode() if holds_card_data_in(value) else value
        case dict():
            return {redact_values(name): redact_values(inner) for name, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redact_values(inner) for inner in value]
        case _:
            text = str(value)
            return redact_card_data(text) if holds_card_data(text) else value


__all__ = ["REMOVED", "holds_card_data", "holds_card_data_in", "redact_card_data", "redact_logged", "redact_values"]
