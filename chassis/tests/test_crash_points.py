"""The process is killed at every named point, and goes on from there: nothing lost, nothing twice."""

import ast
import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from caas_chassis.crash_catalogue import called, chassis_trees, crash_points
from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts.topics import OTA_COMMANDS
from chassis.tests.processes import ToyProcess, a_toy_process
from chassis.tests.running import eventually, eventually_equal, migrate, query, send_record, value
from chassis.tests.toy_service import a_service, an_activation

POINTS = crash_points(a_service())


def test_every_crash_point_in_the_code_is_in_the_list() -> None:
    calls = [node for tree in chassis_trees() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    literals = {
        str(call.args[0].value)
        for call in calls
        if called(call) == "crash_point" and isinstance(call.args[0], ast.Constant)
    }
    assert len(literals) >= 10
    assert literals == {point.partition(":")[0] for point in POINTS} & literals


def test_every_named_transaction_has_its_points() -> None:
    for name in ("handle", "effect", "timer", "park", "parked", "gaps", "postpone", "logwatch", "housekeeping", "http"):
        assert [point for point in POINTS if point.startswith(f"{name}.before_commit")], name
        assert [point for point in POINTS if point.startswith(f"{name}.after_commit")], name


def test_the_list_names_the_parts_of_the_service() -> None:
    assert {"handle.after_commit:ActivateService", "effect.after_call:tell", "timer.before_commit:expire"} <= set(
        POINTS
    )


async def send(toy: ToyProcess, vehicle: str) -> None:
    headers = [("ce_id", str(new_id()).encode()), ("ce_source", b"test"), ("ce_type", b"caas.ota.ActivateService.v1")]
    await send_record(toy.bootstrap, OTA_COMMANDS.name, an_activation(vehicle).to_json(), headers)


async def seed(toy: ToyProcess, vehicle: str) -> None:
    """Work that is already in the database: a task, a timer that is due, rows to send."""
    async with Harness(a_service(), toy.database_url) as harness:
        await harness.receive(an_activation(vehicle, not_after=datetime.now(UTC) - timedelta(hours=1)), source=vehicle)


async def break_a_task(toy: ToyProcess) -> None:
    await seed(toy, "V-broken")
    await query(toy.database_url, "UPDATE chassis.task SET payload = 'x' WHERE key = 'V-broken'")


async def touch(toy: ToyProcess) -> None:
    """A request whose answer is lost with the process."""
    async with httpx.AsyncClient(timeout=10) as client:
        while toy.process is not None and toy.process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                await client.post(f"http://127.0.0.1:{toy.http_port}/touch")
            await asyncio.sleep(0.2)


async def provoke(toy: ToyProcess, point: str, number: int) -> None:
    """Give the process the work in which it comes to this point."""
    match point.partition(".")[0]:
        case "handle" | "offset":
            await send(toy, f"V-{number}")
        case "park":
            await send(toy, f"poison-{number}")
        case "parked":
            await seed(toy, f"poison-{number}")
        case "postpone":
            await break_a_task(toy)
        case "effect" | "timer" | "relay":
            await seed(toy, f"V-{number}")
        case _:
            return  # It comes there by itself.


async def die_at(toy: ToyProcess, point: str, number: int) -> None:
    toy.arm(point)
    await provoke(toy, point, number)
    toy.start()
    if point.startswith("http."):
        await touch(toy)

    async def died() -> bool:
        return toy.has_died_at(point)

    try:
        await eventually(died, within_s=45)
    except AssertionError:
        raise AssertionError(f"it never came to {point}: {toy.log()[-1500:]}") from None


@pytest.mark.timeout(600)
async def test_killed_at_every_point_it_goes_on(make_database: MakeDatabase, broker: str, tmp_path: Path) -> None:
    url = await make_database("toy", migrate)
    with a_toy_process(tmp_path, url, broker) as toy:
        for number, point in enumerate(POINTS):
            await die_at(toy, point, number)
        toy.start()
        await eventually_equal(0, url, "SELECT count(*) FROM chassis.task WHERE key <> 'V-broken'", within_s=60)
        await eventually_equal(0, url, "SELECT count(*) FROM chassis.timer WHERE due_at < now()")
        given = [
            n for n, point in enumerate(POINTS) if point.startswith(("handle", "offset", "effect", "timer", "relay"))
        ]
        sent = "SELECT array_agg(vehicle_id ORDER BY vehicle_id) FROM applied WHERE vehicle_id <> 'V-broken'"
        await eventually_equal(sorted(f"V-{n}" for n in given), url, sent, within_s=60)
        await eventually_equal(True, url, "SELECT count(DISTINCT activation_id) = count(*) FROM applied")
        assert await value(url, "SELECT max(told) FROM applied") == 1
        poisoned = "SELECT count(*) FROM chassis.parked WHERE type LIKE '%ActivateService%'"
        await eventually_equal(4, url, poisoned, within_s=60)
        assert toy.terminate()
    told = toy.partner_book.read_text().split()
    assert set(told) == {str(row[0]) for row in await query(url, "SELECT activation_id FROM applied WHERE told = 1")}
