"""The MQTT session: it comes back by itself, and confirms nothing that is not stored."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt
import pytest

from caas_chassis.ids import new_id
from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts.ota import ServiceActivated
from caas_ota.domain.command import CommandKind
from caas_ota.gateway.link import TRIES_OF_ONE, BrokerAddress, VehicleLink
from caas_ota.gateway.messages import Inbound, VehicleCommand
from caas_ota.gateway.vehicles import Receive
from services.ota.tests.builders import an_activation, migrate
from services.ota.tests.sandbox import Road, VehiclesProcess, a_road


@pytest.fixture
def own_vehicles(tmp_path: Path) -> Iterator[VehiclesProcess]:
    """A process that the test may kill."""
    vehicles = VehiclesProcess(tmp_path)
    vehicles.start()
    yield vehicles
    vehicles.kill()


@pytest.fixture
async def own_road(make_database: MakeDatabase, own_vehicles: VehiclesProcess) -> AsyncIterator[Road]:
    connected = a_road(await make_database("ota", migrate), own_vehicles)
    async with connected.harness:
        await connected.link.start()
        yield connected
        await connected.link.stop()


async def activated(road: Road, number: int) -> bool:
    return len(await road.harness.published(ServiceActivated)) == number


async def test_a_killed_broker_costs_nothing_but_time(own_road: Road) -> None:
    vehicle = own_road.vehicles.make("obey")
    await own_road.harness.receive(vehicle)
    await own_road.harness.receive(an_activation(vehicle.vehicle_id, own_road.now, service_code="first"))
    await own_road.until(lambda: activated(own_road, 1))
    own_road.vehicles.kill()
    await until(lambda: not own_road.link.healthy)
    await own_road.harness.receive(an_activation(vehicle.vehicle_id, own_road.now, service_code="second"))
    await own_road.run_for(0.5)
    assert await activated(own_road, 1)
    own_road.vehicles.start()
    await own_road.until(lambda: activated(own_road, 2), timeout_s=30.0)


async def test_the_service_starts_before_its_broker(make_database: MakeDatabase, tmp_path: Path) -> None:
    vehicles = VehiclesProcess(tmp_path)
    road = a_road(await make_database("ota", migrate), vehicles)
    async with road.harness:
        await road.link.start()
        await road.run_for(0.3)
        assert not road.link.healthy
        vehicles.start()
        await until(lambda: road.link.healthy)
        await road.link.stop()
    vehicles.kill()


async def test_what_was_not_stored_is_delivered_again_after_a_crash(vehicles_process: VehiclesProcess) -> None:
    client_id = f"ota-{new_id()}"
    died = asyncio.Event()

    async def dies(_: Sequence[Inbound]) -> None:
        died.set()
        await asyncio.sleep(60)

    first = link(vehicles_process, client_id, dies)
    await first.start()
    await until(lambda: first.healthy)
    topic = f"caas/vehicles/vehicle-{new_id()}/acknowledgements"
    await say(vehicles_process, topic, b"once")
    await asyncio.wait_for(died.wait(), 10)
    await first.stop()

    heard: list[Inbound] = []

    async def stores(batch: Sequence[Inbound]) -> None:
        heard.extend(batch)

    second = link(vehicles_process, client_id, stores)
    await second.start()
    await until(lambda: any(one.topic == topic for one in heard))
    await second.stop()


async def test_a_message_that_cannot_be_processed_is_set_aside_and_the_others_go_on(
    vehicles_process: VehiclesProcess,
) -> None:
    heard: list[bytes] = []
    aside: list[bytes] = []
    tries: list[bytes] = []

    async def receives(batch: Sequence[Inbound]) -> None:
        if any(one.payload == b"poison" for one in batch):
            tries.append(b"poison")
            raise ValueError("a defect")
        heard.extend(one.payload for one in batch)

    async def sets_aside(message: Inbound) -> None:
        aside.append(message.payload)

    one = VehicleLink(address(vehicles_process, f"ota-{new_id()}"), receives, sets_aside, now)
    await one.start()
    await until(lambda: one.healthy)
    topic = f"caas/vehicles/vehicle-{new_id()}/acknowledgements"
    for payload in (b"before", b"poison", b"after"):
        await say(vehicles_process, topic, payload)
    await until(lambda: b"after" in heard, timeout_s=30.0)
    await one.stop()
    assert aside == [b"poison"]
    assert heard.count(b"before") == 1
    assert len(tries) > TRIES_OF_ONE


async def test_a_command_that_nobody_takes_is_not_confirmed() -> None:
    nowhere = VehicleLink(BrokerAddress("127.0.0.1", 1, "nobody"), ignore, ignore_one, now)
    published = await nowhere.publish([a_command()])
    assert published.confirmed == frozenset()


def a_command() -> VehicleCommand:
    return VehicleCommand(
        command_id=new_id(),
        activation_id=new_id(),
        vehicle_id="vehicle",
        kind=CommandKind.ACTIVATE,
        service_code="s",
        configuration={},
        nonce="nonce-nonce",
        counter=1,
        not_after=None,
        issued_at="2026-01-01T00:00:00Z",
    )


def now() -> datetime:
    return datetime.now(UTC)


async def ignore(_: Sequence[Inbound]) -> None: ...


async def ignore_one(_: Inbound) -> None: ...


def address(vehicles: VehiclesProcess, client_id: str) -> BrokerAddress:
    return BrokerAddress("127.0.0.1", vehicles.mqtt_port, client_id)


def link(vehicles: VehiclesProcess, client_id: str, receive: Receive) -> VehicleLink:
    return VehicleLink(address(vehicles, client_id), receive, ignore_one, now)


async def say(vehicles: VehiclesProcess, topic: str, payload: bytes) -> None:
    async with aiomqtt.Client("127.0.0.1", vehicles.mqtt_port) as client:
        await client.publish(topic, payload, qos=1)


async def until(check: Callable[[], bool], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
