"""One command to one vehicle. Sent again it stays the same: same id, nonce, counter and content (OTA-1)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Self
from uuid import UUID


class CommandKind(StrEnum):
    """What a command asks of the vehicle."""

    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    CANCEL = "cancel"
    STATUS = "status"


class CommandState(StrEnum):
    """Where a command is."""

    QUEUED = "queued"
    """Waits for its turn at the vehicle; it has no counter yet and cannot have been sent."""
    IN_FLIGHT = "in_flight"
    """The vehicle's current command: it may have been sent."""
    ANSWERED = "answered"
    """A verified result arrived."""
    UNANSWERED = "unanswered"
    """Its retries are used up; an answer may still come."""
    SUPERSEDED = "superseded"
    """Nobody waits for it any more; an answer may still come when it had been sent."""


TRANSITIONS: Final[Mapping[CommandState, frozenset[CommandState]]] = {
    CommandState.QUEUED: frozenset({CommandState.IN_FLIGHT, CommandState.SUPERSEDED}),
    CommandState.IN_FLIGHT: frozenset({CommandState.ANSWERED, CommandState.UNANSWERED, CommandState.SUPERSEDED}),
    CommandState.UNANSWERED: frozenset({CommandState.ANSWERED}),
    CommandState.SUPERSEDED: frozenset({CommandState.ANSWERED}),
    CommandState.ANSWERED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Command:
    """`position` is its place among the vehicle's commands, `attempt` the number of the latest try."""

    command_id: UUID
    vehicle_id: str
    activation_id: UUID
    kind: CommandKind
    position: int
    deactivation_id: UUID | None = None
    state: CommandState = CommandState.QUEUED
    attempt: int = 1
    nonce: str | None = None
    counter: int | None = None
    sent_at: tuple[datetime, ...] = ()
    received_at: datetime | None = None
    answered_at: datetime | None = None
    outcome: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it still has, or waits for, its turn."""
        return self.state in (CommandState.QUEUED, CommandState.IN_FLIGHT)

    @property
    def was_sent(self) -> bool:
        """Whether the vehicle may have seen it."""
        return bool(self.sent_at)

    def dispatched(self, *, counter: int, nonce: str, at: datetime) -> Self:
        """It becomes the vehicle's current command."""
        self._require(CommandState.IN_FLIGHT)
        return replace(self, state=CommandState.IN_FLIGHT, counter=counter, nonce=nonce, sent_at=(at,))

    def sent_again(self, at: datetime) -> Self:
        """The same command once more, because the vehicle was silent."""
        return replace(self, attempt=self.attempt + 1, sent_at=(*self.sent_at, at))

    def received(self, at: datetime) -> Self:
        """The vehicle has it and is working."""
        return self if self.received_at else replace(self, received_at=at)

    def answered(self, outcome: str, at: datetime) -> Self:
        """Its verified result; `outcome` is a code such as `applied` or a rejection's reason."""
        self._require(CommandState.ANSWERED)
        return replace(self, state=CommandState.ANSWERED, outcome=outcome, answered_at=at)

    def given_up(self) -> Self:
        """The vehicle stayed silent through all retries."""
        self._require(CommandState.UNANSWERED)
        return replace(self, state=CommandState.UNANSWERED)

    def superseded(self) -> Self:
        """It is not waited for any more."""
        self._require(CommandState.SUPERSEDED)
        return replace(self, state=CommandState.SUPERSEDED)

    def _require(self, wanted: CommandState) -> None:
        if wanted not in TRANSITIONS[self.state]:
            raise ValueError(f"command {self.command_id} cannot go from {self.state} to {wanted}")
