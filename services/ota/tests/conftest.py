"""A migrated database and the service on it, for each test."""

from collections.abc import AsyncIterator

import pytest
from caas_chassis.testing.plugin import MakeDatabase

from services.ota.tests.builders import Ota, an_ota, migrate


@pytest.fixture
async def ota(make_database: MakeDatabase) -> AsyncIterator[Ota]:
    service = an_ota(await make_database("ota", migrate))
    async with service.harness:
        yield service
