"""A migrated database and the service on it, for each test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from caas_chassis.testing.plugin import MakeDatabase
from services.ota.tests.builders import Ota, an_ota, migrate
from services.ota.tests.sandbox import HASTY, Road, VehiclesProcess, a_road


@pytest.fixture
async def ota(make_database: MakeDatabase) -> AsyncIterator[Ota]:
    service = an_ota(await make_database("ota", migrate))
    async with service.harness:
        yield service


@pytest.fixture(scope="session")
def vehicles_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VehiclesProcess]:
    """One process of sandbox vehicles for all tests; each test makes vehicles of its own."""
    vehicles = VehiclesProcess(tmp_path_factory.mktemp("vehicles"))
    vehicles.start()
    yield vehicles
    vehicles.kill()


@pytest.fixture
async def hasty_road(make_database: MakeDatabase, vehicles_process: VehiclesProcess) -> AsyncIterator[Road]:
    """As `road`, with a service that soon gives up waiting."""
    connected = a_road(await make_database("ota", migrate), vehicles_process, HASTY)
    async with connected.harness:
        await connected.link.start()
        yield connected
        await connected.link.stop()


@pytest.fixture
async def road(make_database: MakeDatabase, vehicles_process: VehiclesProcess) -> AsyncIterator[Road]:
    """The service connected to the sandbox's vehicles."""
    connected = a_road(await make_database("ota", migrate), vehicles_process)
    async with connected.harness:
        await connected.link.start()
        yield connected
        await connected.link.stop()
