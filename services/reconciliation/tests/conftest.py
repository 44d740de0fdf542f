"""Fixtures of reconciliation's tests."""

from collections.abc import AsyncIterator

import pytest

from caas_chassis.testing.plugin import MakeDatabase
from services.reconciliation.tests.running import Reconciliation, a_reconciliation


@pytest.fixture
async def service(make_database: MakeDatabase) -> AsyncIterator[Reconciliation]:
    """Reconciliation on a fresh database, reading its feed three lines at a time."""
    async with a_reconciliation(make_database, page_size=3) as reconciliation:
        yield reconciliation
