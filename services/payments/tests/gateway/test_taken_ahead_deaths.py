"""A payments process that dies around money taken ahead (PLN-1): taken once all the same, and given back once."""

from pathlib import Path
from typing import Final

import pytest

from caas_chassis.testing.databases import DatabaseTemplates
from caas_chassis.topicadmin import all_topics, create_topics
from caas_contracts.purchase_life import ChargePlannedService, ChargeRenewal
from services.payments.tests.builders import a_cancellation, a_failure, a_planned_charge, a_renewal, a_success
from services.payments.tests.conftest import migrate
from services.payments.tests.gateway.matrix_world import Addresses, World
from services.payments.tests.gateway.test_customer_action_deaths import die_at, start, until
from services.payments.tests.sandbox_gateway import SandboxGateway, running_sandbox
from services.payments.tests.test_process import free_port

DIES_TAKING: Final = ("handle.before_commit:ChargePlannedService", "effect.after_call:gateway")
DIES_GIVING_BACK: Final = (
    "handle.before_commit:ActivationFailed",
    "effect.after_call:gateway",
    "effect.after_commit:gateway",
    "effect.after_call:gateway",
)
DIES_RENEWING: Final = ("handle.before_commit:ChargeRenewal", "effect.after_call:gateway")


async def play(world: World) -> tuple[dict[str, ChargePlannedService], ChargeRenewal]:
    """One is activated and renewed, one fails and one is cancelled; the gateway refuses to give that back, twice."""
    told = {
        "earned": a_planned_charge(),
        "failed": a_planned_charge(),
        "cancelled": a_planned_charge(payment_method="tok_refund_refused_twice"),
    }
    earned, failed, cancelled = told.values()
    await start(world)
    await die_at(world, DIES_TAKING, lambda: world.send(told.values()))
    await until(world, [*told.values()], {"CONFIRMED"})
    results = [a_success(earned), a_failure(failed), a_cancellation(cancelled)]
    await die_at(world, DIES_GIVING_BACK, lambda: world.send(results))
    await until(world, [failed, cancelled], {"REFUNDED"})
    renewal = a_renewal(earned)
    await die_at(world, DIES_RENEWING, lambda: world.send([renewal]))
    await until(world, [renewal], {"CONFIRMED"})
    await world.until_quiet()
    return told, renewal


@pytest.mark.timeout(420)
async def test_whoever_dies_takes_the_money_once_and_gives_it_back_once(
    database_templates: DatabaseTemplates, kafka_bootstrap: str, tmp_path: Path
) -> None:
    database_url = await database_templates.clone("payments", migrate)
    await create_topics(kafka_bootstrap, all_topics())
    with running_sandbox(tmp_path) as sandbox:
        at = Addresses(database_url, kafka_bootstrap, sandbox.url, free_port(), tmp_path / "crash.points")
        async with World.open(at) as world:
            told, renewal = await play(world)
            events = await world.events()
            refunds = await world.rows("refunds")
        taken = ["PaymentInitiated", "PaymentConfirmed"]
        assert events[str(told["earned"].payment_id)] == taken
        assert events[str(told["failed"].payment_id)] == [*taken, "PaymentRefunded"]
        assert events[str(told["cancelled"].payment_id)] == [*taken, "RefundDelayed", "PaymentRefunded"]
        assert effects(sandbox, told["earned"]) == ["authorize", "capture"]
        assert effects(sandbox, told["failed"]) == ["authorize", "capture", "refund"]
        assert effects(sandbox, told["cancelled"]) == ["authorize", "capture", "refund"]
        assert str(told["earned"].payment_id) not in refunds
        assert events[str(renewal.payment_id)] == taken
        assert effects(sandbox, renewal) == ["authorize", "capture"]
    died = (tmp_path / "crash.died").read_text().split()
    assert died == [*DIES_TAKING, *DIES_GIVING_BACK, *DIES_RENEWING]
    await database_templates.drop_clone(database_url)


def effects(sandbox: SandboxGateway, command: ChargePlannedService | ChargeRenewal) -> list[str]:
    return [name for name, _ in sandbox.effects(str(command.payment_id))]
