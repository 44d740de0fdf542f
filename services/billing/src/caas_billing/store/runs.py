"""Keeps runs, and reads how far they are and what they came to (SUB-8)."""

from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_billing.domain.billing_run import Bill, BilledLine, Progress, Run, RunReport
from caas_billing.domain.period import Period
from caas_chassis.transaction import Tx
from caas_contracts.money import Money

ADD: Final = """
INSERT INTO billing_run (run_id, period, requested_by, requested_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (period) WHERE finished_at IS NULL DO NOTHING RETURNING run_id
"""
FIND_OPEN: Final = "SELECT * FROM billing_run WHERE period = $1 AND finished_at IS NULL"
OLDEST_OPEN: Final = "SELECT * FROM billing_run WHERE finished_at IS NULL ORDER BY period LIMIT 1"
FIND: Final = "SELECT * FROM billing_run WHERE run_id = $1"
LIST: Final = "SELECT * FROM billing_run ORDER BY requested_at DESC, run_id DESC LIMIT $1"
WAS_RUN: Final = "SELECT EXISTS (SELECT FROM billing_run WHERE period = $1)"
FINISH: Final = """
UPDATE billing_run SET finished_at = $2 WHERE run_id = $1 AND finished_at IS NULL AND NOT EXISTS (
    SELECT FROM generate_series(0, 255) AS shard JOIN subscription_standing t ON t.shard = shard.shard
    WHERE t.next_period <= $3 AND t.subscription_id <> ALL($4::uuid[]))
RETURNING run_id
"""
IS_SCHEDULED: Final = "SELECT EXISTS (SELECT FROM chassis.timer WHERE timer = $1)"

PROGRESS: Final = """
SELECT (SELECT count(*) FROM period_close WHERE run_id = $1) AS closed,
    (SELECT count(*) FROM subscription_standing WHERE next_period <= $2) AS left
"""

SUMS: Final = """
SELECT i.currency, count(*) AS periods, count(i.invoice_id) AS invoices, sum(c.total_minor)::bigint AS total,
    count(*) FILTER (WHERE r.status = 'retry' AND a.payment_id IS NULL) AS not_charged,
    coalesce(sum(l.uses), 0)::bigint AS late_uses
FROM period_close c
LEFT JOIN invoice i USING (invoice_id)
LEFT JOIN receivable r USING (invoice_id)
LEFT JOIN charge_attempt a ON a.invoice_id = i.invoice_id AND a.attempt = 1
LEFT JOIN LATERAL (
    -- The steps of one tiered month share their uses.
    SELECT sum(month.uses) AS uses FROM (SELECT max(usage_events) AS uses FROM usage_line u
        WHERE u.invoice_id = i.invoice_id AND u.used_in < c.period GROUP BY u.used_in) AS month
) l ON true
WHERE c.run_id = $1 GROUP BY i.currency ORDER BY i.currency
"""
BIGGEST: Final = """
SELECT c.subscription_id, i.customer_id, c.period, i.total_minor, i.currency, i.number
FROM period_close c JOIN invoice i USING (invoice_id) WHERE c.run_id = $1
ORDER BY c.total_minor DESC, i.number LIMIT $2
"""
SAMPLE: Final = """
SELECT c.subscription_id, l.used_in, l.plan_code, l.kind, l.quantity, l.rate, l.total_minor, i.currency
FROM (SELECT * FROM period_close WHERE run_id = $1 AND invoice_id IS NOT NULL ORDER BY subscription_id LIMIT $2) c
JOIN invoice i USING (invoice_id) JOIN usage_line l USING (invoice_id) ORDER BY c.subscription_id, l.line LIMIT $2
"""

NAMED: Final = (5, 5)
"""How many bills and lines a report names."""


async def start(tx: Tx, run: Run) -> Run:
    """The open run of the period: this one, or the one that was open already."""
    added = await tx.fetchval(ADD, run.run_id, run.period.first_day, run.requested_by, run.requested_at)
    if added is not None:
        return run
    open_run = await tx.fetchrow(FIND_OPEN, run.period.first_day)
    # It was finished between the two statements: then nothing keeps this one from being added.
    return run_of(open_run) if open_run else await start(tx, run)


async def oldest_open(tx: Tx) -> Run | None:
    """The open run of the earliest period."""
    row = await tx.fetchrow(OLDEST_OPEN)
    return run_of(row) if row else None


async def find(tx: Tx, run_id: UUID) -> Run | None:
    """The run, or None when there is none of this id."""
    row = await tx.fetchrow(FIND, run_id)
    return run_of(row) if row else None


async def list_newest(tx: Tx, limit: int) -> list[Run]:
    """Runs, the newest first."""
    return [run_of(row) for row in await tx.fetch(LIST, limit)]


async def was_run(tx: Tx, period: Period) -> bool:
    """Whether there is a run of the period, open or finished."""
    return bool(await tx.fetchval(WAS_RUN, period.first_day))


async def is_scheduled(tx: Tx, timer: str) -> bool:
    """Whether the timer is set."""
    return bool(await tx.fetchval(IS_SCHEDULED, timer))


async def finish(tx: Tx, run: Run, now: datetime, left_out: Collection[UUID]) -> bool:
    """Finish the run if nothing but what is left out is due any more; whether this caller did."""
    finished = await tx.fetchval(FINISH, run.run_id, now, run.period.first_day, list(left_out))
    return finished is not None


async def read_progress(tx: Tx, run: Run) -> Progress:
    """How far a run is."""
    (row,) = await tx.fetch(PROGRESS, run.run_id, run.period.first_day)
    return Progress(row["closed"], 0 if run.finished_at else row["left"])


async def read_report(tx: Tx, run: Run, too_large: Collection[UUID] = ()) -> RunReport:
    """What a run has come to so far."""
    sums = await tx.fetch(SUMS, run.run_id)
    periods = sum(row["periods"] for row in sums)
    invoices = sum(row["invoices"] for row in sums)
    return RunReport(
        subscriptions=periods,
        invoices=invoices,
        without_charge=periods - invoices,
        invoiced=[Money(amount_minor=row["total"], currency=row["currency"]) for row in sums if row["currency"]],
        late_uses=sum(row["late_uses"] for row in sums),
        not_charged=sum(row["not_charged"] for row in sums if row["currency"]),
        biggest=[bill_of(row, row["number"]) for row in await tx.fetch(BIGGEST, run.run_id, NAMED[0])],
        sample=[line_of(row) for row in await tx.fetch(SAMPLE, run.run_id, NAMED[1])],
        too_large=sorted(too_large),
    )


def run_of(row: Record) -> Run:
    """The run in a row of `billing_run`."""
    return Run(
        run_id=row["run_id"],
        period=Period.of_day(row["period"]),
        requested_by=row["requested_by"],
        requested_at=row["requested_at"],
        finished_at=row["finished_at"],
    )


def bill_of(row: Record, number: str | None) -> Bill:
    """The bill in a row with `subscription_id`, `customer_id`, `period`, `total_minor` and `currency`."""
    return Bill(
        subscription_id=row["subscription_id"],
        customer_id=row["customer_id"],
        period=str(Period.of_day(row["period"])),
        total=Money(amount_minor=row["total_minor"], currency=row["currency"]),
        number=number,
    )


def line_of(row: Record) -> BilledLine:
    """The line in a row like those of `usage_line`, with its subscription and currency."""
    return BilledLine(
        subscription_id=row["subscription_id"],
        used_in=str(Period.of_day(row["used_in"])),
        plan_code=row["plan_code"],
        kind=row["kind"],
        quantity=str(row["quantity"]),
        rate=str(row["rate"]),
        total=Money(amount_minor=row["total_minor"], currency=row["currency"]),
    )
