"""The raw feed, and its matching with our captures and refunds; both sets at once, in SQL (RCN-1, RCN-2)."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_contracts.reconciliation import DiscrepancyKind
from caas_reconciliation.domain.case import Finding
from caas_reconciliation.domain.settlement import LineKind, MatchedLine, SettlementLine

STORE_LINES: Final = """
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
        $8::bigint[], $9::text[], $10::date[], $11::text[], $12::text[])
        AS g(line_id, transaction_id, reference, operation_reference, kind, gross_minor, fee_minor, net_minor,
             currency, settled_on, payout_id, raw)
), inserted AS (
    INSERT INTO settlement_line (line_id, transaction_id, reference, operation_reference, kind, gross_minor,
        fee_minor, net_minor, currency, settled_on, payout_id, raw, run_id, received_at)
    SELECT line_id, transaction_id, reference, operation_reference, kind, gross_minor,
        fee_minor, net_minor, currency, settled_on, payout_id, raw::jsonb, $13, $14
    FROM given ORDER BY line_id
    ON CONFLICT (line_id) DO NOTHING
    RETURNING line_id
), listed AS (
    INSERT INTO unmatched_line (line_id) SELECT line_id FROM inserted
)
SELECT g.line_id, i.line_id IS NOT NULL AS is_new, coalesce(g.gross_minor - l.gross_minor, 0) AS difference_minor,
       l.line_id IS NOT NULL AND (l.transaction_id, l.reference, l.kind, l.gross_minor, l.fee_minor, l.currency)
           IS DISTINCT FROM (g.transaction_id, g.reference, g.kind, g.gross_minor, g.fee_minor, g.currency) AS changed
FROM given g LEFT JOIN inserted i USING (line_id) LEFT JOIN settlement_line l USING (line_id)
"""

MATCH_LINES: Final = """
WITH fitting AS (
    SELECT *, CASE WHEN kind IN ('capture', 'refund') THEN gross_minor ELSE 0 END AS applied_minor
    FROM line_verdict WHERE verdict = 'matched'
), matched AS (
    INSERT INTO match (line_id, expectation_id, applied_minor, run_id, matched_at)
    SELECT line_id, expectation_id, applied_minor, $1, $2 FROM fitting
), removed AS (
    DELETE FROM unmatched_line u USING fitting f WHERE u.line_id = f.line_id
), settled AS (
    UPDATE expectation e SET settled_minor = e.settled_minor + f.applied_minor
    FROM (SELECT expectation_id, sum(applied_minor)::bigint AS applied_minor FROM fitting GROUP BY expectation_id) f
    WHERE e.expectation_id = f.expectation_id
)
SELECT line_id, kind, expectation_id, payment_id, gross_minor, fee_minor, net_minor, applied_minor,
       currency, settled_on, expected_minor, settled_before_minor, received_at
FROM fitting ORDER BY settled_on, line_id
"""

SELECT_HELD_LINES: Final = """
SELECT v.line_id, v.kind, v.reference, v.transaction_id, v.gross_minor, v.fee_minor, v.net_minor, v.currency,
       v.expectation_id, v.payment_id, v.expected_minor, v.verdict
FROM line_verdict v
WHERE v.verdict <> 'matched' AND NOT EXISTS (SELECT FROM discrepancy_case c WHERE c.line_id = v.line_id)
ORDER BY v.line_id
"""

SELECT_NEW_CHARGEBACKS: Final = """
SELECT l.line_id, m.expectation_id, l.gross_minor, l.currency
FROM match m JOIN settlement_line l USING (line_id)
WHERE m.run_id = $1 AND l.kind = 'chargeback'
  AND NOT EXISTS (SELECT FROM discrepancy_case c WHERE c.kind = 'chargeback' AND c.fact_key = m.expectation_id::text)
ORDER BY l.line_id
"""

SELECT_ALL_MATCHED: Final = """
SELECT l.line_id, l.kind, m.expectation_id, e.payment_id, l.gross_minor, l.fee_minor, l.net_minor, m.applied_minor,
       l.currency, l.settled_on, e.amount_minor AS expected_minor, e.settled_minor AS settled_before_minor,
       l.received_at
FROM match m JOIN settlement_line l USING (line_id) JOIN expectation e USING (expectation_id) ORDER BY l.line_id
"""

COUNT_MISCOUNTED: Final = """
SELECT count(*)::int FROM expectation e
LEFT JOIN (SELECT expectation_id, sum(applied_minor) AS applied_minor FROM match GROUP BY expectation_id) m
    USING (expectation_id)
WHERE e.settled_minor <> coalesce(m.applied_minor, 0)
"""

LOCK_FEED: Final = "SELECT cursor FROM feed WHERE feed = $1 FOR UPDATE"
READ_CURSOR: Final = "SELECT cursor FROM feed WHERE feed = $1"
ADVANCE: Final = "UPDATE feed SET cursor = $2 WHERE feed = $1"
LINE_AMOUNTS: Final = """
SELECT l.net_minor, l.fee_minor FROM settlement_line l JOIN unmatched_line u USING (line_id) WHERE l.line_id = $1
FOR UPDATE OF u
"""
TAKE_OFF: Final = "DELETE FROM unmatched_line WHERE line_id = $1"

GATEWAY_FEED: Final = "gateway"
_COLUMNS: Final = tuple(field.name for field in fields(SettlementLine))


async def store_lines(lines: Sequence[SettlementLine], *, run_id: UUID, tx: Tx) -> tuple[int, list[Finding]]:
    """Keep the lines we did not have. Returns how many are new, and the lines that the gateway has changed."""
    first: dict[str, SettlementLine] = {}
    restated = [line for line in lines if first.setdefault(line.line_id, line) != line]
    columns = [[getattr(line, name) for line in first.values()] for name in _COLUMNS]
    rows = await tx.fetch(STORE_LINES, *columns, run_id, tx.now)
    changed = [_changed(first[row["line_id"]], row["difference_minor"]) for row in rows if row["changed"]]
    changed += [_changed(line, line.gross_minor - first[line.line_id].gross_minor) for line in restated]
    return sum(row["is_new"] for row in rows), changed


async def match_lines(*, run_id: UUID, tx: Tx) -> list[MatchedLine]:
    """Match what can be matched, in the order of settlement (RCN-2)."""
    rows = await tx.fetch(MATCH_LINES, run_id, tx.now)
    return [MatchedLine(**{**dict(row), "kind": LineKind(row["kind"])}) for row in rows]


async def held_lines(*, tx: Tx) -> list[Finding]:
    """The lines that cannot be booked and have no case yet, with the reason (RCN-3)."""
    return [_held(row) for row in await tx.fetch(SELECT_HELD_LINES)]


async def charged_back(*, run_id: UUID, tx: Tx) -> list[Finding]:
    """Chargebacks that a run matched and nobody had told us of."""
    rows = await tx.fetch(SELECT_NEW_CHARGEBACKS, run_id)
    return [
        chargeback_finding(row["expectation_id"], row["gross_minor"], row["currency"], f"line {row['line_id']}")
        for row in rows
    ]


def chargeback_finding(payment_id: UUID, gross_minor: int, currency: str, detail: str) -> Finding:
    """A chargeback of a payment; `gross_minor` is negative. Webhook and line make the same case."""
    return Finding(
        kind=DiscrepancyKind.CHARGEBACK,
        fact_key=str(payment_id),
        payment_id=payment_id,
        expectation_id=None,
        line_id=None,
        difference_minor=gross_minor,
        currency=currency,
        detail=detail,
    )


async def all_matched(*, tx: Tx) -> list[MatchedLine]:
    """Every matched line, for rebuilding the ledger."""
    return [MatchedLine(**{**dict(row), "kind": LineKind(row["kind"])}) for row in await tx.fetch(SELECT_ALL_MATCHED)]


async def miscounted_expectations(*, tx: Tx) -> int:
    """How many expectations disagree with their matches; 0 unless something is badly wrong."""
    return int(str(await tx.fetchval(COUNT_MISCOUNTED)))


async def lock_feed(*, tx: Tx) -> str:
    """The gateway feed's cursor; other runs wait until this transaction ends."""
    return str(await tx.fetchval(LOCK_FEED, GATEWAY_FEED))


async def read_cursor(*, tx: Tx) -> str:
    """The gateway feed's cursor; empty before the first page."""
    return str(await tx.fetchval(READ_CURSOR, GATEWAY_FEED))


async def advance(cursor: str, *, tx: Tx) -> None:
    """Remember how far the feed has been read."""
    await tx.execute(ADVANCE, GATEWAY_FEED, cursor)


async def take_off(line_id: str, *, tx: Tx) -> tuple[int, int] | None:
    """Net and fee of a held line, which leaves the work list; None when a run has matched it meanwhile."""
    row = await tx.fetchrow(LINE_AMOUNTS, line_id)
    if row is None:
        return None
    await tx.execute(TAKE_OFF, line_id)
    return row["net_minor"], row["fee_minor"]


def _changed(line: SettlementLine, difference_minor: int) -> Finding:
    return Finding(
        kind=DiscrepancyKind.AMOUNT_MISMATCH,
        fact_key=f"changed:{line.line_id}",
        payment_id=None,
        expectation_id=None,
        line_id=None,
        difference_minor=difference_minor,
        currency=line.currency,
        detail=f"line {line.line_id} was stated before with other content; the first statement is kept",
    )


def _held(row: Record) -> Finding:
    return Finding(
        kind=DiscrepancyKind(row["verdict"]),
        fact_key=row["line_id"],
        payment_id=row["payment_id"],
        expectation_id=row["expectation_id"],
        line_id=row["line_id"],
        difference_minor=row["gross_minor"],
        currency=row["currency"],
        detail=_reason(row),
    )


def _reason(row: Record) -> str:
    about = f"{row['kind']} line {row['line_id']} of transaction {row['transaction_id']}, reference {row['reference']}"
    match DiscrepancyKind(row["verdict"]):
        case DiscrepancyKind.CURRENCY_MISMATCH:
            return f"{about}: stated in {row['currency']}, captured in another currency"
        case DiscrepancyKind.AMOUNT_MISMATCH:
            return f"{about}: net {row['net_minor']} is not gross {row['gross_minor']} minus fee {row['fee_minor']}"
        case _ if row["expectation_id"] is not None:
            return f"{about}: the reference is ours, the transaction is another"
        case _:
            return f"{about}: no capture or refund of ours"
