"""Scripts of faults: what shall go wrong with which request or event, how often, and how often it did.

They are kept in the books, so a script survives a restart in the middle of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from caas_sandbox.clock import rfc3339

ANY = "any"
"""The operation of a fault that strikes whatever is asked."""


class FaultKind(StrEnum):
    """How something goes wrong; see `BEFORE_EFFECT` for whether a request's effect is booked."""

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
    REJECTION = "rejection"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    HELD_BACK = "held_back"


BEFORE_EFFECT = frozenset(
    {
        FaultKind.TIMEOUT_BEFORE,
        FaultKind.UNAVAILABLE,
        FaultKind.TOO_MANY_REQUESTS,
        FaultKind.NOT_FOUND,
        FaultKind.OUTAGE,
    }
)
OF_DECISIONS = frozenset({FaultKind.REJECTION, FaultKind.DELAY})
OF_EVENTS = frozenset({FaultKind.DUPLICATE, FaultKind.HELD_BACK})
OF_REQUESTS = frozenset(FaultKind) - OF_DECISIONS - OF_EVENTS
_WITH_PAUSE = frozenset({FaultKind.TOO_MANY_REQUESTS, FaultKind.UNAVAILABLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One entry of a script, for some `times` (None: any number) and `until` a business instant (None: always).

    `retry_after_s` goes with an answer, `reason` with a rejection, `days` with a delay, `hold_s` (of real time)
    with an event that is held back.
    """

    kind: FaultKind
    operation: str = ANY
    reference: str | None = None
    times: int | None = 1
    retry_after_s: int | None = None
    until: datetime | None = None
    reason: str | None = None
    days: int | None = None
    hold_s: float | None = None
    fired: int = 0

    def matches(self, operation: str, reference: str | None, now: datetime) -> bool:
        """Whether this entry still has something to spoil, and this is what it waits for."""
        exhausted = self.times is not None and self.fired >= self.times
        over = self.until is not None and now >= self.until
        right_operation = self.operation in (ANY, operation)
        return not exhausted and not over and right_operation and self.reference in (None, reference)

    def as_json(self) -> dict[str, object]:
        """The entry as GET /sandbox/faults shows it."""
        return {
            "kind": self.kind.value,
            "operation": self.operation,
            "reference": self.reference,
            "times": self.times,
            "retry_after_s": self.retry_after_s,
            "until": rfc3339(self.until) if self.until else None,
            "reason": self.reason,
            "days": self.days,
            "hold_s": self.hold_s,
            "fired": self.fired,
        }


class FaultRequest(BaseModel):
    """One entry for the script; with `for_s` seconds of business time, or of an outage, it has no number of times."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind
    operation: str = ANY
    reference: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    times: Annotated[int, Field(ge=1)] = 1
    retry_after_s: Annotated[int, Field(ge=0)] | None = None
    for_s: Annotated[int, Field(ge=1)] | None = None
    reason: Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")] | None = None
    days: Annotated[int, Field(ge=1, le=365)] | None = None
    hold_s: Annotated[float, Field(gt=0, le=60)] | None = None

    @model_validator(mode="after")
    def _pause_belongs_to_an_answer(self) -> Self:
        if self.retry_after_s is not None and self.kind not in _WITH_PAUSE:
            raise ValueError("retry_after_s goes with the kinds 429 and 503 only")
        return self

    def fault(self, now: datetime) -> Fault:
        """The entry as the script keeps it, from the business instant `now` on."""
        unlimited = self.kind is FaultKind.OUTAGE or self.for_s is not None
        until = None if self.for_s is None else now + timedelta(seconds=self.for_s)
        given = self.model_dump(exclude={"for_s"})
        return Fault(**{**given, "times": None if unlimited else self.times, "until": until})
