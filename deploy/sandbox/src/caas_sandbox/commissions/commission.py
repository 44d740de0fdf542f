"""A commission: what the merchant asked for under a reference of its own, and how far the partner is with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field

from caas_sandbox.clock import rfc3339
from caas_sandbox.faults import ANY

type Facts = Mapping[str, object]


class Operation(StrEnum):
    """What a fault can strike: a request (`place`, `lookup`), the partner's next `step`, or an `event`."""

    PLACE = "place"
    LOOKUP = "lookup"
    STEP = "step"
    EVENT = "event"
    ANY = ANY


class CommissionRequest(BaseModel):
    """What every request has: the merchant's name for what it asks."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    reference: Annotated[str, Field(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True)
class Step:
    """What the partner does by itself, `after` the step before (business time); it ends in `status`.

    With `rejected` the partner may decide against it instead, and the commission ends in that status.
    """

    status: str
    after: timedelta
    rejected: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commission:
    """`serial` counts the partner's commissions, `steps_done` how far this one is; `facts` are told as they are."""

    id: str
    serial: int
    reference: str
    status: str
    steps_done: int
    facts: Facts
    created_at: datetime
    changed_at: datetime

    def as_json(self) -> dict[str, object]:
        """The commission as the partner tells it."""
        return {
            **self.facts,
            "id": self.id,
            "reference": self.reference,
            "status": self.status,
            "created_at": rfc3339(self.created_at),
            "changed_at": rfc3339(self.changed_at),
        }

    def now(self, status: str, at: datetime, facts: Facts, *, steps_done: int | None = None) -> Self:
        """The commission after something was done, with what is known since."""
        done = self.steps_done if steps_done is None else steps_done
        return replace(self, status=status, steps_done=done, facts={**self.facts, **facts}, changed_at=at)


class Trade(Protocol):
    """What tells one partner from another."""

    name: ClassVar[str]
    noun: ClassVar[str]
    """One commission in the partner's words, `order`: so event types begin."""
    plural: ClassVar[str]
    """Many of them: so routes and lists are called."""
    id_prefix: ClassVar[str]
    request: ClassVar[type[CommissionRequest]]
    first_status: ClassVar[str]
    exclusive: ClassVar[str | None]
    """A fact that two commissions that were not rejected never share."""
    steps: Sequence[Step]

    def begun(self, now: datetime) -> Facts:
        """What the partner says at once, beside what it was asked."""
        ...

    def learned(self, commission: Commission, status: str, now: datetime) -> Facts:
        """What is known once a commission has reached `status`."""
        ...

    def delayed(self, commission: Commission, days: int) -> Facts:
        """What the partner says when its next step takes `days` longer."""
        ...


def day_of(instant: datetime) -> str:
    """The calendar day of an instant, `YYYY-MM-DD`."""
    return instant.date().isoformat()
