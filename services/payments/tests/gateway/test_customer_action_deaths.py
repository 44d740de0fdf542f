"""A payments process that dies while payments wait for their customers (PAY-9), and goes on where it was.

Two customers approve and two never answer, of whom one would have been charged and one had an amount held.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from caas_chassis.testing.databases import DatabaseTemplates
from caas_chassis.topicadmin import all_topics, create_topics
from caas_payments.domain.authorization import Beginning
from services.payments.tests.builders import a_charge, an_authorization
from services.payments.tests.conftest import migrate
from services.payments.tests.gateway.matrix_world import DEADLINE_S, Addresses, World
from services.payments.tests.sandbox_gateway import SandboxGateway, running_sandbox
from services.payments.tests.test_process import free_port
from services.payments.tests.web import SECRET

DIES_ASKING: Final = ("effect.before_call:gateway", "effect.after_call:gateway", "effect.after_commit:gateway")
DIES_EXPIRING: Final = (
    "timer.before_commit:action-deadline",
    "timer.after_commit:action-deadline",
    "effect.before_call:gateway",
    "effect.after_call:gateway",
    "effect.after_commit:gateway",
)
TIME_IS_OVER: Final = """
WITH late AS (
    UPDATE customer_actions SET asked_at = asked_at - interval '4 days', expires_at = expires_at - interval '4 days'
    RETURNING payment_id)
UPDATE chassis.timer SET due_at = due_at - interval '4 days' WHERE timer = 'action-deadline'
"""


async def start(world: World) -> None:
    await world.start(BELIEVE_ABSENCE_AFTER_S="11", ACTION_POLL_S="1", PENDING_POLL_S="0.5")


async def die_at(world: World, points: tuple[str, ...], happening: Callable[[], Awaitable[None]]) -> None:
    """Something happens, and the process dies at each of these points, one behind the other."""
    world.arm(points[0])
    await happening()
    for following in [*points[1:], ""]:
        await world.until_death()
        world.arm(following)
        await start(world)


async def until(world: World, commands: list[Beginning], statuses: set[str]) -> None:
    """All these payments are where they should be, or the test fails."""
    end = asyncio.get_running_loop().time() + DEADLINE_S
    while True:
        states = await world.states()
        found = {str(one.payment_id): states.get(str(one.payment_id)) for one in commands}
        if all(state is not None and state["status"] in statuses for state in found.values()):
            return
        assert asyncio.get_running_loop().time() < end, {
            name: state and state["status"] for name, state in found.items()
        }
        await asyncio.sleep(0.1)


async def play(world: World, sandbox: SandboxGateway) -> tuple[list[Beginning], list[Beginning]]:
    approved: list[Beginning] = [
        a_charge(payment_method="tok_requires_action"),
        an_authorization(payment_method="tok_requires_action"),
    ]
    silent: list[Beginning] = [
        a_charge(payment_method="tok_requires_action"),
        an_authorization(payment_method="tok_requires_action"),
    ]
    await start(world)
    await die_at(world, DIES_ASKING, lambda: world.send([*approved, *silent]))
    await until(world, [*approved, *silent], {"PENDING"})
    pages = {name: rows[0]["page_url"] for name, rows in (await world.rows("customer_actions")).items()}
    for one in approved:
        assert await asyncio.to_thread(sandbox.customer, pages[str(one.payment_id)], "approve") == 200
    await until(world, approved, {"CAPTURING", "AUTHORIZED"})
    await die_at(world, DIES_EXPIRING, lambda: world.execute(TIME_IS_OVER))
    await until(world, silent, {"FAILED"})
    await world.until_quiet()
    return approved, silent


@pytest.mark.timeout(420)
async def test_whoever_dies_asks_each_customer_once_and_charges_only_who_approved(
    database_templates: DatabaseTemplates, kafka_bootstrap: str, tmp_path: Path
) -> None:
    database_url = await database_templates.clone("payments", migrate)
    await create_topics(kafka_bootstrap, all_topics())
    port = free_port()
    webhooks = ("--webhook-url", f"http://127.0.0.1:{port}/webhooks/gateway", "--webhook-secret", SECRET)
    with running_sandbox(tmp_path, *webhooks) as sandbox:
        at = Addresses(database_url, kafka_bootstrap, sandbox.url, port, tmp_path / "crash.points")
        async with World.open(at) as world:
            approved, silent = await play(world, sandbox)
            events = await world.events()
        for one in approved:
            sold = type(one).__name__ == "ChargePayment"
            outcome = "PaymentConfirmed" if sold else "PaymentAuthorized"
            assert events[str(one.payment_id)] == ["PaymentInitiated", "PaymentActionRequired", outcome]
            assert [name for name, _ in sandbox.effects(str(one.payment_id))] == (
                ["action", "authorize", "capture"] if sold else ["action", "authorize"]
            )
        for one in silent:
            assert events[str(one.payment_id)] == ["PaymentInitiated", "PaymentActionRequired", "PaymentFailed"]
            assert [name for name, _ in sandbox.effects(str(one.payment_id))] == ["action", "void"]
    died = (tmp_path / "crash.died").read_text().split()
    assert died == [*DIES_ASKING, *DIES_EXPIRING]
    await database_templates.drop_clone(database_url)
