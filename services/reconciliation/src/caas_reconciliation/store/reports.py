"""The figures of a run's report (RCN-7). Each statement sees one snapshot, so its sums belong together."""

from typing import Final
from uuid import UUID

from caas_chassis.transaction import Tx
from caas_contracts.reconciliation import DiscrepancyKind
from caas_reconciliation.domain.report import AgeBucket, CaseTotal, Discrepancy, MatchedTotal, ProofItem

MATCHED_TOTALS: Final = """
SELECT l.kind, l.currency, count(*)::int AS lines, sum(l.gross_minor)::bigint AS gross_minor,
       sum(l.fee_minor)::bigint AS fee_minor, sum(l.net_minor)::bigint AS net_minor
FROM match m JOIN settlement_line l USING (line_id) WHERE m.run_id = $1
GROUP BY l.kind, l.currency ORDER BY l.kind, l.currency
"""

CASES_OF_RUN: Final = """
SELECT case_id, kind, payment_id, difference_minor, currency, detail, opened_by_run = $1 AS opened
FROM discrepancy_case WHERE opened_by_run = $1 OR closed_by_run = $1 ORDER BY case_id
"""

OPEN_CASE_TOTALS: Final = """
SELECT kind, currency, count(*)::int AS cases, sum(difference_minor)::bigint AS difference_minor
FROM discrepancy_case WHERE status <> 'resolved' GROUP BY kind, currency ORDER BY kind, currency
"""

AGEING: Final = """
SELECT age, currency, count(*)::int AS expectations, sum(open_minor)::bigint AS open_minor
FROM (SELECT currency, amount_minor - settled_minor - adjusted_minor AS open_minor,
             CASE WHEN occurred_at > $1::timestamptz - interval '7 days' THEN 'up to 7 days'
                  WHEN occurred_at > $1 - interval '14 days' THEN '8 to 14 days'
                  WHEN occurred_at > $1 - interval '30 days' THEN '15 to 30 days'
                  ELSE 'more than 30 days' END AS age
      FROM expectation WHERE amount_minor <> settled_minor + adjusted_minor) AS aged
GROUP BY age, currency ORDER BY age, currency
"""

# Three sources that do not know of each other: the raw feed, the ledger, and matches with open cases.
PROOF: Final = """
WITH stated AS (
    SELECT 'bank' AS item, currency, sum(net_minor) AS minor FROM settlement_line GROUP BY currency
    UNION ALL
    SELECT 'gateway_fees', currency, sum(fee_minor) FROM settlement_line GROUP BY currency
    UNION ALL
    SELECT 'cash_in_transit', currency, sum(amount_minor - settled_minor - adjusted_minor)
    FROM expectation GROUP BY currency
), posted AS (
    SELECT account AS item, currency, sum(amount_minor) AS minor FROM journal_line
    WHERE account IN ('bank', 'gateway_fees', 'cash_in_transit') GROUP BY account, currency
), held AS (
    SELECT l.currency, l.net_minor, l.fee_minor
    FROM unmatched_line u JOIN settlement_line l USING (line_id)
    WHERE EXISTS (SELECT FROM discrepancy_case c WHERE c.line_id = u.line_id AND c.status <> 'resolved')
), open_case AS (
    SELECT 'bank' AS item, currency, sum(net_minor) AS minor FROM held GROUP BY currency
    UNION ALL
    SELECT 'gateway_fees', currency, sum(fee_minor) FROM held GROUP BY currency
)
SELECT item, currency, coalesce(s.minor, 0)::bigint AS stated_minor, coalesce(p.minor, 0)::bigint AS ledger_minor,
       coalesce(o.minor, 0)::bigint AS open_cases_minor,
       (coalesce(s.minor, 0) - coalesce(p.minor, 0) - coalesce(o.minor, 0))::bigint AS difference_minor
FROM stated s FULL JOIN posted p USING (item, currency) FULL JOIN open_case o USING (item, currency)
ORDER BY item, currency
"""

TOTALS: Final = """
SELECT (SELECT count(*)::int FROM settlement_line) AS settlement_lines,
       (SELECT count(*)::int FROM unmatched_line u WHERE NOT EXISTS
            (SELECT FROM discrepancy_case c WHERE c.line_id = u.line_id)) AS unexplained_lines,
       (SELECT coalesce(sum(abs(total)), 0)::bigint FROM
            (SELECT sum(amount_minor) AS total FROM journal_line GROUP BY currency) AS t) AS ledger_imbalance_minor
"""


async def matched_totals(run_id: UUID, *, tx: Tx) -> list[MatchedTotal]:
    """What a run matched."""
    return [MatchedTotal(**row) for row in await tx.fetch(MATCHED_TOTALS, run_id)]


async def discrepancies(run_id: UUID, *, tx: Tx) -> tuple[list[Discrepancy], list[Discrepancy]]:
    """The cases a run opened, and those it closed."""
    opened: list[Discrepancy] = []
    closed: list[Discrepancy] = []
    for row in await tx.fetch(CASES_OF_RUN, run_id):
        fields = {name: row[name] for name in ("case_id", "payment_id", "difference_minor", "currency", "detail")}
        (opened if row["opened"] else closed).append(Discrepancy(kind=DiscrepancyKind(row["kind"]), **fields))
    return opened, closed


async def open_case_totals(*, tx: Tx) -> list[CaseTotal]:
    """All open and waiting cases."""
    rows = await tx.fetch(OPEN_CASE_TOTALS)
    return [CaseTotal(**{**dict(row), "kind": DiscrepancyKind(row["kind"])}) for row in rows]


async def ageing(*, tx: Tx) -> list[AgeBucket]:
    """All open expectations by how long ago their money was captured or refunded."""
    return [AgeBucket(**row) for row in await tx.fetch(AGEING, tx.now)]


async def proof(*, tx: Tx) -> list[ProofItem]:
    """Gateway totals against ledger totals and open cases, to the cent (RCN-7)."""
    return [ProofItem(**row) for row in await tx.fetch(PROOF)]


async def totals(*, tx: Tx) -> dict[str, int]:
    """Lines in all, lines that nothing explains, and by how much the ledger is out of balance."""
    row = await tx.fetchrow(TOTALS)
    assert row is not None
    return dict(row)
