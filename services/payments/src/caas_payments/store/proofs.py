"""Verdicts on activations, and the captures that refer to them by a foreign key that is not null (SVC-6)."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from caas_chassis.transaction import Tx
from caas_payments.domain.payment import Captured, Proof

INSERT_PROOFS: Final = """
INSERT INTO delivery_proofs (id, payment_id, activation_id, kind, ground, reason, applied_at, evidence, recorded_at)
SELECT * FROM unnest($1::new_proof[])
"""

INSERT_CAPTURES: Final = """
INSERT INTO captures (payment_id, proof_id, amount_minor, captured_at)
SELECT *, $2 FROM unnest($1::new_capture[])
"""


async def insert_proofs(tx: Tx, proofs: Sequence[Proof]) -> None:
    """The database refuses a second verdict on an activation, and a verdict on another payment's."""
    rows = [
        (
            proof.id,
            proof.payment_id,
            proof.activation_id,
            proof.kind,
            proof.ground,
            proof.reason,
            proof.applied_at,
            proof.evidence,
            proof.recorded_at,
        )
        for proof in proofs
    ]
    await tx.execute(INSERT_PROOFS, rows)


async def insert_captures(tx: Tx, captures: Sequence[tuple[UUID, Captured]]) -> None:
    """Money that was taken; the database refuses one without the proof of a success."""
    rows = [(payment_id, captured.proof_id, captured.amount_minor) for payment_id, captured in captures]
    await tx.execute(INSERT_CAPTURES, rows, tx.now)
