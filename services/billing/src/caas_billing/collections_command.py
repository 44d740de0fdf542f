"""`caas billing collections`: the file that collections is given, written to the standard output (SUB-6)."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Annotated, Final

import asyncpg
import cyclopts
from rich.console import Console

from caas_billing.handlers.exporting import collections_file
from caas_billing.store.owed import CollectionFilter
from caas_chassis.database import TRANSIENT
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.settings import ServiceSettings

COULD_NOT: Final = 2
_NOT_READ: Final = (*TRANSIENT, asyncpg.PostgresError, asyncpg.InterfaceError)


def collections(
    *,
    database_url: Annotated[str, cyclopts.Parameter(env_var="CAAS_BILLING_DATABASE_URL")],
    since: datetime | None = None,
    open_only: bool = False,
) -> None:
    """Write the unpaid invoices that were given to collections as CSV, the oldest first.

    Parameters
    ----------
    database_url
        The database of billing; reading is enough.
    since
        Only those opened or settled since this instant, 2026-11-01 or 2026-11-01T10:00:00+01:00; UTC without an offset.
    open_only
        Leave out what was paid after all.
    """
    at = since if since is None or since.tzinfo else since.replace(tzinfo=UTC)
    try:
        asyncio.run(_write(database_url, CollectionFilter(since=at, with_settled=not open_only)))
    except _NOT_READ as error:
        said = f"collections could not be read: {type(error).__name__}: {error}"
        Console(stderr=True, soft_wrap=True).print(said, style="red", markup=False)
        sys.exit(COULD_NOT)


async def _write(url: str, wanted: CollectionFilter) -> None:
    service = Service(name="billing", migrations="caas_billing.migrations", handlers={})
    runtime = Runtime(service, ServiceSettings(database_url=url, database_pool_size=2))
    try:
        async for part in collections_file(runtime.reading, wanted):
            sys.stdout.write(part)
    finally:
        await runtime.database.close()
