"""Discrepancy cases and their append-only history; the unique fact makes a case open once (RCN-4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_contracts.reconciliation import DiscrepancyKind
from caas_reconciliation.domain.case import Case, CaseStatus, Finding, Resolution

OPEN_CASES: Final = """
WITH opened AS (
    INSERT INTO discrepancy_case (case_id, kind, fact_key, payment_id, expectation_id, line_id,
        difference_minor, currency, detail, status, opened_at, opened_by_run)
    SELECT c.*, 'open', $10, $11
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::bigint[], $8::text[],
        $9::text[])
        AS c(case_id, kind, fact_key, payment_id, expectation_id, line_id, difference_minor, currency, detail)
    ORDER BY kind, fact_key
    ON CONFLICT (kind, fact_key) DO NOTHING
    RETURNING case_id, detail
), remembered AS (
    INSERT INTO case_history (case_id, at, action, actor, words, message_id)
    SELECT case_id, $10, 'opened', $12, detail, $13 FROM opened
)
SELECT case_id FROM opened
"""

# A held line of the same payment speaks for its expectation, so that one difference is one case.
SELECT_UNOPENED: Final = """
SELECT s.expectation_id, s.payment_id, s.kind_now, s.difference_minor, s.currency,
       s.amount_minor, s.settled_minor, s.occurred_at
FROM open_expectation s
WHERE (s.kind_now <> 'delayed' OR s.occurred_at < $1)
  AND NOT EXISTS (SELECT FROM discrepancy_case c WHERE c.kind = s.kind_now AND c.fact_key = s.expectation_id::text)
  AND NOT EXISTS (SELECT FROM discrepancy_case c
                  WHERE c.payment_id = s.payment_id AND c.line_id IS NOT NULL AND c.status <> 'resolved')
ORDER BY s.expectation_id
"""

# A case of an expectation is explained when that kind of difference is gone; a held line's when it was matched.
RESOLVE_EXPLAINED: Final = """
WITH explained AS (
    SELECT c.case_id FROM discrepancy_case c
    WHERE c.status <> 'resolved' AND c.expectation_id IS NOT NULL AND c.line_id IS NULL
      AND NOT EXISTS (SELECT FROM open_expectation s WHERE s.expectation_id = c.expectation_id AND s.kind_now = c.kind)
    UNION ALL
    SELECT c.case_id FROM discrepancy_case c JOIN match m USING (line_id) WHERE c.status <> 'resolved'
), resolved AS (
    UPDATE discrepancy_case c
    SET status = 'resolved', resolution = 'explained', resolved_by = $2, reason = $3, resolved_at = $1,
        closed_by_run = $4
    FROM explained WHERE c.case_id = explained.case_id
    RETURNING c.*
), remembered AS (
    INSERT INTO case_history (case_id, at, action, actor, words, message_id)
    SELECT case_id, $1, 'resolved', $2, $3, $5 FROM resolved
)
SELECT * FROM resolved ORDER BY case_id
"""

UPDATE_DIFFERENCES: Final = """
UPDATE discrepancy_case c SET difference_minor = e.settled_minor + e.adjusted_minor - e.amount_minor
FROM expectation e
WHERE c.status <> 'resolved' AND c.line_id IS NULL AND e.expectation_id = c.expectation_id
  AND c.difference_minor <> e.settled_minor + e.adjusted_minor - e.amount_minor
"""

MARK_OVERDUE: Final = """
UPDATE discrepancy_case SET overdue_alerted_at = $2
WHERE status <> 'resolved' AND opened_at < $1 AND overdue_alerted_at IS NULL
RETURNING case_id, kind, difference_minor, currency, opened_at
"""

LOCK_CASE: Final = "SELECT * FROM discrepancy_case WHERE case_id = $1 FOR UPDATE"

UPDATE_CASE: Final = """
UPDATE discrepancy_case
SET status = $2, assignee = $3, resolution = $4, resolved_by = $5, reason = $6, resolved_at = $7,
    closed_net_minor = $8, closed_fee_minor = $9
WHERE case_id = $1
"""

REMEMBER: Final = """
INSERT INTO case_history (case_id, at, action, actor, words, message_id) VALUES ($1, $2, $3, $4, $5, $6)
"""

SELECT_CASES: Final = """
SELECT * FROM discrepancy_case
WHERE ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR kind = $2)
  AND ($3::uuid IS NULL OR payment_id = $3) AND ($4::uuid IS NULL OR case_id > $4)
ORDER BY case_id LIMIT $5
"""

SELECT_RESOLVED_BY_PEOPLE: Final = """
SELECT * FROM discrepancy_case WHERE resolution IN ('write_off', 'corrected', 'refunded') ORDER BY case_id
"""
SELECT_CASE: Final = "SELECT * FROM discrepancy_case WHERE case_id = $1"
SELECT_HISTORY: Final = "SELECT at, action, actor, words FROM case_history WHERE case_id = $1 ORDER BY entry_number"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that was done to a case."""

    at: datetime
    action: str
    actor: str
    words: str


@dataclass(frozen=True, slots=True)
class Overdue:
    """A case past its age (NOT-2)."""

    case_id: UUID
    kind: str
    difference_minor: int
    currency: str
    opened_at: datetime


async def open_cases(cases: Sequence[Case], *, run_id: UUID | None, tx: Tx) -> list[Case]:
    """Store the cases whose fact has none yet, and return those."""
    if not cases:
        return []
    findings = [case.finding for case in cases]
    rows = await tx.fetch(
        OPEN_CASES,
        [case.case_id for case in cases],
        [finding.kind.value for finding in findings],
        [finding.fact_key for finding in findings],
        [finding.payment_id for finding in findings],
        [finding.expectation_id for finding in findings],
        [finding.line_id for finding in findings],
        [finding.difference_minor for finding in findings],
        [finding.currency for finding in findings],
        [finding.detail for finding in findings],
        tx.now,
        run_id,
        tx.cause.actor,
        tx.cause.message_id,
    )
    opened = {row["case_id"] for row in rows}
    return [case for case in cases if case.case_id in opened]


async def unopened(*, delayed_before: datetime, tx: Tx) -> list[Finding]:
    """The differences between expectations and the feed that have no case yet (RCN-3)."""
    return [_finding_of_state(row) for row in await tx.fetch(SELECT_UNOPENED, delayed_before)]


async def resolve_explained(*, run_id: UUID, tx: Tx) -> list[Case]:
    """Close the cases whose difference the feed has explained meanwhile, and return them."""
    reason = "the settlement feed explains the difference"
    rows = await tx.fetch(RESOLVE_EXPLAINED, tx.now, tx.service, reason, run_id, tx.cause.message_id)
    return [_case(row) for row in rows]


async def update_differences(*, tx: Tx) -> None:
    """Keep the differences of open cases current, as further partial lines come."""
    await tx.execute(UPDATE_DIFFERENCES)


async def mark_overdue(*, opened_before: datetime, tx: Tx) -> list[Overdue]:
    """The open cases past their age that nobody was alerted of; each is returned once."""
    return [Overdue(**row) for row in await tx.fetch(MARK_OVERDUE, opened_before, tx.now)]


async def lock_case(case_id: UUID, *, tx: Tx) -> Case | None:
    """A case, held until the transaction ends."""
    row = await tx.fetchrow(LOCK_CASE, case_id)
    return None if row is None else _case(row)


async def update_case(case: Case, *, action: str, words: str, net_minor: int = 0, fee_minor: int = 0, tx: Tx) -> None:
    """Store what was done to a locked case, and remember it with its words.

    `net_minor` and `fee_minor` are what its resolution took off the books.
    """
    await tx.execute(
        UPDATE_CASE,
        case.case_id,
        case.status.value,
        case.assignee,
        case.resolution.value if case.resolution else None,
        case.resolved_by,
        case.reason,
        case.resolved_at,
        net_minor,
        fee_minor,
    )
    await remember(case.case_id, action=action, words=words, tx=tx)


async def remember(case_id: UUID, *, action: str, words: str, tx: Tx) -> None:
    """Add to the history what the cause of this transaction did."""
    await tx.execute(REMEMBER, case_id, tx.now, action, tx.cause.actor, words, tx.cause.message_id)


async def find_cases(
    *, status: str | None, kind: str | None, payment_id: UUID | None, after: UUID | None, limit: int, tx: Tx
) -> list[Case]:
    """A page, oldest first."""
    return [_case(row) for row in await tx.fetch(SELECT_CASES, status, kind, payment_id, after, limit)]


async def read_case(case_id: UUID, *, tx: Tx) -> Case | None:
    """One case."""
    row = await tx.fetchrow(SELECT_CASE, case_id)
    return None if row is None else _case(row)


async def resolved_by_people(*, tx: Tx) -> list[tuple[Case, int, int]]:
    """Every case that a person resolved, with the net and the fee that this took off the books."""
    rows = await tx.fetch(SELECT_RESOLVED_BY_PEOPLE)
    return [(_case(row), row["closed_net_minor"], row["closed_fee_minor"]) for row in rows]


async def history(case_id: UUID, *, tx: Tx) -> list[HistoryEntry]:
    """Everything that was done to a case, in order."""
    return [HistoryEntry(**row) for row in await tx.fetch(SELECT_HISTORY, case_id)]


def _finding_of_state(row: Record) -> Finding:
    settled = f"{row['settled_minor']} of {row['amount_minor']} settled"
    detail = f"{settled} since {row['occurred_at']:%Y-%m-%d}" if row["kind_now"] == DiscrepancyKind.DELAYED else settled
    return Finding(
        kind=DiscrepancyKind(row["kind_now"]),
        fact_key=str(row["expectation_id"]),
        payment_id=row["payment_id"],
        expectation_id=row["expectation_id"],
        line_id=None,
        difference_minor=row["difference_minor"],
        currency=row["currency"],
        detail=detail,
    )


def _case(row: Record) -> Case:
    finding = Finding(
        kind=DiscrepancyKind(row["kind"]),
        fact_key=row["fact_key"],
        payment_id=row["payment_id"],
        expectation_id=row["expectation_id"],
        line_id=row["line_id"],
        difference_minor=row["difference_minor"],
        currency=row["currency"],
        detail=row["detail"],
    )
    return Case(
        case_id=row["case_id"],
        finding=finding,
        status=CaseStatus(row["status"]),
        opened_at=row["opened_at"],
        assignee=row["assignee"],
        resolution=Resolution(row["resolution"]) if row["resolution"] else None,
        resolved_by=row["resolved_by"],
        reason=row["reason"],
        resolved_at=row["resolved_at"],
    )
