"""The synchronous sale (RES-1, FIN-2, PLN-1, REC-1): money that is taken at once.

Invariant: a service is sold only ahead of an activation that has to earn it, or as a renewal of what was delivered
(SVC-6); money that a payment without it took is given back.
"""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from caas_contracts.operations import AlertKind
from caas_contracts.payments import VoidGround
from caas_payments.domain import ahead, events
from caas_payments.domain.attempt import AttemptState, Operation
from caas_payments.domain.payment import Change, Owed, Sale
from caas_payments.domain.proving import ground_of
from caas_payments.domain.status import PaymentStatus

ORPHAN_SALE = "orphan_sale"
"""Why the money of a payment that had ended goes back."""


def take_sale(change: Change, sale: Sale, proof_id: UUID, now: datetime) -> Change:
    """The money was taken. A settlement line that was faster than the answer settles the payment at once.

    Taken ahead, it goes back when its activation is known by now never to come (SVC-6).
    """
    taken = change.closing(AttemptState.SUCCEEDED, "sold", now)
    captured = replace(taken.payment, sale=sale, captured_minor=change.attempt.amount_minor)
    taken = _confirmed(taken.setting(captured)).telling(events.confirmed(captured, sale, now))
    taken = taken.moving(PaymentStatus.SETTLED) if captured.settled_minor else taken
    return ahead.after_sale(taken, proof_id, now) if captured.intent.taken_ahead else taken


def return_orphan(change: Change, sale: Sale, fresh_id: UUID, now: datetime) -> Change:
    """The gateway took money for a payment that ended without it: all of it goes back, and is told (GW-4).

    `fresh_id` names the refund or, where the refund's name follows from the payment, its ground.
    """
    refund_id = fresh_id
    if change.payment.intent.taken_ahead:
        refund_id = ahead.refund_id_of(change.payment.id)
        change = _with_verdict(change, fresh_id, now)
    amount_minor = change.payment.intent.amount.amount_minor
    taken = replace(change.payment, sale=sale, captured_minor=amount_minor, refunding_minor=amount_minor)
    found = change.setting(taken).adding(Owed(refund_id, amount_minor, ORPHAN_SALE, taken.proof))
    found = found.telling(events.orphan_found(taken, sale, now)).alerting(
        AlertKind.OUTCOME_UNKNOWN,
        f"the gateway took {sale.transaction_id} for an ended payment: it is being given back",
    )
    return found.opening(Operation.REFUND, amount_minor, now, refund_id=refund_id)


def _with_verdict(change: Change, proof_id: UUID, now: datetime) -> Change:
    if change.payment.proof is not None:
        return change
    ground = VoidGround.ACTIVATION_NEVER_REQUESTED
    return change.proving(ground_of(change.payment, ground, ORPHAN_SALE, proof_id, now))


def _confirmed(change: Change) -> Change:
    """PAY-2 has no way from PENDING to CONFIRMED: a sale decided later is held and taken in one step (ADR 0011)."""
    if change.payment.status is PaymentStatus.PENDING:
        return change.moving(PaymentStatus.AUTHORIZED, "sale_decided_later").moving(PaymentStatus.CAPTURING)
    return change.moving(PaymentStatus.CONFIRMED)
