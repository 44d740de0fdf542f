"""A service under test on an empty database, with partners played in process."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from caas_chassis.logs import configure_logging
from caas_chassis.migrate import apply_migrations
from caas_chassis.runtime import CHASSIS_MIGRATIONS
from caas_chassis.testing.databases import DatabaseTemplates
from caas_chassis.testing.harness import Harness
from caas_orders.app import orders_service
from services.orders.tests.builders import PlayedMailer, PlayedMaintenance
from services.orders.tests.order_builders import PlayedSuppliers


@pytest.fixture(autouse=True, scope="session")
def logging() -> None:
    """Errors as the service writes them: structlog's own default draws tracebacks, seconds for each."""
    configure_logging("orders", "ERROR")


async def migrate(url: str) -> None:
    """Bring an empty database to the current schema."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await apply_migrations(connection, [CHASSIS_MIGRATIONS, "caas_orders.migrations"])
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class SharedDatabase:
    """One migrated database, and the tables that the migrations left empty."""

    url: str
    tables: tuple[str, ...]


@pytest.fixture(scope="session")
def shared_database(database_templates: DatabaseTemplates) -> SharedDatabase:
    """Cleaning one database between tests takes a tenth of the time of copying a template for each."""
    url = asyncio.run(database_templates.clone("orders", migrate))
    return SharedDatabase(url, asyncio.run(_empty_tables(url)))


@pytest.fixture
async def database_url(shared_database: SharedDatabase) -> str:
    """A migrated database with nothing in it but what the migrations put there."""
    connection = await asyncpg.connect(shared_database.url, timeout=10)
    try:
        # Without the triggers of foreign keys the order of the tables does not matter.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("".join(f"DELETE FROM {table};" for table in shared_database.tables))
    finally:
        await connection.close()
    return shared_database.url


async def _empty_tables(url: str) -> tuple[str, ...]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        rows = await connection.fetch(
            "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace IN ('public'::regnamespace, 'chassis'::regnamespace)"
        )
        tables = [row["name"] for row in rows]
        return tuple([t for t in tables if not await connection.fetchval(f"SELECT EXISTS (TABLE {t})")])
    finally:
        await connection.close()


@pytest.fixture
def maintenance() -> PlayedMaintenance:
    return PlayedMaintenance()


@pytest.fixture
def mailer() -> PlayedMailer:
    return PlayedMailer()


@pytest.fixture
def suppliers() -> PlayedSuppliers:
    return PlayedSuppliers()


@pytest.fixture
async def harness(
    database_url: str, maintenance: PlayedMaintenance, mailer: PlayedMailer, suppliers: PlayedSuppliers
) -> AsyncIterator[Harness]:
    service = orders_service(maintenance, mailer, suppliers=suppliers.suppliers)
    async with Harness(service, database_url) as harness:
        yield harness
