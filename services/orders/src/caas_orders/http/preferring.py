"""How long an HTTP caller prefers to wait for an outcome (RFC 7240)."""

import re
from typing import Final

MAX_WAIT_S: Final = 30
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,5})\b")


def wait_of(prefer: str | None) -> int:
    """`Prefer: wait=N`, in seconds, at most 30; 0 without it."""
    found = _WAIT.search(prefer or "")
    return min(int(found.group(1)), MAX_WAIT_S) if found else 0
