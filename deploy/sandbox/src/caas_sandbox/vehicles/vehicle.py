"""What one vehicle decides about one command: pure rules over its own record of the activation.

Invariant: an activation takes effect at most once, and never after a cancel or a deactivation of
it, nor after `not_after`.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from caas_sandbox.clock import rfc3339
from caas_sandbox.vehicles.messages import AckStatus, Command, CommandKind, Configuration, Reason

# A vehicle that is late says so only this long after the command's own limit.
LATENESS = timedelta(hours=2)
_REFUSALS_BEFORE_OBEYING = 2


class Behaviour(StrEnum):
    """How a vehicle behaves towards the service; all but these points are those of an honest vehicle."""

    OBEY = "obey"
    FAIL_TWICE = "fail_twice"
    SILENT = "silent"
    INCOMPATIBLE = "incompatible"
    LOST_ACK = "lost_ack"
    LATE_ACK = "late_ack"
    DUPLICATE_ACKS = "duplicate_acks"
    FAILS_DEACTIVATION_TWICE = "fails_deactivation_twice"


@dataclass(frozen=True, slots=True)
class Activation:
    """The vehicle's own record of one activation; times are RFC 3339 business time, or None."""

    vehicle_id: str
    activation_id: str
    service_code: str
    configuration: Configuration
    not_after: datetime | None = None
    applied_at: str | None = None
    deactivated_at: str | None = None
    cancelled: bool = False
    refused_activations: int = 0
    refused_deactivations: int = 0

    @property
    def is_active(self) -> bool:
        """Whether it is part of the configuration now."""
        return self.applied_at is not None and self.deactivated_at is None

    @property
    def settings(self) -> Configuration:
        """What it adds to the configuration; a service without settings shows by its code."""
        return self.configuration or {self.service_code: True}


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a command, and the activation as it is afterwards."""

    status: AckStatus
    activation: Activation
    reason: Reason = Reason.NONE
    permanent: bool = False
    applied_at: str = ""

    @property
    def is_final(self) -> bool:
        """Whether the vehicle's part in the activation ends with this answer."""
        return self.status in (AckStatus.APPLIED, AckStatus.CANCELLED) or self.permanent


def decide(command: Command, activation: Activation, behaviour: Behaviour, now: datetime) -> Decision:
    """What the vehicle does with a command that it has not decided on before; `now` is business time."""
    match command.kind:
        case CommandKind.ACTIVATE:
            return _activate(command, activation, behaviour, now)
        case CommandKind.DEACTIVATE:
            return _deactivate(command, activation, behaviour, now)
        case CommandKind.CANCEL:
            return _cancel(activation)
        case CommandKind.STATUS:
            return Decision(AckStatus.STATUS, activation)
        case never:
            assert_never(never)


def stale(activation: Activation) -> Decision:
    """The answer to a command that is older than one already seen (OTA-6)."""
    return Decision(AckStatus.REJECTED, activation, Reason.STALE_COUNTER)


def full_configuration(active: list[Activation]) -> Configuration:
    """The vehicle's configuration: the settings of its active services, later ones winning."""
    configuration: Configuration = {}
    for activation in active:
        configuration |= activation.settings
    return configuration


def late_release(command: Command, activation: Activation) -> datetime | None:
    """When a late vehicle's answer may leave, in business time; None when the command has no limit."""
    not_after = command.not_after or activation.not_after
    return not_after + LATENESS if not_after else None


def _activate(command: Command, activation: Activation, behaviour: Behaviour, now: datetime) -> Decision:
    if activation.cancelled or activation.deactivated_at:
        return Decision(AckStatus.REJECTED, activation, Reason.CANCELLED, permanent=True)
    if activation.applied_at:
        return Decision(AckStatus.APPLIED, activation, applied_at=activation.applied_at)
    if _is_expired(command, now):
        return Decision(AckStatus.REJECTED, activation, Reason.EXPIRED, permanent=True)
    if behaviour is Behaviour.INCOMPATIBLE:
        return Decision(AckStatus.REJECTED, activation, Reason.INCOMPATIBLE, permanent=True)
    if behaviour is Behaviour.FAIL_TWICE and activation.refused_activations < _REFUSALS_BEFORE_OBEYING:
        refused = replace(activation, refused_activations=activation.refused_activations + 1)
        return Decision(AckStatus.REJECTED, refused, Reason.BUSY)
    applied_at = rfc3339(now)
    applied = replace(
        activation,
        applied_at=applied_at,
        service_code=command.service_code,
        configuration=command.configuration,
    )
    return Decision(AckStatus.APPLIED, applied, applied_at=applied_at)


def _deactivate(command: Command, activation: Activation, behaviour: Behaviour, now: datetime) -> Decision:
    if activation.deactivated_at:
        return Decision(AckStatus.APPLIED, activation, applied_at=activation.deactivated_at)
    if _is_expired(command, now):
        return Decision(AckStatus.REJECTED, activation, Reason.EXPIRED, permanent=True)
    fails = behaviour is Behaviour.FAILS_DEACTIVATION_TWICE
    if fails and activation.refused_deactivations < _REFUSALS_BEFORE_OBEYING:
        refused = replace(activation, refused_deactivations=activation.refused_deactivations + 1)
        return Decision(AckStatus.REJECTED, refused, Reason.BUSY)
    removed_at = rfc3339(now)
    # Removing what was never there is remembered too, so that a late activate does not bring it back.
    removed = replace(activation, deactivated_at=removed_at)
    return Decision(AckStatus.APPLIED, removed, applied_at=removed_at)


def _cancel(activation: Activation) -> Decision:
    # A cancel has no time limit: saying "do not" late is still worth obeying.
    if activation.applied_at:
        return Decision(AckStatus.APPLIED, activation, applied_at=activation.applied_at)
    return Decision(AckStatus.CANCELLED, replace(activation, cancelled=True))


def _is_expired(command: Command, now: datetime) -> bool:
    return command.not_after is not None and now > command.not_after
