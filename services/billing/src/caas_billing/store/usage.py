"""Stores reported use, each once for ever under (subscription, usage id), in the period it is billed in (SUB-2).

Invariant: whoever calls `store_usage` holds the shards of the batch (`shards.lock_shared`) since an earlier statement.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from caas_billing.domain.usage import CountedUsage, UsageColumns, UsageFate
from caas_chassis.transaction import Tx

RESOLVE_VEHICLES: Final = """
SELECT r.n::int, found.subscription_id
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::timestamptz[])
    WITH ORDINALITY AS r(vehicle_id, service_code, usage_id, occurred_at, n)
CROSS JOIN LATERAL (
    SELECT s.subscription_id
    FROM subscription s JOIN subscription_standing t USING (subscription_id)
    WHERE s.vehicle_id = r.vehicle_id AND s.service_code = r.service_code
    -- What was counted stays where it was; else the one that ran then, the last one before, the first one after.
    ORDER BY EXISTS (
            SELECT FROM usage_event e WHERE (e.subscription_id, e.usage_id) = (s.subscription_id, r.usage_id)
        ) OR EXISTS (
            SELECT FROM uncharged_usage u WHERE (u.subscription_id, u.usage_id) = (s.subscription_id, r.usage_id)
        ) DESC,
        s.started_at <= r.occurred_at AND r.occurred_at < coalesce(t.ended_at, 'infinity') DESC,
        s.started_at <= r.occurred_at DESC,
        abs(extract(epoch FROM s.started_at - r.occurred_at)), s.subscription_id
    LIMIT 1
) found
"""

PLAN_BY_INDEX: Final = """
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true)
"""
"""A plan is kept for minutes while the tables grow a thousandfold: one that is made for small tables, and reads them
whole, would soon stand still. Index by index it costs the same for ever. Until commit."""

STORE_USAGE: Final = """
WITH reported AS (
    SELECT r.n, r.subscription_id, r.usage_id, r.occurred_at, r.quantity::numeric(18, 6) AS quantity, r.unit,
        (r.occurred_at AT TIME ZONE $6)::date AS used_on
    FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[])
        WITH ORDINALITY AS r(subscription_id, usage_id, occurred_at, quantity, unit, n)
), known AS MATERIALIZED (
    SELECT r.*, date_trunc('month', r.used_on)::date AS month, s.plan_code, s.plan_version, s.started_at,
        t.ended_at, t.next_period
    FROM reported r
    LEFT JOIN subscription s ON s.subscription_id = r.subscription_id
    LEFT JOIN subscription_standing t ON t.subscription_id = s.subscription_id
), plan AS MATERIALIZED (
    -- The version that rates the month of the use: the newest in force at its first instant, never one older than
    -- that agreed to (SUB-3).
    SELECT k.plan_code, k.plan_version, k.month, p.kind, p.unit
    FROM (SELECT DISTINCT plan_code, plan_version, month FROM known WHERE plan_code IS NOT NULL) k
    CROSS JOIN LATERAL (
        SELECT p.kind, p.unit FROM rate_plan p
        WHERE p.plan_code = k.plan_code AND p.version >= k.plan_version
            AND (p.version = k.plan_version OR p.effective_from <= k.month)
        ORDER BY p.version DESC LIMIT 1
    ) p
), judged AS MATERIALIZED (
    SELECT k.n, k.subscription_id, k.usage_id, k.occurred_at, k.quantity, k.used_on, k.month,
        greatest(k.month, k.next_period) AS period,
        CASE
            WHEN k.plan_code IS NULL THEN 'unknown'
            WHEN k.occurred_at > $7 THEN 'in_the_future'
            WHEN k.occurred_at < k.started_at THEN 'before_start'
            WHEN k.occurred_at >= k.ended_at THEN 'after_end'
            WHEN p.kind <> 'flat_monthly' AND p.unit <> k.unit THEN 'wrong_unit'
            WHEN k.next_period IS NULL THEN 'no_period_left'
            ELSE 'charged'
        END AS fate
    FROM known k
    LEFT JOIN plan p ON (p.plan_code, p.plan_version, p.month) = (k.plan_code, k.plan_version, k.month)
), kept AS MATERIALIZED (
    SELECT DISTINCT ON (subscription_id, usage_id) * FROM judged
    WHERE fate IN ('charged', 'before_start', 'after_end', 'no_period_left')
    ORDER BY subscription_id, usage_id, n
), charged AS (
    INSERT INTO usage_event (subscription_id, usage_id, period, used_on, occurred_at, quantity)
    SELECT subscription_id, usage_id, period, used_on, occurred_at, quantity FROM kept k
    WHERE fate = 'charged' AND NOT EXISTS (
        SELECT FROM uncharged_usage u WHERE (u.subscription_id, u.usage_id) = (k.subscription_id, k.usage_id)
    )
    ORDER BY subscription_id, usage_id
    ON CONFLICT DO NOTHING
    RETURNING period > used_on AS late
), uncharged AS (
    INSERT INTO uncharged_usage (subscription_id, usage_id, reason, occurred_at, quantity, received_at)
    SELECT subscription_id, usage_id, fate, occurred_at, quantity, $8 FROM kept k
    WHERE fate <> 'charged' AND NOT EXISTS (
        SELECT FROM usage_event e WHERE (e.subscription_id, e.usage_id) = (k.subscription_id, k.usage_id)
    )
    ORDER BY subscription_id, usage_id
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FILTER (WHERE NOT late) FROM charged) AS charged,
    (SELECT count(*) FILTER (WHERE late) FROM charged) AS late,
    (SELECT count(*) FROM uncharged) AS uncharged,
    (SELECT array_agg(n::int - 1 ORDER BY n) FROM judged WHERE fate IN ('unknown', 'in_the_future', 'wrong_unit'))
        AS refused,
    (SELECT array_agg(fate ORDER BY n) FROM judged WHERE fate IN ('unknown', 'in_the_future', 'wrong_unit'))
        AS fates
"""

SELECT_CONFLICTS: Final = """
SELECT r.n::int - 1 AS n
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[])
    WITH ORDINALITY AS r(subscription_id, usage_id, occurred_at, quantity, n)
LEFT JOIN usage_event e ON (e.subscription_id, e.usage_id) = (r.subscription_id, r.usage_id)
LEFT JOIN uncharged_usage u ON (u.subscription_id, u.usage_id) = (r.subscription_id, r.usage_id)
WHERE r.quantity::numeric <> coalesce(e.quantity, u.quantity) OR r.occurred_at <> coalesce(e.occurred_at, u.occurred_at)
ORDER BY r.n
"""


async def resolve_vehicles(
    tx: Tx, vehicles: Sequence[tuple[str, str]], usage_ids: Sequence[UUID], occurred_at: Sequence[datetime]
) -> dict[int, str]:
    """The subscription of each (vehicle, service) that its use belongs to, by place; none where none is known."""
    cars, services = [vehicle for vehicle, _ in vehicles], [service for _, service in vehicles]
    rows = await tx.fetch(RESOLVE_VEHICLES, cars, services, usage_ids, occurred_at)
    return {row["n"] - 1: str(row["subscription_id"]) for row in rows}


async def store_usage(
    tx: Tx, usage: UsageColumns, *, time_zone: str, latest: datetime
) -> tuple[CountedUsage, dict[int, UsageFate]]:
    """Store what is new; answers how much that was, and what is refused, by place.

    A day ends when it does in `time_zone`; `latest` is the last instant that use may have.
    """
    await tx.execute(PLAN_BY_INDEX)
    row = await tx.fetchrow(
        STORE_USAGE,
        usage.subscription_ids,
        usage.usage_ids,
        usage.occurred_at,
        usage.quantities,
        usage.units,
        time_zone,
        latest,
        tx.now,
    )
    assert row is not None
    refused = {n: UsageFate(fate) for n, fate in zip(row["refused"] or (), row["fates"] or (), strict=True)}
    return CountedUsage(row["charged"], row["late"], row["uncharged"]), refused


async def find_conflicts(tx: Tx, usage: UsageColumns) -> list[int]:
    """The places of use that is stored with another quantity or instant."""
    columns = (usage.subscription_ids, usage.usage_ids, usage.occurred_at, usage.quantities)
    return [row["n"] for row in await tx.fetch(SELECT_CONFLICTS, *columns)]
