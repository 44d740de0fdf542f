"""The bare counterpart of closing a month: aggregate the use, and insert rows like ours, on as many connections.

One statement and one commit for each connection's half; only primary keys. No numbers to wait for, no tiers, no
late use, no bodies to make, no foreign keys, no checks, no locks.
"""

import asyncio
import time
from typing import Final

import asyncpg

TIMEOUT_S: Final = 300.0
TABLES: Final = {
    "invoice": "invoice_id",
    "invoice_line": "invoice_id, line",
    "usage_line": "invoice_id, line",
    "period_close": "subscription_id, period",
    "receivable": "invoice_id",
    "charge_attempt": "invoice_id, attempt",
    "chassis.outbox": "id",
    "chassis.outbox_stream": "topic, key",
    "chassis.task": "id",
}

_CLOSE: Final = """
WITH bill AS MATERIALIZED (
    SELECT s.*, t.payment_method, uuidv7() AS invoice_id, uuidv7() AS payment_id, b.quantity, b.uses,
        round(b.quantity * 3.5)::bigint AS total,
        row_number() OVER () AS n
    FROM (SELECT subscription_id, sum(quantity) AS quantity, count(*) AS uses FROM usage_event
        WHERE period = '2026-10-01' AND get_byte(uuid_send(subscription_id), 15) % $1 = $2 GROUP BY 1) b
    JOIN subscription s USING (subscription_id) JOIN subscription_standing t USING (subscription_id)
), a AS (
    INSERT INTO bare_invoice (invoice_id, series, year, position, number, kind, payment_id, subject_id, customer_id,
        customer_name, customer_email, language, currency, base_minor, vat_minor, total_minor, supplied_at, issued_at)
    SELECT invoice_id, 'M', 2026, n, 'M-2026-' || n, 'subscription', payment_id, subscription_id, customer_id,
        customer_name, customer_email, customer_language, currency, total, 0, total, now(), now() FROM bill
), b AS (
    INSERT INTO bare_invoice_line (invoice_id, line, concept, code, name, vehicle_id, options, vat_rate_bp, base_minor,
        vat_minor, total_minor)
    SELECT invoice_id, 1, 'subscription', service_code, service_name, vehicle_id, '{}', vat_rate_bp, total, 0, total
    FROM bill
), c AS (
    INSERT INTO bare_usage_line (invoice_id, line, kind, plan_code, plan_version, used_in, unit, quantity, rate,
        usage_events, total_minor)
    SELECT invoice_id, 1, 'per_use', plan_code, plan_version, '2026-10-01', 'km', quantity, 3.5, uses, total FROM bill
), d AS (
    INSERT INTO bare_period_close (subscription_id, period, run_id, invoice_id, total_minor, closed_at)
    SELECT subscription_id, '2026-10-01', subscription_id, invoice_id, total, now() FROM bill
), e AS (
    INSERT INTO bare_receivable (invoice_id, subscription_id, period, amount_minor, currency, due_on, status, attempts,
        changed_at)
    SELECT invoice_id, subscription_id, '2026-10-01', total, currency, current_date, 'processing', 1, now() FROM bill
), f AS (
    INSERT INTO bare_charge_attempt (invoice_id, attempt, payment_id, payment_method, asked_at)
    SELECT invoice_id, 1, payment_id, payment_method, now() FROM bill
), g AS (
    INSERT INTO bare_outbox (position, horizon, id, aggregatetype, aggregateid, type, payload, sequence, correlationid,
        causationid, traceparent, occurred_at, created_at)
    SELECT n, 0, uuidv7(), 'caas.billing.events.v1', k.key::text, 'caas.billing.InvoiceIssued.v1',
        repeat('x', 560)::bytea, 1, invoice_id::text, invoice_id::text, repeat('x', 55), now(), now()
    FROM bill CROSS JOIN LATERAL (VALUES (subscription_id), (payment_id)) AS k(key)
), h AS (
    INSERT INTO bare_outbox_stream (topic, key, last_sequence, horizon)
    SELECT 'caas.billing.events.v1', k.key::text, 1, 0
    FROM bill CROSS JOIN LATERAL (VALUES (subscription_id), (payment_id)) AS k(key)
), i AS (
    INSERT INTO bare_task (id, effect, key, payload, due_at, attempts, correlationid, causationid, actor, created_at)
    SELECT n * $1 + $2, 'typeset-stored', invoice_id::text, repeat('x', 60)::bytea, now(), 0, invoice_id::text,
        invoice_id::text, 'operator:bench', now() FROM bill
)
UPDATE subscription_standing t SET next_period = '2026-11-01', status = 'payment_processing', changed_at = now()
FROM bill WHERE t.subscription_id = bill.subscription_id
"""


async def prepare_bare(url: str) -> None:
    """Tables of the same columns as ours, with primary keys and nothing else."""
    connection = await asyncpg.connect(url, timeout=30, command_timeout=TIMEOUT_S)
    try:
        for table, key in TABLES.items():
            bare = f"bare_{table.removeprefix('chassis.')}"
            await connection.execute(f"CREATE TABLE {bare} (LIKE {table} INCLUDING DEFAULTS, PRIMARY KEY ({key}))")
    finally:
        await connection.close()


async def close_bare(url: str, workers: int) -> float:
    """Seconds until every connection has committed its part."""
    connections = [await asyncpg.connect(url, timeout=30, command_timeout=TIMEOUT_S) for _ in range(workers)]
    try:
        began = time.perf_counter()
        parts = [one.execute(_CLOSE, workers, number) for number, one in enumerate(connections)]
        await asyncio.gather(*parts)
        return time.perf_counter() - began
    finally:
        for one in connections:
            await one.close()
