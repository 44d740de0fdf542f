"""What delivery decisions were taken from (RSK-2), kept so that another policy can be tried on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from caas_chassis.transaction import Tx
from caas_payments.domain.risk import CustomerHistory, Wish

INSERT: Final = """
INSERT INTO risk_inputs (payment_id, decided_at, wish, at_risk_minor, write_offs)
SELECT n.payment_id, $5, n.wish, n.at_risk_minor, n.write_offs
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::int[]) AS n(payment_id, wish, at_risk_minor, write_offs)
"""


@dataclass(frozen=True, slots=True)
class RiskInputs:
    """What was wished, and known of the customer, when a payment's decision was taken."""

    payment_id: UUID
    wish: Wish
    history: CustomerHistory


async def insert_inputs(tx: Tx, inputs: Sequence[RiskInputs]) -> None:
    """With the payments that they were decided for."""
    await tx.execute(
        INSERT,
        [one.payment_id for one in inputs],
        [one.wish for one in inputs],
        [one.history.at_risk_minor for one in inputs],
        [one.history.write_offs for one in inputs],
        tx.now,
    )
