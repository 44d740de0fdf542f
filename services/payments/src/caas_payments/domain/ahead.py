"""Money that was taken ahead of its activation (PLN-1, RSK-2), and its own side of the charge fence (SVC-6).

Invariant: it is earned by the stored success of the one activation that it names, or goes back on a stored ground,
wholly and once, without anybody's asking.
"""

from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid5

from caas_contracts.operations import AlertKind
from caas_contracts.payments import VoidGround
from caas_payments.domain.attempt import Operation
from caas_payments.domain.payment import Change, Owed
from caas_payments.domain.proving import ground_of

_NOTHING_LEFT = "not activated, and nothing is left to give back: a chargeback took it; end its purchase by hand"


def refund_id_of(payment_id: UUID) -> UUID:
    """The one refund that follows from a ground: whoever asks for it, however often, asks for the same."""
    return uuid5(payment_id, "not_activated")


def after_sale(change: Change, proof_id: UUID, now: datetime) -> Change:
    """The money has just been taken: act on a verdict, or a cancellation, that came before it."""
    payment = change.payment
    if payment.proof is None and payment.cancel_reason is not None:
        ground = VoidGround.ACTIVATION_NEVER_REQUESTED
        change = change.proving(ground_of(payment, ground, payment.cancel_reason, proof_id, now))
    return change if change.payment.proof is None else give_back(change, now)


def give_back(change: Change, now: datetime) -> Change:
    """All that is left of the money goes back on the stored ground; nothing when none was taken, or it was earned."""
    payment = change.payment
    assert payment.proof is not None, "SVC-6: money that was taken ahead goes back on a verdict"
    if payment.delivered or not payment.captured_minor:
        return change
    owed_minor = payment.refundable_minor
    if owed_minor <= 0:
        return change.alerting(AlertKind.OVER_REFUNDED, _NOTHING_LEFT)
    refund_id = refund_id_of(payment.id)
    reserved = replace(payment, refunding_minor=payment.refunding_minor + owed_minor)
    owed = change.setting(reserved).adding(Owed(refund_id, owed_minor, payment.proof.reason, payment.proof))
    if payment.attempt is not None:
        return owed
    return owed.opening(Operation.REFUND, owed_minor, now, refund_id=refund_id)
