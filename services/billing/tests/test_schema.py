"""The schema keeps the invariants by itself, and every statement of the store fits it."""

import asyncio
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import asyncpg
import pytest

from caas_billing import store
from caas_billing.handlers import bill_captures, bill_purchases
from caas_billing.store import invoices, numbers, sales
from caas_chassis.cause import Cause
from caas_chassis.handling import Received
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_chassis.transaction import Tx
from services.billing.tests.builders import AN_INSTANT, a_capture, a_purchase, a_refund, migrate

STORE = [import_module(f"{store.__name__}.{each.name}") for each in iter_modules(store.__path__)]


def statements(module: ModuleType) -> Iterator[str]:
    return (value for name, value in vars(module).items() if name.isupper() and isinstance(value, str))


@pytest.fixture
async def issued(billing: Harness) -> Harness:
    """Billing with an invoice, a credit note, and both PDFs."""
    purchase = a_purchase()
    await billing.receive(purchase, a_capture(purchase), a_refund(purchase, 500))
    await billing.run_effects()
    return billing


async def test_every_statement_of_the_store_fits_the_schema(make_database: MakeDatabase) -> None:
    connection = await asyncpg.connect(await make_database("billing", migrate), timeout=20)
    try:
        prepared = [await connection.prepare(sql) for module in STORE for sql in statements(module)]
    finally:
        await connection.close(timeout=20)
    assert len(prepared) > 40


async def test_issued_documents_cannot_be_changed_or_removed(issued: Harness) -> None:
    columns = {"invoice": "number", "invoice_line": "line", "credit_note": "number", "document": "pdf"}
    for table, column in {**columns, "refund": "reason"}.items():
        async with issued.transaction() as tx:
            assert await tx.fetchval(f"SELECT count(*) > 0 FROM {table}"), table
        for attempt in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table} CASCADE",
        ):
            with pytest.raises(asyncpg.RestrictViolationError, match="correct them with a credit note"):
                async with issued.owner() as owner:
                    await owner.execute(attempt)
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.RestrictViolationError)):
                async with issued.transaction() as tx:
                    await tx.execute(attempt)


async def test_a_series_never_goes_back(issued: Harness) -> None:
    for attempt in (
        "UPDATE series SET last_position = last_position - 1",
        "UPDATE series SET last_issued_at = last_issued_at - interval '1 day', last_position = last_position + 1",
        "DELETE FROM series",
        "TRUNCATE series CASCADE",
    ):
        with pytest.raises((asyncpg.RestrictViolationError, asyncpg.CheckViolationError)):
            async with issued.owner() as owner:
                await owner.execute(attempt)


async def test_amounts_that_do_not_add_up_are_refused_by_the_schema(issued: Harness) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="amounts_add_up"):
        async with issued.transaction() as tx:
            await tx.execute(
                """
                INSERT INTO credit_note SELECT gen_random_uuid(), series, year, 2, replace(number, '01', '02'),
                    invoice_id, refund_id, reason, currency, vat_rate_bp, base_minor + 1, vat_minor, total_minor,
                    issued_at FROM credit_note
                """
            )


async def test_credit_above_the_invoice_is_refused_by_the_schema(issued: Harness) -> None:
    refund = """
        INSERT INTO refund SELECT gen_random_uuid(), payment_id, 1600, 500, currency, reason, refunded_at FROM refund
    """
    credit_note = """
        INSERT INTO credit_note SELECT gen_random_uuid(), c.series, c.year, 2, replace(c.number, '01', '02'),
            c.invoice_id, r.refund_id, c.reason, c.currency, c.vat_rate_bp, 1600, 0, 1600, c.issued_at
        FROM credit_note c, refund r WHERE r.refunded_minor = 1600
    """
    async with issued.transaction() as tx:
        await tx.execute(refund)
    with pytest.raises(asyncpg.CheckViolationError, match="more than its total"):
        async with issued.transaction() as tx:
            await tx.execute(credit_note)


async def test_a_payment_cannot_be_invoiced_twice(issued: Harness) -> None:
    with pytest.raises(asyncpg.UniqueViolationError, match="invoice_payment_id_key"):
        async with issued.transaction() as tx:
            await tx.execute(
                """
                INSERT INTO invoice SELECT gen_random_uuid(), series, year, 2, replace(number, '01', '02'), kind,
                    payment_id, subject_id, customer_id, customer_name, customer_email, customer_tax_id, language,
                    currency, base_minor, vat_minor, total_minor, supplied_at, issued_at FROM invoice
                """
            )


async def test_refunds_above_the_capture_are_refused_by_the_schema(issued: Harness) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="refunds_within_capture"):
        async with issued.transaction() as tx:
            await tx.execute("UPDATE billable_purchase SET refunded_minor = captured_minor + 1")


async def test_every_table_says_what_it_is_for(issued: Harness) -> None:
    async with issued.transaction() as tx:
        silent = await tx.fetch(
            """
            SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
                AND obj_description(oid) IS NULL
            """
        )
    assert silent == []


@pytest.mark.parametrize("size", [1, 200])
async def test_a_batch_takes_the_same_number_of_statements_whatever_its_size(
    make_database: MakeDatabase, size: int
) -> None:
    connection = await asyncpg.connect(await make_database("billing", migrate), timeout=20)
    cause = Cause.of_person("operator:test")
    purchases = [a_purchase() for _ in range(size)]
    known = {sql for module in STORE for sql in statements(module)}
    asked: list[str] = []
    try:
        async with connection.transaction():
            tx = Tx(connection, service="billing", now=AN_INSTANT, cause=cause)
            with connection.query_logger(lambda query: asked.append(query.query)):
                await bill_purchases([Received(purchase, cause) for purchase in purchases], tx=tx)
                await bill_captures([Received(a_capture(purchase), cause) for purchase in purchases], tx=tx)
                await asyncio.sleep(0.05)  # The logger is called by the event loop, a moment later.
    finally:
        await connection.close(timeout=20)
    # The driver's own questions about types do not count.
    assert [sql for sql in asked if sql in known] == [
        sales.ADD_PURCHASES,
        sales.ADD_CAPTURES,
        numbers.TAKE_NUMBERS,
        invoices.INSERT_INVOICES,
        invoices.INSERT_LINES,
    ]
