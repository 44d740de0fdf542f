"""Every statement of the store fits the migrated schema, and batches cost a constant number of them."""

from collections.abc import Awaitable, Callable
from functools import partial
from types import ModuleType

import asyncpg
from asyncpg.connection import LoggedQuery

from caas_chassis.cause import Cause
from caas_chassis.handling import Received
from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts.ota import ServiceActivated
from caas_ota.handlers import take_in
from caas_ota.handlers.requests import request_activations
from caas_ota.store import answers, fleet, views
from services.ota.tests.builders import Ota, SigningVehicle, an_activation, migrate


def statements_of(module: ModuleType) -> list[tuple[str, str]]:
    return [(name, text) for name, text in vars(module).items() if name.isupper() and isinstance(text, str)]


async def test_every_statement_can_be_prepared(make_database: MakeDatabase) -> None:
    connection = await asyncpg.connect(await make_database("ota", migrate), timeout=10)
    try:
        for module in (fleet, views, answers):
            for name, text in statements_of(module):
                prepared = await connection.prepare(text)
                assert prepared.get_query() == text, name
    finally:
        await connection.close(timeout=10)


async def test_requests_cost_the_same_number_of_statements_for_any_number_of_vehicles(ota: Ota) -> None:
    counts = []
    for size in (5, 40):
        vehicles = await registered(ota, size)
        received = [
            Received(an_activation(vehicle.vehicle_id, ota.now), Cause.of_person("orders")) for vehicle in vehicles
        ]
        counts.append(await counted(ota, partial(request_activations, received, policy=ota.policy)))
    assert counts[0] == counts[1]


async def test_answers_cost_the_same_number_of_statements_for_any_number_of_vehicles(ota: Ota) -> None:
    counts = []
    for size in (5, 40):
        vehicles = await registered(ota, size)
        ota.vehicles.commands.clear()
        await ota.harness.receive(*(an_activation(vehicle.vehicle_id, ota.now) for vehicle in vehicles))
        await ota.harness.run_effects()
        commands = {command.vehicle_id: command for command in ota.vehicles.commands}
        said = [
            vehicle.says(vehicle.answer(commands[vehicle.vehicle_id], "applied", applied_at=ota.now))
            for vehicle in vehicles
        ]
        counts.append(await counted(ota, partial(take_in, said, policy=ota.policy)))
    assert counts[0] == counts[1]
    assert len(await ota.harness.published(ServiceActivated)) == 45


async def registered(ota: Ota, size: int) -> list[SigningVehicle]:
    vehicles = [SigningVehicle() for _ in range(size)]
    await ota.harness.receive(*(vehicle.registered() for vehicle in vehicles))
    return vehicles


async def counted(ota: Ota, work: Callable[..., Awaitable[None]]) -> int:
    """How many statements the work takes in its transaction."""
    statements: list[str] = []
    async with ota.harness.transaction() as tx:
        connection = tx.connection

        def note(record: LoggedQuery) -> None:
            statements.append(record.query)

        connection.add_query_logger(note)
        await work(tx=tx)
        connection.remove_query_logger(note)
    return len(statements)
