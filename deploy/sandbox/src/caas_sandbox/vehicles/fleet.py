"""All the vehicles of this process: what they take in, decide and let out.

Invariant: a repeated command is answered with the acknowledgement of the first time and changes
nothing; every command is acknowledged as received before its result.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from caas_sandbox.clock import BusinessClock, rfc3339
from caas_sandbox.vehicles.messages import (
    Acknowledgement,
    AckStatus,
    Command,
    CommandKind,
    Configuration,
    MalformedCommandError,
    Reason,
    acknowledgements_topic,
    parse_command,
    reported_topic,
)
from caas_sandbox.vehicles.store import Answer, Unsent, Vehicle, VehicleBooks
from caas_sandbox.vehicles.vehicle import (
    Activation,
    Behaviour,
    Decision,
    decide,
    full_configuration,
    late_release,
    stale,
)

# One transaction and one round of sending; larger ones make the first vehicle of a batch wait.
BATCH = 200
_COPIES_OF_A_DUPLICATOR = 3
_ABOUT_TO_ACTIVATE = (CommandKind.ACTIVATE, CommandKind.CANCEL)


@dataclass(frozen=True, slots=True)
class Publication:
    """One MQTT message to send at QoS 1."""

    topic: str
    payload: bytes
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Departure:
    """What leaves in one round, and what to mark once the broker has it."""

    publications: list[Publication]
    acknowledgements: list[Unsent]
    reports: list[str]


@dataclass
class Fleet:
    """The vehicles over their books; times are business time from `clock`."""

    books: VehicleBooks
    clock: BusinessClock
    malformed_commands: int = 0
    commands_to_unknown_vehicles: int = 0
    _receipts: list[Publication] = field(default_factory=list)
    # Derived from the books, dropped whenever an activation of the vehicle changes.
    _configurations: dict[str, Configuration] = field(default_factory=dict)

    def register(self, vehicle_id: str, behaviour: Behaviour, delay_ms: int) -> str:
        """Adds or changes a vehicle and returns its public key, in base64.

        One that is silent no more handles what it was sent meanwhile; one that is late no more lets
        its answers go.
        """
        with self.books.transaction():
            before = self.books.vehicle(vehicle_id)
            self.books.register(vehicle_id, behaviour, delay_ms)
            if before is not None and before.behaviour is not behaviour:
                self._change_behaviour(before)
        return self.books.public_key(vehicle_id)

    def handle(self, deliveries: Sequence[tuple[str, bytes]]) -> None:
        """Handles delivered commands (topic, payload) in order, and whatever has become due, in one
        transaction.
        """
        with self.books.transaction():
            for topic, payload in deliveries:
                self._deliver(topic, payload)
            for topic, payload, was_stale in self.books.due_commands(BATCH):
                command = parse_command(topic, payload)
                vehicle = self.books.vehicle(command.vehicle_id)
                if vehicle is not None:
                    self._decide(command, vehicle, self.books.open_activation(command), bool(was_stale))
            self.books.release_late(self.clock.now())

    def answers(self) -> Departure:
        """The acknowledgements that may be sent now: receipts first, then results in order."""
        publications, self._receipts = self._receipts, []
        unsent = self.books.unsent(BATCH)
        for one in unsent:
            publications += _publish(one.vehicle_id, one.acknowledgement, one.behaviour) * one.times
        return Departure(publications, unsent, [])

    def reports(self) -> Departure:
        """The configurations that changed since they were last reported."""
        vehicle_ids = self.books.reports_due(BATCH)
        return Departure([self._report(vehicle_id) for vehicle_id in vehicle_ids], [], vehicle_ids)

    def has_left(self, departure: Departure, at_ns: int) -> None:
        """Marks what was sent; without this call it leaves again."""
        with self.books.transaction():
            self.books.sent(departure.acknowledgements, at_ns)
            self.books.reported(departure.reports)

    def configuration(self, vehicle_id: str) -> Configuration:
        """The vehicle's full configuration now."""
        if vehicle_id not in self._configurations:
            active = self.books.activations(vehicle_id, active=True)
            self._configurations[vehicle_id] = full_configuration(active)
        return self._configurations[vehicle_id]

    def _change_behaviour(self, before: Vehicle) -> None:
        if before.behaviour is Behaviour.SILENT:
            for topic, payload in self.books.take_withheld(before.vehicle_id):
                self._deliver(topic, payload)
        if before.behaviour is Behaviour.LATE_ACK:
            self.books.release_late_of(before.vehicle_id)

    def _deliver(self, topic: str, payload: bytes) -> None:
        try:
            command = parse_command(topic, payload)
        except MalformedCommandError:
            self.malformed_commands += 1
            return
        vehicle = self.books.vehicle(command.vehicle_id)
        if vehicle is None:
            self.commands_to_unknown_vehicles += 1
            return
        withheld = vehicle.behaviour is Behaviour.SILENT and command.kind in _ABOUT_TO_ACTIVATE
        if not self.books.knows(command):
            self._keep(command, vehicle, topic=topic, payload=payload, withheld=withheld)
        elif not withheld:
            self.books.count_command(command)
            self._receive(command, vehicle.behaviour)
            self.books.send_again(command)

    def _keep(self, command: Command, vehicle: Vehicle, *, topic: str, payload: bytes, withheld: bool) -> None:
        activation = self.books.open_activation(command)
        is_stale = vehicle.highest_counter is not None and command.counter < vehicle.highest_counter
        self.books.keep_command(
            command,
            topic=topic,
            payload=payload,
            state="withheld" if withheld else "waiting",
            stale=is_stale,
            delay_ms=vehicle.delay_ms,
        )
        if withheld:
            return
        self.books.count_command(command)
        self._receive(command, vehicle.behaviour)
        if vehicle.delay_ms == 0:
            self._decide(command, vehicle, activation, is_stale)

    def _receive(self, command: Command, behaviour: Behaviour) -> None:
        receipt = self._acknowledge(command, AckStatus.RECEIVED)
        self._receipts += _publish(command.vehicle_id, receipt, behaviour)

    def _decide(self, command: Command, vehicle: Vehicle, before: Activation, is_stale: bool) -> None:
        decision = stale(before) if is_stale else decide(command, before, vehicle.behaviour, self.clock.now())
        after = decision.activation
        if after != before:
            self.books.write_activation(after)
            self._configurations.pop(command.vehicle_id, None)
        if after.is_active != before.is_active:
            self.books.report_due(command.vehicle_id)
        self.books.decided(command, self._answer(command, vehicle.behaviour, before, decision))

    def _answer(self, command: Command, behaviour: Behaviour, before: Activation, decision: Decision) -> Answer:
        acknowledgement = self._acknowledge(
            command,
            decision.status,
            reason=decision.reason,
            permanent=decision.permanent,
            applied_at=decision.applied_at,
        )
        newly_applied = decision.activation.applied_at is not None and before.applied_at is None
        if behaviour is Behaviour.LOST_ACK and newly_applied:
            return Answer(acknowledgement, decision.is_final, is_lost=True)
        release_after = late_release(command, before)
        late = behaviour is Behaviour.LATE_ACK and command.kind in _ABOUT_TO_ACTIVATE
        if late and release_after is not None and self.clock.now() <= release_after:
            return Answer(acknowledgement, decision.is_final, release_after=release_after)
        return Answer(acknowledgement, decision.is_final)

    def _acknowledge(
        self,
        command: Command,
        status: AckStatus,
        *,
        reason: Reason = Reason.NONE,
        permanent: bool = False,
        applied_at: str = "",
    ) -> bytes:
        acknowledgement = Acknowledgement(
            command_id=command.command_id,
            activation_id=command.activation_id,
            vehicle_id=command.vehicle_id,
            status=status,
            reason=reason,
            permanent=permanent,
            nonce=command.nonce,
            counter=command.counter,
            applied_at=applied_at,
            configuration=self.configuration(command.vehicle_id),
        )
        return acknowledgement.encode(self.books.key(command.vehicle_id))

    def _report(self, vehicle_id: str) -> Publication:
        content = {
            "vehicle_id": vehicle_id,
            "configuration": self.configuration(vehicle_id),
            "reported_at": rfc3339(self.clock.now()),
        }
        payload = json.dumps(content, separators=(",", ":")).encode()
        return Publication(reported_topic(vehicle_id), payload, retain=True)


def _publish(vehicle_id: str, acknowledgement: bytes, behaviour: Behaviour) -> list[Publication]:
    copies = _COPIES_OF_A_DUPLICATOR if behaviour is Behaviour.DUPLICATE_ACKS else 1
    return [Publication(acknowledgements_topic(vehicle_id), acknowledgement)] * copies
