"""One process of vehicles that most tests share, and processes of their own for kills and clock moves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Ota, StartPartner, Vehicles


@pytest.fixture(scope="session")
def vehicles(start_partner: StartPartner, tmp_path_factory: pytest.TempPathFactory) -> Vehicles:
    return Vehicles(start_partner, tmp_path_factory.mktemp("vehicles"))


@pytest.fixture(scope="session")
def ota(vehicles: Vehicles) -> Iterator[Ota]:
    ota = Ota(vehicles.mqtt_port)
    yield ota
    ota.disconnect()


@pytest.fixture
def own_vehicles(start_partner: StartPartner, tmp_path: Path) -> Iterator[Vehicles]:
    vehicles = Vehicles(start_partner, tmp_path)
    yield vehicles
    vehicles.kill()


@pytest.fixture
def guests(vehicles: Vehicles, start_partner: StartPartner, tmp_path: Path) -> Iterator[Vehicles]:
    """Vehicles of another process, on the broker of the shared one: it plays the outside broker."""
    guests = Vehicles(
        start_partner, tmp_path, "--no-broker", "--client-id", tmp_path.name, mqtt_port=vehicles.mqtt_port
    )
    yield guests
    guests.kill()


@pytest.fixture
def own_ota(own_vehicles: Vehicles) -> Iterator[Ota]:
    ota = Ota(own_vehicles.mqtt_port)
    yield ota
    ota.disconnect()
