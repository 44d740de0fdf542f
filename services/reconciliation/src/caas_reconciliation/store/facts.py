"""The facts, append-only: each (kind, id) once, whoever tells it how often (RCN-6)."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_reconciliation.domain.facts import Fact, FactKind

RECORD_FACTS: Final = """
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
        $8::text[], $9::timestamptz[], $10::text[], $11::text[])
        AS g(kind, fact_id, payment_id, customer_id, amount_minor, vat_minor, advance_minor, currency,
             occurred_at, transaction_id, message_id)
), inserted AS (
    INSERT INTO fact (kind, fact_id, payment_id, customer_id, amount_minor, vat_minor, advance_minor, currency,
                      occurred_at, transaction_id, message_id, recorded_at)
    SELECT kind, fact_id, payment_id, customer_id, amount_minor, vat_minor, advance_minor, currency,
           occurred_at, transaction_id, message_id, $12
    FROM given ORDER BY kind, fact_id
    ON CONFLICT (kind, fact_id) DO NOTHING
    RETURNING kind, fact_id
)
SELECT g.kind, g.fact_id, i.fact_id IS NOT NULL AS is_new,
       f.fact_id IS NOT NULL AND (f.payment_id, f.amount_minor, f.vat_minor, f.advance_minor, f.currency)
           IS DISTINCT FROM (g.payment_id, g.amount_minor, g.vat_minor, g.advance_minor, g.currency) AS contradicts
FROM given g LEFT JOIN inserted i USING (kind, fact_id) LEFT JOIN fact f USING (kind, fact_id)
"""

LOCK_PAYMENTS: Final = """
SELECT pg_advisory_xact_lock(key)
FROM (SELECT DISTINCT hashtextextended(id::text, 0) AS key FROM unnest($1::uuid[]) AS id ORDER BY key) AS ordered
"""

SELECT_UNPAID_SALES: Final = """
SELECT p.kind, p.fact_id, p.payment_id, p.customer_id, p.amount_minor, p.vat_minor, p.advance_minor, p.currency,
       f.occurred_at, p.transaction_id, f.message_id
FROM fact f JOIN fact p ON p.payment_id = f.payment_id AND p.kind = 'purchase_placed'
WHERE f.kind = 'capture_failed' AND f.payment_id = ANY($1::uuid[])
"""

SELECT_OF_PREPAYMENTS: Final = """
SELECT f.kind, f.fact_id, f.payment_id, f.customer_id, f.amount_minor, f.vat_minor, f.advance_minor, f.currency,
       f.occurred_at, f.transaction_id, f.message_id
FROM fact p JOIN fact f ON f.payment_id = p.payment_id AND f.kind = ANY($2::text[])
WHERE p.kind = 'prepayment_confirmed' AND p.payment_id = ANY($1::uuid[])
"""

SELECT_VAT_OF_RESERVATIONS: Final = """
SELECT fact_id, vat_minor FROM fact WHERE kind = 'vehicle_order_placed' AND fact_id = ANY($1::text[])
"""

SELECT_ALL: Final = """
SELECT kind, fact_id, payment_id, customer_id, amount_minor, vat_minor, advance_minor, currency,
       occurred_at, transaction_id, message_id
FROM fact ORDER BY kind, fact_id
"""

_COLUMNS: Final = tuple(field.name for field in fields(Fact))


async def record_facts(facts: Iterable[Fact], *, tx: Tx) -> tuple[list[Fact], list[Fact]]:
    """Store what is new. Returns the new facts, and those that contradict what is stored under their id."""
    given = {(str(fact.kind), fact.fact_id): fact for fact in facts}
    columns = [[getattr(given[key], name) for key in given] for name in _COLUMNS]
    rows = await tx.fetch(RECORD_FACTS, *columns, tx.now)
    new = [given[row["kind"], row["fact_id"]] for row in rows if row["is_new"]]
    contradicting = [given[row["kind"], row["fact_id"]] for row in rows if row["contradicts"]]
    return new, contradicting


async def lock_payments(payment_ids: Sequence[UUID], *, tx: Tx) -> None:
    """Let only one transaction at a time combine facts of these payments, so that none overlooks the other."""
    await tx.execute(LOCK_PAYMENTS, payment_ids)


async def unpaid_sales(payment_ids: Sequence[UUID], *, tx: Tx) -> list[Fact]:
    """The placed purchases, among these payments, whose capture failed after delivery (SVC-8).

    Instant and message are those of the failed capture, which is when the sale became a loss.
    """
    return [_fact(row) for row in await tx.fetch(SELECT_UNPAID_SALES, payment_ids)]


async def of_prepayments(payment_ids: Sequence[UUID], kinds: Iterable[FactKind], *, tx: Tx) -> list[Fact]:
    """Facts of these kinds about those of the payments that were taken ahead (PLN-1)."""
    return [_fact(row) for row in await tx.fetch(SELECT_OF_PREPAYMENTS, payment_ids, sorted(kinds))]


async def vat_of_reservations(order_ids: Sequence[UUID], *, tx: Tx) -> dict[str, int]:
    """The VAT in the reservations of these vehicle orders, in minor units, by the order's id as text."""
    rows = await tx.fetch(SELECT_VAT_OF_RESERVATIONS, [str(order_id) for order_id in order_ids])
    return {row["fact_id"]: row["vat_minor"] for row in rows}


async def all_facts(*, tx: Tx) -> list[Fact]:
    """Every fact, for rebuilding the ledger."""
    return [_fact(row) for row in await tx.fetch(SELECT_ALL)]


def _fact(row: Record) -> Fact:
    return Fact(**{**dict(row), "kind": FactKind(row["kind"])})
