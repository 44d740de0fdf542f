"""What a vehicle's answer, or its silence, means for the command and what it belongs to."""

from collections.abc import Sequence
from typing import assert_never

from caas_ota.domain import activating, deactivating
from caas_ota.domain.acknowledgement import Acknowledgement, AckStatus, Refusal, Verify, refusal_of
from caas_ota.domain.command import Command, CommandKind, CommandState
from caas_ota.domain.fleet import Fleet, Verdict
from caas_ota.domain.vehicle import Configuration


def acknowledge_all(fleet: Fleet, acks: Sequence[Acknowledgement], verify: Verify) -> None:
    """Take in a batch in its order, receipts last: a result makes its own receipt superfluous."""
    receipts = [ack for ack in acks if ack.status is AckStatus.RECEIVED]
    fleet.receipts = {ack.command_id: ack.arrived_at for ack in reversed(receipts)}
    for ack in acks:
        if ack.status is not AckStatus.RECEIVED:
            acknowledge(fleet, ack, verify)
    for ack in receipts:
        acknowledge(fleet, ack, verify)


def note_configuration(fleet: Fleet, vehicle_id: str, configuration: Configuration) -> None:
    """Remember what a vehicle says that it has (OTA-5)."""
    vehicle = fleet.vehicles.get(vehicle_id)
    if vehicle is None or not vehicle.is_registered:
        return
    if vehicle.reported_at is None or vehicle.reported != configuration:
        fleet.put_vehicle(vehicle.reporting(configuration, fleet.now))


def acknowledge(fleet: Fleet, ack: Acknowledgement, verify: Verify) -> None:
    """Believe or refuse an acknowledgement, and do what follows from it.

    A repeated one changes nothing. A refused one is only kept.
    """
    command = fleet.commands.get(ack.command_id)
    if command is not None and _is_repeated(ack, command):
        return
    vehicle = fleet.vehicles.get(ack.topic_vehicle_id)
    refusal = Refusal.UNKNOWN_VEHICLE if vehicle is None else refusal_of(ack, command, vehicle, verify)
    if refusal is None and command is not None:
        refusal = _follow(fleet, command, ack)
    if refusal is not None or ack.status is not AckStatus.RECEIVED:
        fleet.changes.verdicts.append(Verdict(ack, refusal))
    if refusal is None:
        fleet.advance(ack.vehicle_id)


def notice_silence(fleet: Fleet, command: Command, attempt: int, *, was_sent: bool) -> None:
    """The time to answer attempt number `attempt` is over: send again while there are retries (OTA-2).

    An attempt that the broker did not take does not count. A later attempt, or an answer, makes this void.
    """
    if command.state is not CommandState.IN_FLIGHT or command.attempt != attempt:
        return
    if not was_sent:
        fleet.resend(command)
    elif fleet.schedule_of(command).has_retry_after(attempt):
        fleet.send_again(command)
    else:
        _give_up(fleet, command)


def _is_repeated(ack: Acknowledgement, command: Command) -> bool:
    if ack.status is AckStatus.RECEIVED:
        return command.received_at is not None or command.state is CommandState.ANSWERED
    return command.outcome == ack.outcome


def _follow(fleet: Fleet, command: Command, ack: Acknowledgement) -> Refusal | None:
    if ack.status is AckStatus.RECEIVED:
        fleet.put_command(command.received(ack.arrived_at))
        return None
    if ack.applied_at and ack.status is AckStatus.APPLIED and command.kind is not CommandKind.DEACTIVATE:
        refusal = activating.succeed(fleet, command, ack, ack.applied_at)
        if refusal is not None:
            return refusal
    elif command.state is not CommandState.ANSWERED:
        answered = command.answered(ack.outcome, fleet.now)
        fleet.put_command(answered)
        _conclude(fleet, answered, ack)
    note_configuration(fleet, ack.vehicle_id, ack.configuration)
    return None


def _conclude(fleet: Fleet, command: Command, ack: Acknowledgement) -> None:
    match command.kind:
        case CommandKind.ACTIVATE:
            activating.reject(fleet, command, ack)
        case CommandKind.CANCEL if ack.status is AckStatus.CANCELLED:
            activating.cancelled(fleet, command)
        case CommandKind.DEACTIVATE if ack.status is AckStatus.APPLIED:
            deactivating.finish(fleet, command, ack)
        case CommandKind.DEACTIVATE:
            deactivating.reject(fleet, command, ack)
        case CommandKind.STATUS if ack.status is AckStatus.STATUS:
            fleet.changes.case_statuses[command.activation_id] = ack.configuration
        case CommandKind.CANCEL | CommandKind.STATUS:
            _ask_again(fleet, command)
        case never:
            assert_never(never)


def _ask_again(fleet: Fleet, command: Command) -> None:
    """A question that the vehicle rejected; when it goes on doing so, the deadline or the recheck decides."""
    activation = fleet.activations[command.activation_id]
    is_needed = command.kind is CommandKind.STATUS or activation.is_pending or activation.uncertain
    is_current = fleet.in_flight(command.vehicle_id) is None
    if is_needed and is_current and fleet.schedule_of(command).has_retry_after(command.attempt):
        fleet.try_anew(command)


def _give_up(fleet: Fleet, command: Command) -> None:
    given_up = command.given_up()
    fleet.put_command(given_up)
    match given_up.kind:
        case CommandKind.ACTIVATE:
            activation = fleet.activations[given_up.activation_id]
            activating.exhaust(fleet, activation, activating.NO_ANSWER)
        case CommandKind.DEACTIVATE:
            deactivating.put_off(fleet, given_up)
        case CommandKind.CANCEL | CommandKind.STATUS:
            pass
        case never:
            assert_never(never)
    fleet.advance(given_up.vehicle_id)
