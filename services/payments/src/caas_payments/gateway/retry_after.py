"""`Retry-After` (RFC 9110): seconds, or the date until which the gateway does not want to be asked."""

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_S: Final = 3600
"""More is not believed: a gateway that means it says so again."""


def retry_after_s(headers: Mapping[str, str]) -> int | None:
    """Whole seconds to wait, 0 to an hour; None when the header is absent or cannot be read.

    A date is compared with the answer's own `Date`, so that the two clocks need not agree.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        # A number too long to be meant is cut before it is read.
        return min(int(text[:9]), LONGEST_S)
    until_s = _seconds(text)
    if until_s is None:
        return None
    now_s = _seconds(headers.get("Date", ""))
    return max(0, min(math.ceil(until_s - (time.time() if now_s is None else now_s)), LONGEST_S))


def _seconds(date: str) -> float | None:
    """Seconds since the epoch of an HTTP date."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
