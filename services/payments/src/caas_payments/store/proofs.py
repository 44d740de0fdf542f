"""Verdicts on activations, and the captures that refer to them by a foreign key that is not null (SVC-6)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

from caas_chassis.transaction import Tx
from caas_payments.domain.payment import Captured, Intent, Proof

INSERT_PROOFS: Final = """
INSERT INTO delivery_proofs (id, payment_id, activation_id, kind, ground, reason, applied_at, evidence, recorded_at)
SELECT * FROM unnest($1::new_proof[])
"""

INSERT_CAPTURES: Final = """
INSERT INTO captures (payment_id, proof_id, amount_minor, captured_at)
SELECT *, $2 FROM unnest($1::new_capture[])
"""


READ_DELIVERED: Final = """
SELECT d.activation_id, p.customer_id, p.subject_id, p.vehicle_id, p.service_code
FROM delivery_proofs d JOIN payments p ON p.id = d.payment_id
WHERE d.kind = 'success' AND d.activation_id = ANY($1::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a stored success put into which car, for which purchase of whom."""

    customer_id: str
    subject_id: UUID
    vehicle_id: str | None
    service_code: str | None

    @classmethod
    def of(cls, intent: Intent) -> Self:
        """What the intent says that it is for."""
        return cls(intent.customer_id, intent.subject_id, intent.vehicle_id, intent.service_code)


async def read_delivered(tx: Tx, activation_ids: Collection[UUID]) -> Mapping[UUID, Delivered]:
    """What these activations delivered; those without a stored success are absent (SVC-6)."""
    rows = await tx.fetch(READ_DELIVERED, sorted(activation_ids))
    return {
        row["activation_id"]: Delivered(row["customer_id"], row["subject_id"], row["vehicle_id"], row["service_code"])
        for row in rows
    }


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
