"""How a deactivation is followed until the vehicle proves that it is done (OTA-4)."""

from caas_contracts.operations import AlertKind
from caas_contracts.ota import DeactivateService, DeactivationDelayed, ServiceDeactivated
from caas_ota.domain.acknowledgement import Acknowledgement
from caas_ota.domain.activation import Activation
from caas_ota.domain.command import Command, CommandKind
from caas_ota.domain.deactivation import Deactivation, DeactivationStatus
from caas_ota.domain.fleet import Fleet, Timer
from caas_ota.domain.origin import Origin
from caas_ota.domain.refusal import Refused
from caas_ota.domain.support import attempts_of


def request_deactivation(fleet: Fleet, message: DeactivateService, origin: Origin) -> Refused | None:
    """Put a deactivation on the work list; asked for again it is the same one.

    Refused when the vehicle has no such activation.
    """
    activation = fleet.activations.get(message.activation_id)
    if activation is None or activation.vehicle_id != message.vehicle_id:
        return Refused.unknown(message.activation_id, message.vehicle_id)
    if message.deactivation_id in fleet.deactivations:
        return None
    deactivation = Deactivation.requested(message, origin)
    fleet.put_deactivation(deactivation)
    fleet.enqueue(CommandKind.DEACTIVATE, activation, deactivation_id=deactivation.deactivation_id)
    return None


def finish(fleet: Fleet, command: Command, proof: Acknowledgement) -> None:
    """The vehicle proved that it removed the service: publish that, once."""
    deactivation = _deactivation_of(fleet, command)
    if deactivation.status is DeactivationStatus.DONE:
        return
    activation = fleet.activations[command.activation_id]
    fleet.put_deactivation(deactivation.done(fleet.now))
    fleet.put_activation(activation.deactivated(proof.applied_at or fleet.now))
    fleet.supersede(_commands_of(fleet, deactivation))
    event = ServiceDeactivated(
        activation_id=activation.activation_id,
        purchase_id=activation.purchase_id,
        payment_id=activation.payment_id,
        vehicle_id=activation.vehicle_id,
        service_code=activation.service_code,
        occurred_at=fleet.now,
        deactivation_id=deactivation.deactivation_id,
        reason=deactivation.reason,
    )
    fleet.publish(event, deactivation.origin)


def reject(fleet: Fleet, command: Command, ack: Acknowledgement) -> None:
    """The vehicle refused: tried again while there are retries, then put off."""
    deactivation = _deactivation_of(fleet, command)
    if deactivation.status is not DeactivationStatus.SENT:
        return
    if any(sibling.is_open for sibling in _commands_of(fleet, deactivation)):
        return
    if not ack.permanent and fleet.schedule_of(command).has_retry_after(command.attempt):
        fleet.try_anew(command)
    else:
        put_off(fleet, command)


def put_off(fleet: Fleet, command: Command) -> None:
    """Its retries are used up: operations are told the first time, and it is tried again later."""
    deactivation = _deactivation_of(fleet, command)
    delayed = deactivation.delayed(fleet.now)
    fleet.put_deactivation(delayed)
    due_at = fleet.now + fleet.policy.deactivation_interval
    fleet.wake_at(Timer.DEACTIVATION, delayed.deactivation_id, due_at, delayed.origin)
    if deactivation.delayed_at is None:
        _tell_operations(fleet, fleet.activations[command.activation_id], delayed)


def try_again(fleet: Fleet, deactivation: Deactivation) -> None:
    """The time for another round of a delayed deactivation has come."""
    is_waiting = any(command.is_open for command in _commands_of(fleet, deactivation))
    if deactivation.status is DeactivationStatus.DELAYED and not is_waiting:
        activation = fleet.activations[deactivation.activation_id]
        fleet.enqueue(CommandKind.DEACTIVATE, activation, deactivation_id=deactivation.deactivation_id)


def _tell_operations(fleet: Fleet, activation: Activation, delayed: Deactivation) -> None:
    event = DeactivationDelayed(
        activation_id=activation.activation_id,
        purchase_id=activation.purchase_id,
        payment_id=activation.payment_id,
        vehicle_id=activation.vehicle_id,
        service_code=activation.service_code,
        occurred_at=fleet.now,
        deactivation_id=delayed.deactivation_id,
        attempts=attempts_of(_commands_of(fleet, delayed)),
    )
    fleet.publish(event, delayed.origin)
    fleet.alert(
        AlertKind.DEACTIVATION_FAILED,
        delayed.deactivation_id,
        f"vehicle {delayed.vehicle_id} has not removed {activation.service_code}: "
        "it is tried again by itself; see GET /deactivations?open=true",
        delayed.origin,
    )


def _deactivation_of(fleet: Fleet, command: Command) -> Deactivation:
    if command.deactivation_id is None:
        raise AssertionError(f"deactivate command {command.command_id} belongs to no deactivation")
    return fleet.deactivations[command.deactivation_id]


def _commands_of(fleet: Fleet, deactivation: Deactivation) -> list[Command]:
    commands = fleet.commands_of(deactivation.activation_id, CommandKind.DEACTIVATE)
    return [command for command in commands if command.deactivation_id == deactivation.deactivation_id]
