"""What has to hold after any run, whatever happened to it: asked of the database itself."""

from typing import Any

import asyncpg

from caas_chassis.testing.harness import Harness

CHECKS = {
    # SUB-4: the use of a closed period is counted by exactly one invoice's lines.
    "lines do not sum to their invoice": """
        SELECT i.number FROM invoice i LEFT JOIN usage_line l USING (invoice_id) WHERE i.kind = 'subscription'
        GROUP BY i.invoice_id HAVING coalesce(sum(l.total_minor), 0) <> i.total_minor""",
    "a period was closed out of order": """
        SELECT subscription_id FROM (SELECT subscription_id, period, lag(period) OVER (PARTITION BY subscription_id
            ORDER BY closed_at, period) AS before FROM period_close) c WHERE before > period""",
    "an invoice without a close, or two": """
        SELECT i.number FROM invoice i LEFT JOIN period_close c USING (invoice_id) WHERE i.kind = 'subscription'
        GROUP BY i.number HAVING count(c.subscription_id) <> 1""",
    "an invoice without its first attempt": """
        SELECT number FROM invoice i WHERE kind = 'subscription' AND NOT EXISTS
            (SELECT FROM charge_attempt a JOIN receivable r USING (invoice_id) WHERE a.invoice_id = i.invoice_id)""",
    "an invoice without its message": """
        SELECT number FROM invoice i WHERE kind = 'subscription' AND (SELECT count(*) FROM chassis.outbox o
            WHERE o.aggregateid = i.subject_id::text AND o.type LIKE '%InvoiceIssued%'
            AND convert_from(o.payload, 'UTF8')::json ->> 'invoice_id' = i.invoice_id::text) <> 1""",
    "a charge that is asked for twice, or never": """
        SELECT a.invoice_id FROM charge_attempt a WHERE a.payment_id IS NOT NULL AND (SELECT count(*)
            FROM chassis.outbox o WHERE o.aggregateid = a.payment_id::text AND o.type LIKE '%ChargePayment%') <> 1""",
    "an invoice without its typesetting": """
        SELECT number FROM invoice i WHERE kind = 'subscription'
            AND NOT EXISTS (SELECT FROM chassis.task t WHERE t.key = i.invoice_id::text)
            AND NOT EXISTS (SELECT FROM document d WHERE d.document_id = i.invoice_id)""",
    "a gap in the numbers": """
        SELECT s.series FROM series s LEFT JOIN invoice i USING (series, year) WHERE s.series = 'M'
        GROUP BY s.series, s.year, s.last_position
        HAVING count(i.position) <> s.last_position OR max(i.position) <> s.last_position""",
    "a gap in a stream": """
        SELECT s.key FROM chassis.outbox_stream s LEFT JOIN chassis.outbox o
            ON (o.aggregatetype, o.aggregateid) = (s.topic, s.key)
        GROUP BY s.topic, s.key, s.last_sequence
        HAVING count(o.id) <> s.last_sequence OR max(o.sequence) <> s.last_sequence""",
}


async def violations(connection: asyncpg.Connection) -> dict[str, list[object]]:
    """Every rule that is broken, with where."""
    found = {rule: [row[0] for row in await connection.fetch(sql)] for rule, sql in CHECKS.items()}
    return {rule: places for rule, places in found.items() if places}


async def assert_billed_once(billing: Harness) -> None:
    """Each closed period has its whole bill, once."""
    async with billing.owner() as connection:
        assert await violations(connection) == {}


async def everything(billing: Harness) -> dict[str, str]:
    """The content of every table, as a digest."""
    async with billing.owner() as connection:
        tables = await connection.fetch(
            "SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname IN ('public', 'chassis')"
        )
        return {
            row["name"]: await connection.fetchval(
                f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {row['name']} t"
            )
            for row in tables
        }


async def rows(billing: Harness, sql: str, *arguments: object) -> list[dict[str, Any]]:
    """What a query finds."""
    async with billing.runtime.reading() as tx:
        return [dict(row) for row in await tx.fetch(sql, *arguments)]
