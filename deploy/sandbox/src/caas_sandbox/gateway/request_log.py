"""What was asked, answered and told, in order: the proof that a scripted fault or timing really happened.

Kept in memory only: the newest 20,000 entries of this process.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

LONGEST = 20_000


class Happening(StrEnum):
    """`asked` when a request has had its effect, or has none; `answered` when its answer, or its silence, is over."""

    ASKED = "asked"
    ANSWERED = "answered"
    WEBHOOK_DELIVERED = "webhook_delivered"
    WEBHOOK_WITHHELD = "webhook_withheld"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`operation` is the request's, or the webhook's type; `status` is what the answer said, or should have said."""

    happening: Happening
    operation: str
    reference: str
    idempotency_key: str = ""
    fault: str | None = None
    status: int | None = None


class RequestLog:
    """Entries in the order in which they happened."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=LONGEST)

    def add(self, entry: Entry) -> None:
        """It happens now."""
        self._entries.append(entry)

    def of(self, reference: str | None) -> Iterator[dict[str, object]]:
        """The entries of one reference, or all."""
        return (asdict(entry) for entry in self._entries if reference in (None, entry.reference))
