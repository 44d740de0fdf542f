"""How an activation runs from its request to its one result, on the vehicles of a fleet."""

from datetime import datetime
from uuid import UUID

from caas_contracts.operations import AlertKind
from caas_contracts.ota import ActivateService, CancelActivation
from caas_contracts.payments import VoidGround
from caas_ota.domain.acknowledgement import STALE_COUNTER, Acknowledgement, Refusal
from caas_ota.domain.activation import Activation, ActivationStatus
from caas_ota.domain.command import Command, CommandKind
from caas_ota.domain.fleet import Fleet, Timer
from caas_ota.domain.origin import Origin
from caas_ota.domain.refusal import Refused
from caas_ota.domain.support import SupportCase

CANCELLED = "cancelled"
NO_ANSWER = "no_answer"
NOT_SENT = "not_sent"
UNKNOWN_VEHICLE = "unknown_vehicle"
_ASKING = (CommandKind.ACTIVATE, CommandKind.CANCEL)


def request_activation(fleet: Fleet, message: ActivateService, origin: Origin) -> Refused | None:
    """Queue the activation at its vehicle; asked for again it is the same one.

    Refused when the id stands for another activation.
    """
    requested = Activation.requested(message, origin)
    existing = fleet.activations.get(requested.activation_id)
    if existing is not None:
        same = existing.asks_the_same(requested)
        return None if same else Refused.conflict(requested.activation_id)
    fleet.put_activation(requested)
    deadline = fleet.policy.deadline_of(requested.not_after)
    fleet.wake_at(Timer.DEADLINE, requested.activation_id, deadline, origin)
    if not fleet.vehicles[requested.vehicle_id].is_registered:
        # Its registration travels on another topic and may be a moment behind.
        grace = fleet.now + fleet.policy.unknown_vehicle_grace
        fleet.wake_at(Timer.UNKNOWN_VEHICLE, requested.activation_id, grace, origin)
    fleet.enqueue(CommandKind.ACTIVATE, requested)
    return None


def request_cancellation(fleet: Fleet, message: CancelActivation) -> Refused | None:
    """Give an activation up (SVC-11): at once when nothing was sent, else what the vehicle proves decides.

    Refused when the vehicle has no such activation.
    """
    activation = fleet.activations.get(message.activation_id)
    if activation is None or activation.vehicle_id != message.vehicle_id:
        return Refused.unknown(message.activation_id, message.vehicle_id)
    if not activation.is_pending:
        return None
    activation = activation.asked_to_cancel(message.reason)
    fleet.put_activation(activation)
    if activation.status is ActivationStatus.REQUESTED:
        fail(fleet, activation, VoidGround.VERIFIED_CANCELLATION, CANCELLED)
    else:
        ask_to_cancel(fleet, activation)
    return None


def ask_to_cancel(fleet: Fleet, activation: Activation) -> None:
    """Have the vehicle say whether it applied the activation, and never apply it if not."""
    cancels = fleet.commands_of(activation.activation_id, CommandKind.CANCEL)
    if any(command.is_open for command in cancels):
        return
    activates = fleet.commands_of(activation.activation_id, CommandKind.ACTIVATE)
    fleet.supersede(activates)
    # It takes the place of what it cancels: later commands of the vehicle go on waiting (OTA-6).
    fleet.enqueue(CommandKind.CANCEL, activation, position=activates[-1].position)


def succeed(fleet: Fleet, command: Command, proof: Acknowledgement, applied_at: datetime) -> Refusal | None:
    """A vehicle proved that it applied the service: publish that, once (OTA-3).

    While no result is published, one applied after `not_after` does not count: the fence's deadline
    will publish the failure, and the proof then found makes it a late success.
    """
    activation = fleet.activations[command.activation_id]
    if activation.is_pending and applied_at > activation.not_after:
        return Refusal.APPLIED_AFTER_LIMIT
    if command.outcome is None:
        command = command.answered(proof.outcome, fleet.now)
        fleet.put_command(command)
    if activation.status in (ActivationStatus.APPLIED, ActivationStatus.APPLIED_LATE):
        return None
    vehicle_ms = _milliseconds_between(fleet.receipts.get(command.command_id, command.received_at), proof)
    proved = activation.applied(proof, applied_at, fleet.now)
    event = proved.success(proof, applied_at, fleet.attempts(proved), vehicle_ms=vehicle_ms)
    fleet.put_activation(proved)
    fleet.publish(event, proved.origin)
    fleet.supersede(fleet.commands_of(proved.activation_id, *_ASKING))
    return None


def reject(fleet: Fleet, command: Command, ack: Acknowledgement) -> None:
    """The vehicle refused to activate: for good ends it, for now is tried again (OTA-2)."""
    activation = fleet.activations[command.activation_id]
    if not activation.is_pending:
        if ack.is_final_rejection:
            settle(fleet, activation)
        return
    if ack.is_final_rejection:
        fail(fleet, activation, VoidGround.VERIFIED_REJECTION, ack.outcome)
    elif _is_still_wanted(fleet, command):
        _retry(fleet, activation, command, ack)


def cancelled(fleet: Fleet, command: Command) -> None:
    """The vehicle proved that it has not applied the activation and never will."""
    activation = fleet.activations[command.activation_id]
    if activation.is_pending:
        fail(fleet, activation, VoidGround.VERIFIED_CANCELLATION, _reason_of_silence(activation))
    else:
        settle(fleet, activation)


def settle(fleet: Fleet, activation: Activation) -> None:
    """An activation that failed by its deadline alone is now known not to be applied."""
    if activation.uncertain:
        fleet.put_activation(activation.settled())


def exhaust(fleet: Fleet, activation: Activation, reason: str) -> None:
    """The retries are used up in silence: what the vehicle did is not known, so it is asked to cancel."""
    if activation.is_pending:
        _alert_exhausted(fleet, activation, reason)
        ask_to_cancel(fleet, activation)


def pass_deadline(fleet: Fleet, activation: Activation) -> None:
    """`not_after` and the clock margin have passed without a proof: nothing has to be paid (charge fence)."""
    if not activation.is_pending:
        return
    was_sent = activation.status is ActivationStatus.SENT
    reason = _reason_of_silence(activation) if was_sent else NOT_SENT
    failed = fail(fleet, activation, VoidGround.DEADLINE_PASSED, reason)
    if failed.uncertain:
        _recheck_later(fleet, failed)


def recheck(fleet: Fleet, activation: Activation) -> None:
    """Ask again a vehicle that was never heard: it may have the service, and then it is removed (SVC-10)."""
    if activation.uncertain:
        ask_to_cancel(fleet, activation)
        _recheck_later(fleet, activation)


def reject_unknown_vehicle(fleet: Fleet, activation: Activation) -> None:
    """The vehicle was not registered in time; nothing was sent."""
    if activation.is_pending and not fleet.vehicles[activation.vehicle_id].is_registered:
        fail(fleet, activation, VoidGround.VERIFIED_REJECTION, UNKNOWN_VEHICLE)


def fail(fleet: Fleet, activation: Activation, ground: VoidGround, reason: str) -> Activation:
    """Publish the failure, once, and give support its case with the vehicle's status (SVC-5)."""
    case_id = None if activation.ends_as_wished(ground) else fleet.new_id()
    open_cancel = [c for c in fleet.commands_of(activation.activation_id, CommandKind.CANCEL) if c.is_open]
    if ground is not VoidGround.DEADLINE_PASSED or activation.status is ActivationStatus.REQUESTED:
        fleet.supersede(open_cancel)
    fleet.supersede(fleet.commands_of(activation.activation_id, CommandKind.ACTIVATE))
    attempts = fleet.attempts(activation)
    failed, event = activation.failed(ground, reason, attempts, support_case_id=case_id, now=fleet.now)
    fleet.put_activation(failed)
    fleet.publish(event, activation.origin)
    if case_id is not None:
        _open_case(fleet, failed, case_id)
    return failed


def _open_case(fleet: Fleet, failed: Activation, case_id: UUID) -> None:
    case = SupportCase(
        support_case_id=case_id,
        activation_id=failed.activation_id,
        vehicle_id=failed.vehicle_id,
        reason=failed.failure_reason or "",
        attempts=tuple(fleet.attempts(failed)),
        opened_at=fleet.now,
    )
    fleet.changes.cases.append(case)
    if failed.uncertain:
        # The vehicle is asked to cancel before it is asked how it is.
        ask_to_cancel(fleet, failed)
    if fleet.vehicles[failed.vehicle_id].is_registered:
        fleet.enqueue(CommandKind.STATUS, failed)


def _retry(fleet: Fleet, activation: Activation, rejected: Command, ack: Acknowledgement) -> None:
    if fleet.schedule_of(rejected).has_retry_after(rejected.attempt):
        fleet.try_anew(rejected)
    elif ack.reason == STALE_COUNTER:
        exhaust(fleet, activation, ack.reason)
    else:
        _alert_exhausted(fleet, activation, ack.outcome)
        fail(fleet, activation, VoidGround.VERIFIED_REJECTION, ack.outcome)


def _is_still_wanted(fleet: Fleet, command: Command) -> bool:
    """Whether nothing newer of this activation is on its way: a cancel, or another try."""
    siblings = fleet.commands_of(command.activation_id, *_ASKING)
    return not any(sibling.is_open for sibling in siblings) and siblings[-1].command_id == command.command_id


def _recheck_later(fleet: Fleet, activation: Activation) -> None:
    earlier = len(fleet.commands_of(activation.activation_id, CommandKind.CANCEL))
    due_at = fleet.now + fleet.policy.recheck_after(earlier)
    fleet.wake_at(Timer.RECHECK, activation.activation_id, due_at, activation.origin)


def _alert_exhausted(fleet: Fleet, activation: Activation, reason: str) -> None:
    fleet.alert(
        AlertKind.RETRIES_EXHAUSTED,
        activation.activation_id,
        f"vehicle {activation.vehicle_id} did not activate {activation.service_code} ({reason}): "
        "look at its support case, or at the vehicle's connection while there is none",
        activation.origin,
    )


def _reason_of_silence(activation: Activation) -> str:
    return NO_ANSWER if activation.cancel_reason is None else CANCELLED


def _milliseconds_between(received_at: datetime | None, proof: Acknowledgement) -> int:
    """The vehicle's own time, as seen here: from its receipt to its result; 0 when the receipt is missing."""
    if received_at is None:
        return 0
    return max(0, round((proof.arrived_at - received_at).total_seconds() * 1000))
