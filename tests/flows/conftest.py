"""One platform of real processes for all flows of the session."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from caas_local.demo.actors import Actors
from caas_local.demo.databases import Databases
from caas_local.layout import Layout
from caas_local.platform import Platform
from tests.flows.market import Market


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    running = Platform(Layout.of(tmp_path_factory.mktemp("flows"), fixed_ports=False), print, temporary=True)
    try:
        asyncio.run(running.start())
        yield running
    finally:
        asyncio.run(running.stop())


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30.0) as opened:
        yield opened


@pytest.fixture
async def market(platform: Platform, client: httpx.AsyncClient) -> AsyncIterator[Market]:
    databases = await Databases.open(platform.database_urls)
    try:
        yield Market(platform, Actors(platform.layout, client), databases)
    finally:
        await databases.close()
