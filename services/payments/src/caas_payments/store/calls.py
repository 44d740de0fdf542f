"""Rows of `attempt_calls`: every question to the gateway, its result and the pause behind it; only added to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from caas_chassis.transaction import Tx

INSERT: Final = """
INSERT INTO attempt_calls (payment_id, number, at, step, result, retry_in_ms)
SELECT n.payment_id, n.number, $2, n.step, n.result, n.retry_in_ms FROM unnest($1::new_attempt_call[]) AS n
"""

READ: Final = """
SELECT number, at, step, result, retry_in_ms FROM attempt_calls WHERE payment_id = $1 ORDER BY id LIMIT 1000
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCall:
    """One question that ended. `number` is the attempt's, 0 without an open one; `retry_in_ms` is the pause, with
    its jitter, before the next question about the attempt, None when none follows from this one."""

    payment_id: UUID
    number: int
    step: str
    result: str
    retry_in_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One question as it was recorded, `at` a business instant."""

    number: int
    at: datetime
    step: str
    result: str
    retry_in_ms: int | None


async def insert_calls(tx: Tx, calls: Sequence[NewCall]) -> None:
    """Questions that ended now."""
    rows = [(one.payment_id, one.number, one.step, one.result, one.retry_in_ms) for one in calls]
    await tx.execute(INSERT, rows, tx.now)


async def read_calls(tx: Tx, payment_id: UUID) -> list[Call]:
    """The questions about a payment, oldest first, at most 1,000."""
    return [Call(**dict(row)) for row in await tx.fetch(READ, payment_id)]
