"""The database keeps the invariants by itself, and every statement of the store fits it."""

import asyncio
from collections.abc import Iterator, Sequence
from types import ModuleType
from uuid import uuid4

import asyncpg
import pytest

from caas_chassis.cause import Cause
from caas_chassis.handling import Received
from caas_chassis.testing.plugin import MakeDatabase
from caas_chassis.transaction import Tx
from caas_reconciliation.domain.accounts import CHART_OF_ACCOUNTS
from caas_reconciliation.handlers.facts import post_captures, post_failed_settlements
from caas_reconciliation.store import cases, expectations, facts, ledger, reports, runs, settlements
from services.reconciliation.tests.builders import AN_INSTANT, a_capture, a_failed_settlement, a_line
from services.reconciliation.tests.running import Reconciliation, migrate

STORE = (cases, expectations, facts, ledger, reports, runs, settlements)

ENTRY = """
INSERT INTO journal_entry (source_kind, source_id, occurred_at, message_id, posted_at)
VALUES ('cheat', $1, now(), 'm', now()) RETURNING entry_id
"""
LINE = "INSERT INTO journal_line (entry_id, line_number, account, amount_minor, currency) VALUES ($1, $2, $3, $4, $5)"


def statements(module: ModuleType) -> Iterator[str]:
    return (value for name, value in vars(module).items() if name.isupper() and isinstance(value, str) and " " in value)


async def post_by_hand(service: Reconciliation, sides: Sequence[tuple[str, int, str]]) -> None:
    """An entry past all our code, one statement a line."""
    async with service.harness.transaction() as tx:
        entry_id = await tx.fetchval(ENTRY, "1")
        for number, side in enumerate(sides, start=1):
            await tx.execute(LINE, entry_id, number, *side)


@pytest.fixture
async def booked(service: Reconciliation) -> Reconciliation:
    """Two captures, one of them settled, and a line of nobody."""
    settled = a_capture()
    await service.harness.receive(settled, a_capture())
    await service.reconcile(a_line(settled.payment_id), a_line(uuid4()))
    return service


async def test_every_statement_of_the_store_fits_the_schema(make_database: MakeDatabase) -> None:
    connection = await asyncpg.connect(await make_database("reconciliation", migrate), timeout=20)
    try:
        prepared = [await connection.prepare(sql) for module in STORE for sql in statements(module)]
    finally:
        await connection.close(timeout=20)
    assert len(prepared) >= 45


async def test_the_accounts_of_the_code_are_those_of_the_database(service: Reconciliation) -> None:
    async with service.reading() as tx:
        rows = await tx.fetch("SELECT code, kind FROM account")
    assert {(row["code"], row["kind"]) for row in rows} == {
        (one.account.value, one.kind.value) for one in CHART_OF_ACCOUNTS
    }


@pytest.mark.parametrize(
    "sides",
    [
        [("revenue", -100, "EUR")],
        [("revenue", -100, "EUR"), ("receivable", 99, "EUR")],
        [("revenue", -100, "EUR"), ("receivable", 100, "USD")],
        [],
    ],
)
async def test_an_entry_that_does_not_balance_is_refused_at_commit(
    service: Reconciliation, sides: list[tuple[str, int, str]]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="does not balance"):
        await post_by_hand(service, sides)


async def test_a_line_added_to_a_posted_entry_is_refused(booked: Reconciliation) -> None:
    async with booked.reading() as tx:
        entry_id = await tx.fetchval("SELECT min(entry_id) FROM journal_entry")
    with pytest.raises(asyncpg.CheckViolationError, match="does not balance"):
        async with booked.harness.transaction() as tx:
            await tx.execute(LINE, entry_id, 9, "bank", 1, "EUR")


async def test_a_balanced_entry_over_several_statements_is_accepted(service: Reconciliation) -> None:
    await post_by_hand(service, [("revenue", -100, "EUR"), ("receivable", 100, "EUR")])
    assert await service.balances() == {"revenue": -100, "receivable": 100}


APPEND_ONLY = ("fact", "journal_entry", "journal_line", "settlement_line", "match", "case_history")
CHANGES = ("UPDATE {table} SET {column} = {column}", "DELETE FROM {table}", "TRUNCATE {table} CASCADE")


async def test_what_was_recorded_cannot_be_changed_or_removed(booked: Reconciliation) -> None:
    for table in APPEND_ONLY:
        async with booked.reading() as tx:
            assert int(str(await tx.fetchval(f"SELECT count(*) FROM {table}"))) > 0
            column = await tx.fetchval(
                "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum = 2", table
            )
        for change in CHANGES:
            with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="append-only"):
                async with booked.harness.owner() as owner:
                    await owner.execute(change.format(table=table, column=column))
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with booked.harness.transaction() as tx:
                    await tx.execute(change.format(table=table, column=column))


async def test_only_one_run_can_be_running(service: Reconciliation) -> None:
    insert = """
        INSERT INTO run (run_id, trigger, requested_by, status, started_at)
        SELECT gen_random_uuid(), 'demand', 'operator:test', 'running', now() FROM generate_series(1, 2)
    """
    with pytest.raises(asyncpg.UniqueViolationError):
        async with service.harness.transaction() as tx:
            await tx.execute(insert)


async def test_every_table_and_view_says_what_it_is_for(service: Reconciliation) -> None:
    async with service.reading() as tx:
        silent = await tx.fetch(
            """
            SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
                AND obj_description(oid) IS NULL
            """
        )
    assert silent == []


@pytest.mark.parametrize("size", [1, 200])
async def test_a_batch_takes_the_same_number_of_statements_whatever_its_size(
    make_database: MakeDatabase, size: int
) -> None:
    connection = await asyncpg.connect(await make_database("reconciliation", migrate), timeout=20)
    cause = Cause.of_person("operator:test")
    known = {sql for module in STORE for sql in statements(module)}
    asked: list[str] = []
    try:
        async with connection.transaction():
            tx = Tx(connection, service="reconciliation", now=AN_INSTANT, cause=cause)
            with connection.query_logger(lambda query: asked.append(query.query)):
                await post_captures([Received(a_capture(), cause) for _ in range(size)], tx=tx)
                await post_failed_settlements(
                    [Received(a_failed_settlement(uuid4()), cause) for _ in range(size)], tx=tx
                )
                await asyncio.sleep(0.05)  # The logger is called by the event loop, a moment later.
    finally:
        await connection.close(timeout=20)
    assert [sql for sql in asked if sql in known] == [
        facts.RECORD_FACTS,
        ledger.POST_ENTRIES,
        expectations.INSERT_EXPECTATIONS,
        facts.LOCK_PAYMENTS,
        facts.RECORD_FACTS,
        ledger.POST_ENTRIES,
        facts.SELECT_UNPAID_SALES,
    ]
