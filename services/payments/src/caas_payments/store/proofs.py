"""Verdicts on activations, and the captures that refer to them by a foreign key that is not null (SVC-6)."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from caas_chassis.transaction import Tx
from caas_payments.domain.payment import Captured, Proof

INSERT_PROOFS: Final = """
INSERT INTO delivery_proofs (id, payment_id, activation_id, kind, ground, reason, applied_at, evidence, recorded_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
    $8::text[], $9::timestamptz[])
"""

INSERT_CAPTURES: Final = """
INSERT INTO captures (payment_id, proof_id, amount_minor, captured_at)
SELECT payment_id, proof_id, amount_minor, $4 FROM unnest($1::uuid[], $2::uuid[], $3::bigint[])
    AS n(payment_id, proof_id, amount_minor)
"""


async def insert_proofs(tx: Tx, proofs: Sequence[Proof]) -> None:
    """The database refuses a second verdict on an activation, and a verdict on another payment's."""
    await tx.execute(
        INSERT_PROOFS,
        [proof.id for proof in proofs],
        [proof.payment_id for proof in proofs],
        [proof.activation_id for proof in proofs],
        [proof.kind for proof in proofs],
        [proof.ground for proof in proofs],
        [proof.reason for proof in proofs],
        [proof.applied_at for proof in proofs],
        [proof.evidence for proof in proofs],
        [proof.recorded_at for proof in proofs],
    )


async def insert_captures(tx: Tx, captures: Sequence[tuple[UUID, Captured]]) -> None:
    """Money that was taken; the database refuses one without the proof of a success."""
    await tx.execute(
        INSERT_CAPTURES,
        [payment_id for payment_id, _ in captures],
        [captured.proof_id for _, captured in captures],
        [captured.amount_minor for _, captured in captures],
        tx.now,
    )
