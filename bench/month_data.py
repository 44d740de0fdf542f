"""A month that is over, made in the database: subscriptions of four plans, ten uses each, a few of them late.

Invariant: the same numbers give the same use and the same amounts; only ids differ.
"""

from typing import Final

import asyncpg

from caas_chassis.migrate import apply_migrations
from caas_chassis.runtime import CHASSIS_MIGRATIONS

FILL_TIMEOUT_S: Final = 300.0
USES_EACH: Final = 10

_PLANS: Final = """
INSERT INTO rate_plan VALUES ('use', 1, 'per_use', 'EUR', 'km', 3.5, '2026-01-01'),
    ('day', 1, 'per_day_used', 'EUR', 'km', 149.95, '2026-01-01'),
    ('flat', 1, 'flat_monthly', 'EUR', NULL, 1999, '2026-01-01'),
    ('steps', 1, 'tiered', 'EUR', 'km', NULL, '2026-01-01');
INSERT INTO rate_tier VALUES ('steps', 1, 1, 0, 100, 2.5), ('steps', 1, 2, 100, NULL, 1.25);
"""
_SUBSCRIPTIONS: Final = """
INSERT INTO subscription
SELECT uuidv7(), 'customer-' || n, 'María Núñez', 'maria@example.org', '12345678Z', 'es',
    'VIN' || lpad(n::text, 7, '0'), 'highway-pilot', 'Piloto de autopista',
    (ARRAY['use', 'day', 'flat', 'steps'])[1 + n % 4], 1, 'EUR', 2100, uuidv7(),
    CASE n % 10 WHEN 0 THEN '2026-10-09 12:00+02'::timestamptz ELSE '2026-05-01 12:00+02' END
FROM generate_series(1, $1) AS n
"""
_STANDINGS: Final = """
INSERT INTO subscription_standing
SELECT subscription_id, get_byte(uuid_send(subscription_id), 15), 'active', '2026-10-01', NULL, 'pm_card', false,
    started_at
FROM subscription
"""
_USES: Final = """
INSERT INTO usage_event
SELECT subscription_id, uuidv7(), '2026-10-01', used_at::date, used_at AT TIME ZONE 'Europe/Madrid',
    (n * 37 % 500)::numeric / 4
FROM generate_series(1, $1) AS n CROSS JOIN subscription
CROSS JOIN LATERAL (SELECT CASE WHEN n = 1 AND right(customer_id, 2) = '77' THEN timestamp '2026-09-30 18:00'
    ELSE timestamp '2026-10-10 08:00' + make_interval(days => n * 2) END AS used_at) u
"""

_STATISTICS: Final = "VACUUM ANALYZE subscription, subscription_standing, usage_event, rate_plan, rate_tier"


async def fill(url: str, subscriptions: int) -> None:
    """Bring an empty database to billing's schema and a month to close."""
    connection = await asyncpg.connect(url, timeout=30, command_timeout=FILL_TIMEOUT_S)
    try:
        await apply_migrations(connection, [CHASSIS_MIGRATIONS, "caas_billing.migrations"])
        await connection.execute(_PLANS)
        await connection.execute(_SUBSCRIPTIONS, subscriptions)
        await connection.execute(_STANDINGS)
        await connection.execute(_USES, USES_EACH)
        await connection.execute(_STATISTICS)
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
