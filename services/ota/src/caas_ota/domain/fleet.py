"""The vehicles that one transaction has locked, with everything open on them, and what it changes.

Owns the queue of each vehicle. Invariant: one command is in flight per vehicle, in order of arrival,
with a counter that only rises (OTA-6).
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from caas_contracts import Message
from caas_contracts.operations import AlertKind
from caas_contracts.ota import ActivationAttempt
from caas_ota.domain.acknowledgement import Acknowledgement, Refusal
from caas_ota.domain.activation import Activation
from caas_ota.domain.command import Command, CommandKind, CommandState
from caas_ota.domain.deactivation import Deactivation
from caas_ota.domain.origin import Origin
from caas_ota.domain.policy import Policy, RetrySchedule
from caas_ota.domain.support import SupportCase, attempts_of
from caas_ota.domain.vehicle import Configuration, Vehicle

NO_DELAY: Final = timedelta(0)


class Timer(StrEnum):
    """What ota has to look at again at a business instant; the key is the id of the thing."""

    DEADLINE = "deadline"
    """An activation without a result, once the charge fence's margin has passed."""
    UNKNOWN_VEHICLE = "unknown-vehicle"
    """An activation of a vehicle that was not registered when it was requested."""
    RECHECK = "recheck"
    """A failed activation whose vehicle was never heard."""
    DEACTIVATION = "deactivation"
    """A delayed deactivation that is to be tried again."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A command to send after the commit, `delay` of real time later."""

    command: Command
    activation: Activation
    delay: timedelta


@dataclass(frozen=True, slots=True)
class Alert:
    """Something for a person in operations (NOT-2)."""

    kind: AlertKind
    subject: str
    detail: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about an acknowledgement; `refusal` None means believed."""

    acknowledgement: Acknowledgement
    refusal: Refusal | None


@dataclass
class Changes:
    """What the transaction has to write, publish, send and schedule."""

    vehicles: set[str] = field(default_factory=set)
    activations: set[UUID] = field(default_factory=set)
    deactivations: set[UUID] = field(default_factory=set)
    commands: set[UUID] = field(default_factory=set)
    cases: list[SupportCase] = field(default_factory=list)
    case_statuses: dict[UUID, Configuration] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    events: list[tuple[Message, Origin]] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    dispatches: list[Dispatch] = field(default_factory=list)
    timers: dict[tuple[Timer, str], tuple[datetime, Origin]] = field(default_factory=dict)


class Fleet:
    """A working set: values are replaced in it, and `changes` collects what is to be written."""

    def __init__(self, *, now: datetime, policy: Policy, new_id: Callable[[], UUID]) -> None:
        self.now = now
        self.policy = policy
        self.new_id = new_id
        self.vehicles: dict[str, Vehicle] = {}
        self.activations: dict[UUID, Activation] = {}
        self.deactivations: dict[UUID, Deactivation] = {}
        self.commands: dict[UUID, Command] = {}
        self.changes = Changes()
        self.receipts: dict[UUID, datetime] = {}
        """When receipts of this batch arrived, by command; not verified, they only measure."""
        self._by_activation: dict[UUID, list[UUID]] = {}
        self._queues: dict[str, list[UUID]] = {}

    def load(
        self,
        vehicles: Iterable[Vehicle],
        activations: Iterable[Activation],
        deactivations: Iterable[Deactivation],
        commands: Iterable[Command],
    ) -> None:
        """Take in what is stored."""
        self.vehicles.update((vehicle.vehicle_id, vehicle) for vehicle in vehicles)
        self.activations.update((activation.activation_id, activation) for activation in activations)
        self.deactivations.update((one.deactivation_id, one) for one in deactivations)
        for command in commands:
            self._index(command)

    def put_vehicle(self, vehicle: Vehicle) -> None:
        """Replace a vehicle."""
        self.vehicles[vehicle.vehicle_id] = vehicle
        self.changes.vehicles.add(vehicle.vehicle_id)

    def put_activation(self, activation: Activation) -> None:
        """Replace or add an activation."""
        self.activations[activation.activation_id] = activation
        self.changes.activations.add(activation.activation_id)

    def put_deactivation(self, deactivation: Deactivation) -> None:
        """Replace or add a deactivation."""
        self.deactivations[deactivation.deactivation_id] = deactivation
        self.changes.deactivations.add(deactivation.deactivation_id)

    def put_command(self, command: Command) -> None:
        """Replace or add a command."""
        self._index(command)
        self.changes.commands.add(command.command_id)

    def commands_of(self, activation_id: UUID, *kinds: CommandKind) -> list[Command]:
        """The activation's commands of these kinds, oldest first."""
        commands = [self.commands[command_id] for command_id in self._by_activation.get(activation_id, ())]
        return [command for command in commands if command.kind in kinds]

    def attempts(self, activation: Activation) -> list[ActivationAttempt]:
        """The history of an activation as results and support cases tell it."""
        return attempts_of(self.commands_of(activation.activation_id, CommandKind.ACTIVATE, CommandKind.CANCEL))

    def schedule_of(self, command: Command) -> RetrySchedule:
        """The retries of the command's service."""
        return self.policy.schedule_for(self.activations[command.activation_id].service_code)

    def publish(self, message: Message, origin: Origin) -> None:
        """Have a result published with this transaction."""
        self.changes.events.append((message, origin))

    def alert(self, kind: AlertKind, subject: object, detail: str, origin: Origin) -> None:
        """Have operations look at something."""
        self.changes.alerts.append(Alert(kind, str(subject), detail, origin))

    def wake_at(self, timer: Timer, key: UUID, due_at: datetime, origin: Origin) -> None:
        """Set a timer, replacing an earlier setting. It fires even when there is nothing left to do."""
        self.changes.timers[timer, str(key)] = (due_at, origin)

    def enqueue(
        self,
        kind: CommandKind,
        activation: Activation,
        *,
        deactivation_id: UUID | None = None,
        position: int | None = None,
    ) -> None:
        """Give the vehicle another command; it goes out at once when nothing else is in flight.

        Its place is behind the others, or `position`, the place of an earlier one that it replaces.
        """
        vehicle = self.vehicles[activation.vehicle_id].with_arrival()
        self.put_vehicle(vehicle)
        command = Command(
            command_id=self.new_id(),
            vehicle_id=vehicle.vehicle_id,
            activation_id=activation.activation_id,
            kind=kind,
            position=position or vehicle.arrivals,
            deactivation_id=deactivation_id,
        )
        self.put_command(command)
        self.advance(vehicle.vehicle_id)

    def advance(self, vehicle_id: str) -> None:
        """Send the vehicle's oldest waiting command when it has none in flight (OTA-6)."""
        if not self.vehicles[vehicle_id].is_registered or self.in_flight(vehicle_id) is not None:
            return
        waiting = self._open(vehicle_id)
        if waiting:
            self._dispatch(min(waiting, key=lambda command: command.position), NO_DELAY)

    def in_flight(self, vehicle_id: str) -> Command | None:
        """The vehicle's current command."""
        current = [command for command in self._open(vehicle_id) if command.state is CommandState.IN_FLIGHT]
        return current[0] if current else None

    def send_again(self, command: Command) -> None:
        """The same command once more, at once: the vehicle stayed silent (OTA-2)."""
        again = command.sent_again(self.now)
        self.put_command(again)
        self.changes.dispatches.append(Dispatch(again, self.activations[again.activation_id], NO_DELAY))

    def resend(self, command: Command) -> None:
        """Hand the command over once more without counting it: the broker had not taken it."""
        self.changes.dispatches.append(Dispatch(command, self.activations[command.activation_id], NO_DELAY))

    def try_anew(self, rejected: Command) -> None:
        """A new command in place of one that was rejected for now, after the retry delay (OTA-2).

        It takes the vehicle over at once, so that no later command overtakes it.
        """
        successor = Command(
            command_id=self.new_id(),
            vehicle_id=rejected.vehicle_id,
            activation_id=rejected.activation_id,
            kind=rejected.kind,
            position=rejected.position,
            deactivation_id=rejected.deactivation_id,
            attempt=rejected.attempt + 1,
        )
        self._dispatch(successor, self.schedule_of(rejected).delay_after(rejected.attempt))

    def supersede(self, commands: Iterable[Command]) -> None:
        """Stop waiting for these commands, as far as they are open."""
        for command in commands:
            if command.is_open:
                self.put_command(command.superseded())

    def _dispatch(self, command: Command, delay: timedelta) -> None:
        vehicle = self.vehicles[command.vehicle_id].with_dispatch()
        self.put_vehicle(vehicle)
        sent = command.dispatched(counter=vehicle.counter, nonce=secrets.token_urlsafe(18), at=self.now + delay)
        self.put_command(sent)
        activation = self.activations[sent.activation_id]
        if sent.kind is CommandKind.ACTIVATE:
            activation = activation.sent()
            self.put_activation(activation)
        if sent.deactivation_id is not None:
            self.put_deactivation(self.deactivations[sent.deactivation_id].sent())
        self.changes.dispatches.append(Dispatch(sent, activation, delay))

    def _open(self, vehicle_id: str) -> list[Command]:
        commands = [self.commands[command_id] for command_id in self._queues.get(vehicle_id, ())]
        return [command for command in commands if command.is_open]

    def _index(self, command: Command) -> None:
        if command.command_id not in self.commands:
            self._by_activation.setdefault(command.activation_id, []).append(command.command_id)
            self._queues.setdefault(command.vehicle_id, []).append(command.command_id)
        self.commands[command.command_id] = command


def desired_configuration(active: Iterable[tuple[str, Configuration]]) -> dict[str, object]:
    """What a vehicle should have: the settings of its wanted services, the latest requested winning (OTA-5).

    A service without settings of its own shows by its code, as vehicles report it.
    """
    desired: dict[str, object] = {}
    for service_code, configuration in active:
        desired |= dict(configuration) or {service_code: True}
    return desired
