"""What technical support gets for an activation that failed: the whole attempt history (SVC-5)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from caas_contracts.ota import ActivationAttempt
from caas_ota.domain.command import Command, CommandState


@dataclass(frozen=True, slots=True)
class SupportCase:
    """`attempts` is the history at the time of failure; the vehicle's status is added when it answers."""

    support_case_id: UUID
    activation_id: UUID
    vehicle_id: str
    reason: str
    attempts: tuple[ActivationAttempt, ...]
    opened_at: datetime


def attempts_of(commands: Iterable[Command]) -> list[ActivationAttempt]:
    """Every sending of these commands, in the order they went out, and what became of it."""
    sent = [command for command in commands if command.was_sent]
    attempts: list[ActivationAttempt] = []
    for command in sorted(sent, key=lambda command: command.counter or 0):
        for index, at in enumerate(command.sent_at, start=1):
            is_last = index == len(command.sent_at)
            attempts.append(
                ActivationAttempt(
                    number=len(attempts) + 1,
                    command_id=command.command_id,
                    sent_at=at,
                    answered_at=command.answered_at if is_last else None,
                    outcome=_outcome(command) if is_last else "no_answer",
                )
            )
    return attempts


def _outcome(command: Command) -> str:
    if command.outcome is not None:
        return command.outcome
    return "waiting" if command.state is CommandState.IN_FLIGHT else "no_answer"
