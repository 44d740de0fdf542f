"""The charge fence (SVC-6): a capture needs the stored success of its activation, a void a stored ground.

Invariant: there is one verdict per activation. The first that is stored stands; what contradicts it later
moves no money. What it means for money that was taken ahead is in `ahead`.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from caas_contracts.operations import AlertKind
from caas_contracts.payments import VoidGround
from caas_payments.domain import ahead, events
from caas_payments.domain.attempt import AttemptState, Operation
from caas_payments.domain.payment import (
    Captured,
    Change,
    Deadline,
    Hold,
    Payment,
    Ruled,
    Terms,
)
from caas_payments.domain.proving import ground_of, success_of
from caas_payments.domain.status import NEVER_HELD, UNRESOLVED, PaymentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """A vehicle's verified acknowledgement: `late` when the activation had been reported as failed before."""

    activation_id: UUID
    applied_at: datetime
    not_after: datetime
    late: bool
    evidence: str


def take_hold(change: Change, hold: Hold, terms: Terms, now: datetime, proof_id: UUID) -> Change:
    """The amount is held: tell, and act on a verdict or a cancellation that came before the hold did."""
    held = change.setting(replace(change.payment, hold=hold)).closing(AttemptState.SUCCEEDED, "authorized", now)
    held = held.moving(PaymentStatus.AUTHORIZED)
    payment = held.payment
    held = held.telling(events.authorized(payment, hold, now))
    if payment.delivered:
        return _capture(held, now)
    if payment.proof is not None:
        return _void(held, now)
    if payment.cancel_reason is not None:
        return _give_up(held, VoidGround.ACTIVATION_NEVER_REQUESTED, payment.cancel_reason, proof_id, now)
    return held.adding(Deadline(hold.activate_not_after + terms.void_margin))


def accept_success(payment: Payment, success: Success, proof_id: UUID, now: datetime) -> Change:
    """A service was applied: store the proof and capture, or wait for the hold, or refuse to charge it.

    Money that was taken ahead is earned by the proof alone.
    """
    change = Change(payment)
    if success.activation_id != payment.intent.activation_id:
        return change.rejecting("capture", "other_activation")
    if payment.delivered:
        return change
    objection = _objection(payment, success)
    if objection:
        # Nothing is charged; orders has the vehicle deactivate what it applied (SVC-10).
        return change.rejecting("capture", objection).alerting(
            AlertKind.LATE_SUCCESS, f"activation {success.activation_id} was applied, not charged: {objection}"
        )
    proved = change.proving(success_of(payment, success.applied_at, success.evidence, proof_id, now))
    return _capture(proved, now) if payment.status is PaymentStatus.AUTHORIZED else proved


def accept_failure(
    payment: Payment, activation_id: UUID, ground: VoidGround, reason: str, proof_id: UUID, now: datetime
) -> Change:
    """A service is not applied and never will be: store the ground; void or refund, now or once it can be (SVC-5)."""
    change = Change(payment)
    if activation_id != payment.intent.activation_id:
        return change.rejecting("void", "other_activation")
    if payment.delivered:
        return change.rejecting("void", "success_is_proved")
    if payment.proof is not None or payment.status in NEVER_HELD:
        return change
    return _give_up(change, ground, reason, proof_id, now)


def cancel(payment: Payment, activation_id: UUID, reason: str, proof_id: UUID, now: datetime) -> Change:
    """The activation was never requested and never will be (SVC-11): void or refund, now or once it can be."""
    change = Change(payment)
    if activation_id != payment.intent.activation_id:
        return change.rejecting("void", "other_activation")
    if payment.delivered:
        return change.rejecting("void", "success_is_proved")
    if payment.proof is not None or payment.status in NEVER_HELD:
        return change
    if payment.status in UNRESOLVED:
        return change.setting(replace(payment, cancel_reason=payment.cancel_reason or reason))
    return _give_up(change, VoidGround.ACTIVATION_NEVER_REQUESTED, reason, proof_id, now)


def capture_objection(payment: Payment, amount_minor: int) -> str | None:
    """Why a person's word takes no such capture, or None when it is made, or is to be made, as they say (SVC-6)."""
    taken_minor = payment.captured_minor or payment.capturing_minor
    objections = {
        "a sale takes its money at once": payment.intent.sold,
        "no success of its activation is stored": not payment.delivered,
        f"{taken_minor} are captured, or being captured": taken_minor not in (0, amount_minor),
        f"it is {payment.status}": not taken_minor and payment.status is not PaymentStatus.AUTHORIZED,
        "another operation is under way": not taken_minor and payment.attempt is not None,
        "it is more than is held, or nothing": not 0 < amount_minor <= payment.intent.amount.amount_minor,
    }
    return next((objection for objection, holds in objections.items() if holds), None)


def capture_by_wish(payment: Payment, amount_minor: int, now: datetime) -> Change:
    """A capture that nothing objects to; one that was made, or is under way, is not made again."""
    if payment.captured_minor or payment.capturing_minor:
        return Change(payment)
    return _capture(Change(replace(payment, capture_limit_minor=amount_minor)), now)


def limit_objection(payment: Payment, amount_minor: int) -> str | None:
    """Why what a capture takes can not be lowered any more, or None."""
    if payment.intent.sold:
        return "a sale takes its money at once"
    if payment.proof is not None or payment.cancel_reason is not None:
        return "its activation is decided, and so is its money"
    if payment.status not in UNRESOLVED | {PaymentStatus.AUTHORIZED}:
        return f"it is {payment.status}"
    in_range = 0 < amount_minor <= payment.intent.amount.amount_minor
    return None if in_range else "it is more than is held, or nothing"


def limit_capture(payment: Payment, amount_minor: int, reason: str) -> Change:
    """Take only a part when the activation succeeds; the gateway releases the rest of the hold."""
    limited = Change(replace(payment, capture_limit_minor=amount_minor))
    return limited.adding(Ruled(payment.status, f"capture_limit:{amount_minor}", reason))


def pass_deadline(payment: Payment, terms: Terms, proof_id: UUID, now: datetime) -> Change:
    """The last instant of the activation and the clock margin are over without a verdict: void (SVC-10)."""
    change = Change(payment)
    if payment.status is not PaymentStatus.AUTHORIZED or payment.proof is not None or payment.hold is None:
        return change
    due_at = payment.hold.activate_not_after + terms.void_margin
    if now < due_at:
        return change.adding(Deadline(due_at))
    return _give_up(change, VoidGround.DEADLINE_PASSED, "deadline_passed", proof_id, now)


def release_orphan(change: Change, hold: Hold, proof_id: UUID, now: datetime) -> Change:
    """The gateway holds money for a payment that ended without a hold: release it, charge nothing (GW-4)."""
    found = change.setting(replace(change.payment, hold=hold)).alerting(
        AlertKind.OUTCOME_UNKNOWN, f"the gateway holds {hold.transaction_id} for an ended payment: it is being released"
    )
    if found.payment.proof is None:
        ground = VoidGround.ACTIVATION_NEVER_REQUESTED
        found = found.proving(ground_of(found.payment, ground, "orphan_hold", proof_id, now))
    return _void(found, now)


def record_capture(change: Change, held_minor: int, now: datetime) -> Change:
    """The money was taken, once, on the stored proof (SVC-4); what is still held of the rest is told to operations."""
    attempt = change.attempt
    assert attempt.proof_id is not None, "a capture attempt always carries its proof"
    assert change.payment.hold is not None, "a capture attempt always has a hold"
    taken = change.closing(AttemptState.SUCCEEDED, "captured", now)
    payment = replace(taken.payment, captured_minor=attempt.amount_minor, capturing_minor=0)
    event = events.captured(payment, change.payment.hold, attempt.proof_id, now)
    taken = taken.setting(payment).adding(Captured(attempt.proof_id, attempt.amount_minor)).telling(event)
    if held_minor:
        detail = f"{attempt.amount_minor} were captured and {held_minor} are still held: have the gateway release them"
        taken = taken.alerting(AlertKind.HOLD_NOT_RELEASED, detail)
    # The settlement feed may have explained the money before the gateway answered the capture.
    return taken.moving(PaymentStatus.SETTLED) if payment.settled_minor else taken


def record_lost_capture(change: Change, code: str, now: datetime) -> Change:
    """SVC-8: delivered, and the capture was refused for good: the loss is written off."""
    lost_minor = change.attempt.amount_minor
    lost = change.closing(AttemptState.REFUSED, code, now).moving(PaymentStatus.SETTLEMENT_FAILED, code)
    lost = lost.setting(replace(lost.payment, capturing_minor=0))
    lost = lost.telling(events.capture_lost(lost.payment, lost_minor, code, now))
    return lost.alerting(AlertKind.CAPTURE_FAILED, f"delivered and not paid: {code}; the loss is written off")


def record_void(change: Change, now: datetime) -> Change:
    """The hold is released; an orphan's payment had ended before and stays as it is."""
    released = change.closing(AttemptState.SUCCEEDED, "voided", now)
    payment = released.payment
    if payment.status is not PaymentStatus.AUTHORIZED:
        return released
    assert payment.proof is not None, "a void attempt always carries its ground"
    assert payment.proof.ground is not None, "the proof of a void is no success"
    event = events.voided(payment, payment.proof.ground, payment.proof.reason, now)
    return released.moving(PaymentStatus.VOIDED, payment.proof.reason).telling(event)


def record_refused_void(change: Change, code: str, now: datetime) -> Change:
    """The gateway says that it cannot release: a person has to look, nothing is assumed."""
    return change.closing(AttemptState.REFUSED, code, now).alerting(
        AlertKind.OUTCOME_UNKNOWN, f"the gateway refused to void: {code}; compare its record with ours"
    )


def _objection(payment: Payment, success: Success) -> str | None:
    """Why an applied service is not charged, or None when it is."""
    if payment.proof is not None or payment.cancel_reason is not None:
        return "void_was_decided"
    if payment.status in NEVER_HELD:
        return "nothing_is_held"
    if success.late:
        return "reported_late"
    if payment.intent.taken_ahead:
        return None  # No hold ends: what the car has in time for ota is earned.
    latest = payment.hold.activate_not_after if payment.hold else success.not_after
    return "applied_too_late" if success.applied_at > min(latest, success.not_after) else None


def _give_up(change: Change, ground: VoidGround, reason: str, proof_id: UUID, now: datetime) -> Change:
    given_up = change.proving(ground_of(change.payment, ground, reason, proof_id, now))
    if given_up.payment.intent.taken_ahead:
        return ahead.give_back(given_up, now)
    return _void(given_up, now) if given_up.payment.status is PaymentStatus.AUTHORIZED else given_up


def _capture(change: Change, now: datetime) -> Change:
    payment = change.payment
    assert payment.proof is not None, "SVC-6: no capture without a proof"
    assert payment.delivered, "SVC-6: the proof of a capture is a success"
    capturing = change.setting(replace(payment, capturing_minor=payment.due_minor)).moving(PaymentStatus.CAPTURING)
    return capturing.opening(Operation.CAPTURE, payment.due_minor, now, proof_id=payment.proof.id)


def _void(change: Change, now: datetime) -> Change:
    payment = change.payment
    assert payment.proof is not None, "the fence: no void without a ground"
    assert not payment.delivered, "the fence: what is delivered is not voided"
    return change.opening(Operation.VOID, payment.intent.amount.amount_minor, now, proof_id=payment.proof.id)
