"""A service under test on a fresh database, with partners played in process."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from caas_chassis.logs import configure_logging
from caas_chassis.migrate import apply_migrations
from caas_chassis.runtime import CHASSIS_MIGRATIONS
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_orders.app import orders_service
from services.orders.tests.builders import PlayedMailer, PlayedMaintenance


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


@pytest.fixture
async def database_url(make_database: MakeDatabase) -> str:
    return await make_database("orders", migrate)


@pytest.fixture
def maintenance() -> PlayedMaintenance:
    return PlayedMaintenance()


@pytest.fixture
def mailer() -> PlayedMailer:
    return PlayedMailer()


@pytest.fixture
async def harness(database_url: str, maintenance: PlayedMaintenance, mailer: PlayedMailer) -> AsyncIterator[Harness]:
    async with Harness(orders_service(maintenance, mailer), database_url) as harness:
        yield harness
