"""Rows of `attempts`: the database allows one open attempt per payment, and capture or void, never both."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_payments.domain.attempt import Attempt, AttemptState, Operation

INSERT: Final = """
INSERT INTO attempts (payment_id, number, operation, amount_minor, state, proof_id, proof_kind, refund_id,
    calls, misses, silences, alerted, last_result, opened_at, resolved_at)
SELECT n.payment_id, n.number, n.operation, n.amount_minor, n.state, n.proof_id, d.kind, n.refund_id,
    n.calls, n.misses, n.silences, n.alerted, n.last_result, n.opened_at, n.resolved_at
FROM unnest($1::new_attempt[]) AS n
LEFT JOIN delivery_proofs d ON d.id = n.proof_id
"""

UPDATE: Final = """
UPDATE attempts a SET state = n.state, calls = n.calls, misses = n.misses, silences = n.silences,
    alerted = n.alerted, last_result = n.last_result, resolved_at = n.resolved_at, uncertain = n.uncertain,
    called_at = n.called_at, frozen_at = n.frozen_at
FROM unnest($1::changed_attempt[]) AS n
WHERE a.payment_id = n.payment_id AND a.number = n.number AND a.state = 'open'
"""

READ: Final = "SELECT * FROM attempts WHERE payment_id = $1 ORDER BY number"


async def insert_attempts(tx: Tx, attempts: Sequence[Attempt]) -> None:
    """New attempts; their idempotency keys are committed before anything is sent (GW-3)."""
    rows = [
        (
            attempt.payment_id,
            attempt.number,
            attempt.operation,
            attempt.amount_minor,
            attempt.state,
            attempt.proof_id,
            attempt.refund_id,
            attempt.calls,
            attempt.misses,
            attempt.silences,
            attempt.alerted,
            attempt.last_result,
            attempt.opened_at,
            attempt.resolved_at,
        )
        for attempt in attempts
    ]
    await tx.execute(INSERT, rows)


async def update_attempts(tx: Tx, attempts: Sequence[Attempt]) -> None:
    """The newest state of open attempts; a closed one never changes."""
    rows = [
        (
            attempt.payment_id,
            attempt.number,
            attempt.state,
            attempt.calls,
            attempt.misses,
            attempt.silences,
            attempt.alerted,
            attempt.last_result,
            attempt.resolved_at,
            attempt.uncertain,
            attempt.called_at,
            attempt.frozen_at,
        )
        for attempt in attempts
    ]
    await tx.execute(UPDATE, rows)


async def read_attempts(tx: Tx, payment_id: UUID) -> list[Attempt]:
    """All attempts of a payment, in order."""
    return [_attempt(row) for row in await tx.fetch(READ, payment_id)]


def _attempt(row: Record) -> Attempt:
    return Attempt(
        payment_id=row["payment_id"],
        number=row["number"],
        operation=Operation(row["operation"]),
        amount_minor=row["amount_minor"],
        state=AttemptState(row["state"]),
        opened_at=row["opened_at"],
        proof_id=row["proof_id"],
        refund_id=row["refund_id"],
        calls=row["calls"],
        misses=row["misses"],
        silences=row["silences"],
        alerted=row["alerted"],
        last_result=row["last_result"],
        resolved_at=row["resolved_at"],
        uncertain=row["uncertain"],
        called_at=row["called_at"],
        frozen_at=row["frozen_at"],
    )
