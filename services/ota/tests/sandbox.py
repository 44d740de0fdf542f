"""The real vehicles of the sandbox, in a process of their own behind a real MQTT broker."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from caas_chassis.clock import BusinessClock, write_offset
from caas_chassis.embedded.ports import free_port
from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.orders import VehicleRegistered
from caas_ota.app import LinkedVehicles, mqtt_link, service_of
from caas_ota.domain.policy import Policy, RetrySchedule
from caas_ota.gateway.link import BrokerAddress
from caas_ota.gateway.vehicles import Link

# The vehicles answer within milliseconds; a machine at its limit takes longer, which is no silence.
PATIENT = Policy(retries=RetrySchedule((timedelta(seconds=1),) * 5))
HASTY = Policy(retries=RetrySchedule((timedelta(seconds=0.3),) * 3))
"""For vehicles whose silence is the subject."""
START_DEADLINE_S = 30.0


@dataclass
class VehiclesProcess:
    """`python -m caas_sandbox.vehicles` and its control port."""

    folder: Path
    port: int = field(default_factory=free_port)
    mqtt_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def clock_file(self) -> Path:
        return self.folder / "clock.json"

    def start(self) -> None:
        arguments = ["--port", str(self.port), "--mqtt-port", str(self.mqtt_port)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "caas_sandbox.vehicles", *arguments, "--state-dir", str(self.folder)],
            env={**os.environ, "CAAS_CLOCK_FILE": str(self.clock_file)},
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_DEADLINE_S
        while not self._answers():
            assert time.monotonic() < deadline, "the sandbox vehicles did not start"
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=10)
            self.process = None

    def make(self, behaviour: str, vehicle_id: str = "", delay_ms: int = 0) -> VehicleRegistered:
        """A vehicle that behaves so, as orders would announce it."""
        body = {
            "vehicle_id": vehicle_id or f"{behaviour.replace('_', '-')}-{new_id()}",
            "behaviour": behaviour,
            "delay_ms": delay_ms,
        }
        answer = httpx.post(f"{self._url}/vehicles", json=body, timeout=10.0).raise_for_status().json()
        return VehicleRegistered(
            vehicle_id=answer["vehicle_id"],
            customer_id="customer-1",
            model="roadster",
            equipment=[],
            public_key=answer["public_key"],
            occurred_at=datetime.now(UTC),
        )

    def books_of(self, vehicle_id: str) -> dict[str, Any]:
        answer = httpx.get(f"{self._url}/vehicles/{vehicle_id}", timeout=10.0).raise_for_status()
        books: dict[str, Any] = answer.json()
        return books

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self._url}/health", timeout=2.0).is_success
        except httpx.HTTPError:
            return False


@dataclass
class Road:
    """The service, the vehicles, the broker between them, and one business clock for all."""

    harness: Harness
    link: Link
    vehicles: VehiclesProcess
    _offset: timedelta = timedelta(0)

    @property
    def now(self) -> datetime:
        return self.harness.clock.now()

    async def move_clock(self, by: timedelta) -> None:
        self._offset += by
        write_offset(self.vehicles.clock_file, self._offset)
        await self.harness.move_clock(by)

    async def until[T](self, check: Callable[[], Awaitable[T]], *, timeout_s: float = 15.0) -> T:
        """Run the service until the check gives something that is true."""
        deadline = time.monotonic() + timeout_s
        while True:
            await self.harness.run_effects()
            if found := await check():
                return found
            assert time.monotonic() < deadline, "it did not happen in time"
            await asyncio.sleep(0.02)

    async def run_for(self, seconds: float) -> None:
        """Give the service and the vehicles real time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            await self.harness.run_effects()
            await asyncio.sleep(0.02)


def a_road(database_url: str, vehicles: VehiclesProcess, policy: Policy = PATIENT) -> Road:
    write_offset(vehicles.clock_file, timedelta(0))
    address = BrokerAddress("127.0.0.1", vehicles.mqtt_port, client_id=f"ota-{new_id()}")
    linked = LinkedVehicles(mqtt_link(address), policy, BusinessClock(vehicles.clock_file).now)
    harness = Harness(service_of(linked, policy, [linked]), database_url)
    return Road(harness, linked.link, vehicles)
