"""The five services running as processes on the bench's servers, and vehicles to sell services for.

Invariant: every purchase that is asked for names a vehicle and a customer of its own, so that none of them
waits for, or is limited by, another.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import httpx

from bench.machine import Machine
from bench.processes import Child, child
from bench.serving.vehicle_key import vehicle_public_key
from caas_chassis.cause import Cause, new_traceparent
from caas_chassis.clock import BusinessClock
from caas_chassis.embedded.ports import free_port
from caas_chassis.ids import new_id
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.settings import ServiceSettings
from caas_chassis.topicadmin import all_topics, create_topics
from caas_contracts import Envelope
from caas_contracts.envelope import rfc3339
from caas_contracts.orders import PlacePurchase, PurchaseKind
from caas_orders.domain.registration import Customer, Language, Vehicle
from caas_orders.store import registrations

SERVICES: Final = ("payments", "orders", "ota", "billing", "reconciliation")
READY_DEADLINE_S: Final = 90.0
REGISTERED_DEADLINE_S: Final = 60.0
REGISTERED_TOGETHER: Final = 250
LOOK_EVERY_S: Final = 0.05
SERVICE_CODE: Final = "seat-heating"
"""A service of the catalogue that needs no maintenance check: five services, no partner but gateway and car."""

COUNT_VEHICLES: Final = "SELECT count(*) FROM vehicle WHERE public_key IS NOT NULL"


@dataclass(slots=True)
class Platform:
    """The running services. `urls` are their databases and `ports` where they speak HTTP, by service."""

    bootstrap_servers: str
    urls: Mapping[str, str]
    ports: Mapping[str, int]
    children: Mapping[str, Child]
    _registered: int = field(default=0)

    def check(self) -> None:
        """Raises ProcessEnded when a service is not running any more."""
        for one in self.children.values():
            one.check()

    async def register(self, number: int) -> list[PlacePurchase]:
        """Register so many new customers, each with a car; returns a purchase for each car, not yet placed."""
        now = BusinessClock().now()
        first, self._registered = self._registered, self._registered + number
        orders = Runtime(
            Service("orders", "caas_orders.migrations", {}), ServiceSettings(database_url=self.urls["orders"])
        )
        try:
            for start in range(first, self._registered, REGISTERED_TOGETHER):
                await _register(orders, range(start, min(start + REGISTERED_TOGETHER, self._registered)))
        finally:
            await orders.database.close()
        await self.wait_until("ota", COUNT_VEHICLES, self._registered, REGISTERED_DEADLINE_S)
        return [
            PlacePurchase(
                purchase_id=new_id(),
                customer_id=f"C-{car}",
                vehicle_id=f"V-{car}",
                service_code=SERVICE_CODE,
                kind=PurchaseKind.PERMANENT,
                payment_method="tok_approved",
                immediate_performance_consent=True,
                requested_at=now,
            )
            for car in range(first, self._registered)
        ]

    async def wait_until(self, service: str, count: str, expected: int, deadline_s: float) -> None:
        """Wait until a counting query on a service's database gives at least `expected`.

        Raises TimeoutError with how far it came, ProcessEnded when a service has died.
        """
        connection = await asyncpg.connect(self.urls[service], timeout=deadline_s, command_timeout=deadline_s)
        deadline = asyncio.get_running_loop().time() + deadline_s
        try:
            while (found := await connection.fetchval(count)) < expected:
                self.check()
                if asyncio.get_running_loop().time() > deadline:
                    raise TimeoutError(f"{service}: {found} of {expected} after {deadline_s} s: {count}")
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await connection.close(timeout=deadline_s)


def placing_record(command: PlacePurchase) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, body and headers of a purchase, as a system that sells for us sends it."""
    name = str(new_id())
    at = rfc3339(command.requested_at)
    envelope = Envelope(name, "partners", command.TYPE, at, command.key, name, name, None, new_traceparent())
    return command.key.encode(), command.to_json(), envelope.to_headers()


@asynccontextmanager
async def running_platform(machine: Machine, settings: Mapping[str, str] | None = None) -> AsyncIterator[Platform]:
    """Start all five on empty databases; they are ready when the block begins and gone when it ends.

    `settings` are variables of the environment beside those that every measure needs.
    """
    async with AsyncExitStack() as stack:
        await create_topics(machine.bootstrap_servers, all_topics())
        stack.push_async_callback(machine.delete_topics, [topic.name for topic in all_topics()])
        urls = {name: await stack.enter_async_context(machine.database(name)) for name in SERVICES}
        ports = {name: free_port() for name in SERVICES}
        children = {
            name: await stack.enter_async_context(
                child(
                    name,
                    ["-m", f"bench.serving.{name}"],
                    {**environment_of(machine, name, urls[name], ports[name]), **(settings or {})},
                )
            )
            for name in SERVICES
        }
        platform = Platform(machine.bootstrap_servers, urls, ports, children)
        await _wait_until_ready(platform, list(ports.values()))
        yield platform


def environment_of(machine: Machine, name: str, url: str, port: int) -> dict[str, str]:
    """What a service's process needs to know."""
    prefix = f"CAAS_{name.upper()}_"
    nobody = "http://127.0.0.1:9"
    return {
        f"{prefix}DATABASE_URL": url,
        f"{prefix}HTTP_PORT": str(port),
        f"{prefix}VSS_URL": nobody,
        f"{prefix}VSS_API_KEY": "unused",
        f"{prefix}GATEWAY_URL": nobody,
        f"{prefix}GATEWAY_API_KEY": "unused",
        "KAFKA_BOOTSTRAP_SERVERS": machine.bootstrap_servers,
        "CAAS_MIGRATE_ON_START": "true",
        "CAAS_JWKS_URL": f"{nobody}/jwks",
        "CAAS_JWT_ISSUER": nobody,
        "CAAS_LOG_LEVEL": "WARNING",
    }


async def _wait_until_ready(platform: Platform, ports: Sequence[int]) -> None:
    async with asyncio.timeout(READY_DEADLINE_S), httpx.AsyncClient(timeout=5.0) as client:
        for port in ports:
            while not await _is_ready(client, port):
                platform.check()
                await asyncio.sleep(LOOK_EVERY_S)


async def _is_ready(client: httpx.AsyncClient, port: int) -> bool:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/health/ready")).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


async def _register(orders: Runtime, cars: range) -> None:
    async with orders.transaction(Cause.of_person("operator:bench")) as tx:
        for car in cars:
            customer = Customer(f"C-{car}", f"Customer {car}", f"c{car}@customers.example", Language.SPANISH)
            await registrations.put_customer(customer, tx=tx)
            equipment = frozenset({SERVICE_CODE})
            vehicle = Vehicle(f"V-{car}", customer.customer_id, "caas-one", equipment, vehicle_public_key())
            await registrations.put_vehicle(vehicle, tx=tx)
            tx.publish(vehicle.registered(tx.now))
