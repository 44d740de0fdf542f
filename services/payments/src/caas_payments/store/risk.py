"""What delivery decisions were taken from (RSK-2), kept so that another policy can be tried on them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_contracts import Money
from caas_contracts.payments import DeliveryDecision, PaymentPurpose
from caas_payments.domain.risk import CustomerHistory, Question, Wish
from caas_payments.domain.trial import PastDecision

INSERT: Final = """
INSERT INTO risk_inputs (payment_id, decided_at, wish, at_risk_minor, write_offs)
SELECT n.payment_id, $5, n.wish, n.at_risk_minor, n.write_offs
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::int[]) AS n(payment_id, wish, at_risk_minor, write_offs)
"""

READ_PAGE: Final = """
SELECT r.*, p.purpose, p.amount_minor, p.currency, p.service_code, p.delivery_decision, p.risk_policy_version,
    p.settled_minor, written_off_minor(p) AS written_off_minor
FROM risk_inputs r JOIN payments p ON p.id = r.payment_id
WHERE (r.decided_at, r.payment_id) > ($1, $2) AND r.decided_at < $3 AND p.currency = $4
ORDER BY r.decided_at, r.payment_id LIMIT $5
"""

COUNT_WITHOUT: Final = """
SELECT count(*) AS payments FROM payments p WHERE p.created_at >= $1 AND p.created_at < $2
    AND NOT EXISTS (SELECT FROM risk_inputs r WHERE r.payment_id = p.id)
"""

_PAGE: Final = 2_000
_NO_PAYMENT: Final = UUID(int=0)
EVER: Final = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


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


async def read_decisions(tx: Tx, currency: str, since: datetime, until: datetime) -> AsyncIterator[PastDecision]:
    """The decisions of a time about payments in one currency, the oldest first, in pages."""
    after = (since, _NO_PAYMENT)
    while rows := await tx.fetch(READ_PAGE, *after, until, currency, _PAGE):
        for row in rows:
            yield _past(row)
        after = (rows[-1]["decided_at"], rows[-1]["payment_id"])


async def count_without_inputs(tx: Tx, since: datetime, until: datetime) -> int:
    """Payments of that time whose decision cannot be taken anew: they are older than this record."""
    row = await tx.fetchrow(COUNT_WITHOUT, since, until)
    assert row is not None, "a count is always one row"
    return int(row["payments"])


def _past(row: Record) -> PastDecision:
    return PastDecision(
        payment_id=row["payment_id"],
        decided_at=row["decided_at"],
        question=Question(
            PaymentPurpose(row["purpose"]),
            Wish(row["wish"]),
            Money(amount_minor=row["amount_minor"], currency=row["currency"]),
            row["service_code"],
        ),
        history=CustomerHistory(row["at_risk_minor"], row["write_offs"]),
        decision=DeliveryDecision(row["delivery_decision"]),
        policy_version=row["risk_policy_version"],
        settled_minor=row["settled_minor"],
        written_off_minor=row["written_off_minor"],
    )
