"""The verdict on an activation, as it is stored: a success, or the ground on which no money is owed for it.

Invariant: a verdict is about the one activation of its payment (SVC-6).
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from caas_contracts.payments import VoidGround
from caas_payments.domain.payment import Payment, Proof, ProofKind

_KIND_OF_GROUND: Final = {
    VoidGround.VERIFIED_REJECTION: ProofKind.REJECTION,
    VoidGround.VERIFIED_CANCELLATION: ProofKind.CANCELLATION,
    VoidGround.ACTIVATION_NEVER_REQUESTED: ProofKind.CANCELLATION,
    VoidGround.DEADLINE_PASSED: ProofKind.DEADLINE,
}


def success_of(payment: Payment, applied_at: datetime, evidence: str, proof_id: UUID, now: datetime) -> Proof:
    """The car applied it at `applied_at` and signed that: `evidence`."""
    return Proof(
        id=proof_id,
        payment_id=payment.id,
        activation_id=_activation_of(payment),
        kind=ProofKind.SUCCESS,
        ground=None,
        reason="applied",
        recorded_at=now,
        applied_at=applied_at,
        evidence=evidence,
    )


def ground_of(payment: Payment, ground: VoidGround, reason: str, proof_id: UUID, now: datetime) -> Proof:
    """It is not applied, and never will be."""
    return Proof(
        id=proof_id,
        payment_id=payment.id,
        activation_id=_activation_of(payment),
        kind=_KIND_OF_GROUND[ground],
        ground=ground,
        reason=reason,
        recorded_at=now,
    )


def _activation_of(payment: Payment) -> UUID:
    assert payment.intent.activation_id is not None, "only a payment that names its activation has a verdict"
    return payment.intent.activation_id
