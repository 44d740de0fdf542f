"""Scripts of faults: what shall go wrong with which request, how often, and how often it did.

They are kept in the books, so a script survives a restart in the middle of it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Operation(StrEnum):
    """What a request asks of the gateway."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    LOOKUP = "lookup"
    SETTLEMENTS = "settlements"
    ANY = "any"


class FaultKind(StrEnum):
    """How a request goes wrong; see `BEFORE_EFFECT` for whether its effect is booked."""

    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    UNAVAILABLE = "503"
    ERROR_AFTER = "500_after"
    TOO_MANY_REQUESTS = "429"
    GARBAGE = "garbage"
    HALF = "half"
    NOT_FOUND = "not_found"
    WRONG_AMOUNT = "wrong_amount"
    KEY_EXPIRED = "key_expired"
    SLOW = "slow"
    OUTAGE = "outage"


BEFORE_EFFECT = frozenset(
    {
        FaultKind.TIMEOUT_BEFORE,
        FaultKind.UNAVAILABLE,
        FaultKind.TOO_MANY_REQUESTS,
        FaultKind.NOT_FOUND,
        FaultKind.OUTAGE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One entry of a script; `times` None means until it is deleted."""

    kind: FaultKind
    operation: Operation = Operation.ANY
    reference: str | None = None
    times: int | None = 1
    retry_after_s: int | None = None
    fired: int = 0

    def matches(self, operation: Operation, reference: str | None) -> bool:
        """Whether this entry still has something to spoil, and this request is what it waits for."""
        exhausted = self.times is not None and self.fired >= self.times
        right_operation = self.operation in (Operation.ANY, operation)
        return not exhausted and right_operation and self.reference in (None, reference)

    def as_json(self) -> dict[str, object]:
        """The entry as GET /sandbox/faults shows it."""
        return {
            "kind": self.kind.value,
            "operation": self.operation.value,
            "reference": self.reference,
            "times": self.times,
            "retry_after_s": self.retry_after_s,
            "fired": self.fired,
        }
