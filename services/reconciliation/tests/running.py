"""Reconciliation under test: the real handlers, effects and tables, with a feed that the test writes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from caas_chassis.migrate import apply_migrations
from caas_chassis.runtime import CHASSIS_MIGRATIONS
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_chassis.transaction import Tx
from caas_contracts.reconciliation import DiscrepancyKind
from caas_reconciliation.app import build_service
from caas_reconciliation.domain.case import Case, CaseStatus
from caas_reconciliation.domain.report import RunReport
from caas_reconciliation.domain.run import Trigger
from caas_reconciliation.domain.settlement import SettlementLine
from caas_reconciliation.handlers.rebuilding import rebuild_ledger
from caas_reconciliation.handlers.runs import start_run
from caas_reconciliation.store import cases, ledger, runs
from services.reconciliation.tests.builders import AN_INSTANT, settings_for
from services.reconciliation.tests.in_process_feed import InProcessFeed

EMPTY_AGAIN = """
SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
WHERE schemaname IN ('public', 'chassis') AND tablename NOT IN ('account', 'feed', 'migration', 'inbox_position')
"""


async def migrate(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=20)
    try:
        await apply_migrations(connection, [CHASSIS_MIGRATIONS, "caas_reconciliation.migrations"])
    finally:
        await connection.close(timeout=20)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A harness with its feed, and the few verbs that tests speak in."""

    harness: Harness
    feed: InProcessFeed

    async def reconcile(self, *lines: SettlementLine) -> RunReport:
        """State lines in the feed, run to the end, and give the run's report."""
        self.feed.state(*lines)
        async with self.harness.transaction() as tx:
            run_id = await start_run(Trigger.DEMAND, requested_by="operator:test", tx=tx)
        await self.harness.run_effects()
        return await self.report(run_id)

    async def report(self, run_id: UUID) -> RunReport:
        async with self.reading() as tx:
            report = await runs.report_of(run_id, tx=tx)
        assert report is not None
        return report

    async def move_to(self, instant: datetime) -> None:
        await self.harness.move_clock(instant - self.harness.clock.now())

    async def open_cases(self) -> list[Case]:
        """Open and waiting cases, oldest first."""
        return [case for case in await self.all_cases() if case.status is not CaseStatus.RESOLVED]

    async def all_cases(self) -> list[Case]:
        async with self.reading() as tx:
            return await cases.find_cases(status=None, kind=None, payment_id=None, after=None, limit=10_000, tx=tx)

    async def kinds(self) -> list[DiscrepancyKind]:
        """The kinds of all cases there ever were."""
        return sorted(case.finding.kind for case in await self.all_cases())

    async def balances(self) -> dict[str, int]:
        """Debits minus credits per account, in EUR; accounts at zero are left out."""
        async with self.reading() as tx:
            found = await ledger.trial_balance(tx=tx)
        balances = {one.account: one.debit_minor - one.credit_minor for one in found if one.currency == "EUR"}
        return {account: balance for account, balance in balances.items() if balance}

    async def assert_books_hold(self) -> None:
        """The ledger balances, equals the rebuilt one, and every entry balances by itself."""
        async with self.reading() as tx:
            verification = await rebuild_ledger(tx=tx)
            imbalance = await tx.fetchval(
                "SELECT count(*) FROM (SELECT FROM journal_line GROUP BY entry_id, currency"
                " HAVING sum(amount_minor) <> 0) AS unbalanced"
            )
        assert verification.differences == []
        assert verification.miscounted_expectations == 0
        assert imbalance == 0

    async def state(self) -> dict[str, Any]:
        """Everything that must not depend on order, pages or repetition (RCN-5, RCN-6)."""
        queries = {
            "ledger": "SELECT account, currency, sum(amount_minor)::bigint FROM journal_line GROUP BY 1, 2",
            "entries": "SELECT source_kind, count(*) FROM journal_entry GROUP BY 1",
            "expected": "SELECT expectation_id, amount_minor, settled_minor, adjusted_minor FROM expectation",
            "matched": "SELECT line_id, expectation_id, applied_minor FROM match",
            "unmatched": "SELECT line_id FROM unmatched_line",
            "cases": "SELECT kind, fact_key, difference_minor FROM discrepancy_case WHERE status <> 'resolved'",
        }
        async with self.reading() as tx:
            return {name: sorted(tuple(row) for row in await tx.fetch(sql)) for name, sql in queries.items()}

    async def forget_everything(self) -> None:
        """Empty the database, past the triggers that protect it, but for how far streams were read."""
        async with self.harness.owner() as owner:
            names = ", ".join(row["name"] for row in await owner.fetch(EMPTY_AGAIN))
            await owner.execute("SET session_replication_role = replica")
            await owner.execute(f"TRUNCATE {names} CASCADE")
            await owner.execute("UPDATE feed SET cursor = ''")
        self.feed.start_over([])

    async def read_feed_again(self, lines: Sequence[SettlementLine]) -> RunReport:
        """A feed from its start, as a file that is loaded again."""
        self.feed.start_over(lines)
        async with self.harness.transaction() as tx:
            await tx.execute("UPDATE feed SET cursor = ''")
        return await self.reconcile()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Tx]:
        async with self.harness.runtime.reading() as tx:
            yield tx


@asynccontextmanager
async def a_reconciliation(make_database: MakeDatabase, **settings: Any) -> AsyncIterator[Reconciliation]:
    """Reconciliation on a database of its own, at 3 March 2026."""
    url = await make_database("reconciliation", migrate)
    feed = InProcessFeed()
    async with Harness(build_service(settings_for(url, **settings), feed), url) as harness:
        harness.clock.move(AN_INSTANT - harness.clock.now() + timedelta(hours=1))
        yield Reconciliation(harness, feed)
