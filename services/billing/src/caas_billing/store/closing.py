"""Closes periods by the thousand: one transaction rates, numbers, invoices and asks for the charges (SUB-4).

Invariant: the key of `period_close` lets nobody bill a subscription twice for a period; the number of an invoice, the
invoice, its message, its charge and its period's close commit together or not at all (INV-2).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from caas_billing.domain.period import Period
from caas_billing.store import shards
from caas_billing.store.monthly_sql import issuing, rating
from caas_chassis.mass import publishing
from caas_chassis.transaction import Tx

TRY_SHARDS: Final = "SELECT shard FROM unnest($2::int[]) AS shard WHERE pg_try_advisory_xact_lock($1, shard)"
_WORKERS: Final = 15
"""The first key of the advisory locks by which workers leave each other's shards alone, beside `shards`' own."""

HOLD_RUN: Final = """
-- Planned for the subscriptions at hand: a plan that is kept guesses ten of them, and compares each with each.
-- Nor may the checks of foreign keys keep a plan from when tables were empty, which reads a whole table for each row.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'off', true)
FROM billing_run WHERE run_id = $1 AND finished_at IS NULL FOR SHARE
"""

DUE_SHARDS: Final = """
SELECT shard FROM generate_series(0, 255) AS shard
WHERE EXISTS (SELECT FROM subscription_standing t WHERE t.shard = shard.shard AND t.next_period <= $1
    AND t.subscription_id <> ALL($2::uuid[]))
"""

LOCK_DUE: Final = """
SELECT subscription_id FROM subscription_standing
WHERE subscription_id IN (
    SELECT subscription_id FROM subscription_standing
    WHERE shard = ANY($1::int[]) AND next_period <= $2 AND subscription_id <> ALL($3::uuid[])
    ORDER BY next_period, subscription_id LIMIT $4
)
ORDER BY subscription_id FOR UPDATE
"""

CLOSE: Final = publishing(
    f"{issuing.DUE_PERIODS}{rating.RATED}{issuing.NUMBERS}{issuing.ROWS}{issuing.MESSAGES}", issuing.RESULT
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What is closed together: up to `limit` subscriptions of these shards that stand at `through` or before.

    `left_out` are subscriptions whose bill is too large to be issued. A method that the gateway has refused for good
    is not charged; its next attempt is at `next_attempt_at` (SUB-6).
    """

    run_id: UUID
    through: Period
    shards: tuple[int, ...]
    zone: ZoneInfo
    next_attempt_at: datetime
    left_out: frozenset[UUID] = frozenset()
    limit: int = 2000


@dataclass(frozen=True, slots=True)
class Closed:
    """How many periods were closed, and how many invoices that made (SUB-5).

    `not_charged` are invoices that wait for another payment method, `too_large` subscriptions whose bill no message
    can carry.
    """

    periods: int
    invoices: int
    not_charged: tuple[UUID, ...] = ()
    too_large: tuple[UUID, ...] = ()


NOTHING: Final = Closed(0, 0)


async def due_shards(tx: Tx, through: Period, left_out: Collection[UUID] = ()) -> list[int]:
    """The shards with subscriptions that stand at this period or an earlier one, in rising order."""
    return [row["shard"] for row in await tx.fetch(DUE_SHARDS, through.first_day, list(left_out))]


async def close_chunk(tx: Tx, chunk: Chunk) -> Closed | None:
    """Close the oldest open period of each subscription of a chunk; one that is months behind is due again after it.

    None when other workers have the shards, or the run is finished. Usage that is being stored is waited for.
    """
    ours = [row["shard"] for row in await tx.fetch(TRY_SHARDS, _WORKERS, sorted(chunk.shards))]
    if not ours:
        return None
    if await tx.fetchval(HOLD_RUN, chunk.run_id) is None:
        return None
    await shards.lock_all_exclusive(tx, ours)
    through: date = chunk.through.first_day
    rows = await tx.fetch(LOCK_DUE, ours, through, list(chunk.left_out), chunk.limit)
    if not rows:
        return NOTHING
    (result,) = await tx.fetch_publishing(
        CLOSE,
        chunk.zone.key,
        [row["subscription_id"] for row in rows],
        chunk.run_id,
        tx.now,
        tx.cause.actor,
        chunk.next_attempt_at,
        through,
        effects=issuing.EFFECTS,
    )
    not_charged, too_large = tuple(result["not_charged"] or ()), tuple(result["too_large"] or ())
    return Closed(result["closed"], result["invoices"], not_charged, too_large)
