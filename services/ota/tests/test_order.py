"""One vehicle's commands run in order; vehicles do not wait for each other (OTA-6)."""

from datetime import timedelta

from caas_contracts.ota import ServiceActivated
from services.ota.tests.builders import Ota, a_cancellation, an_activation


async def test_the_next_command_leaves_when_the_one_before_is_answered(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    messages = [an_activation(vehicle.vehicle_id, ota.now, service_code=f"s-{n}") for n in range(3)]
    await ota.harness.receive(*messages)
    await ota.harness.run_effects()
    for number in range(3):
        assert [command.service_code for command in ota.vehicles.commands] == [f"s-{n}" for n in range(number + 1)]
        assert ota.last.counter == number + 1
        await ota.answered(vehicle, "applied")
    assert len(await ota.harness.published(ServiceActivated)) == 3


async def test_a_retry_keeps_its_place_before_what_came_later(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.activating(vehicle, service_code="first")
    await ota.activating(vehicle, service_code="second")
    await ota.answered(vehicle, "rejected", reason="busy")
    await ota.silence()
    assert [command.service_code for command in ota.vehicles.commands] == ["first", "first"]
    await ota.answered(vehicle, "applied")
    assert ota.last.service_code == "second"


async def test_a_cancel_takes_the_place_of_what_it_cancels(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    first = await ota.activating(vehicle, service_code="first")
    await ota.activating(vehicle, service_code="second")
    await ota.harness.receive(a_cancellation(first))
    await ota.harness.run_effects()
    assert [(command.kind, command.service_code) for command in ota.vehicles.commands] == [
        ("activate", "first"),
        ("cancel", "first"),
    ]
    await ota.answered(vehicle, "cancelled")
    assert (ota.last.kind, ota.last.service_code) == ("activate", "second")


async def test_a_vehicle_that_stays_silent_does_not_hold_its_queue_for_ever(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.activating(vehicle, service_code="first")
    await ota.activating(vehicle, service_code="second")
    await ota.silence(8)
    assert ota.last.service_code == "second"


async def test_a_silent_vehicle_does_not_delay_the_others(ota: Ota) -> None:
    silent, obedient = await ota.registered_vehicle(), await ota.registered_vehicle()
    await ota.activating(silent)
    await ota.activating(silent)
    message = await ota.activating(obedient)
    await ota.answered(obedient, "applied")
    (activated,) = await ota.harness.published(ServiceActivated)
    assert activated.activation_id == message.activation_id


async def test_a_deadline_while_waiting_for_its_turn_fails_without_a_command(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.activating(vehicle, service_code="first", not_after=ota.now + timedelta(days=1))
    waiting = await ota.activating(vehicle, service_code="second")
    await ota.harness.move_clock(timedelta(minutes=36))
    await ota.harness.run_effects()
    assert await ota.status_of(waiting.activation_id) == "failed"
    (row,) = await ota.rows("SELECT failure_reason, ground, uncertain FROM activation WHERE status = 'failed'")
    assert row == {"failure_reason": "not_sent", "ground": "deadline_passed", "uncertain": False}
    assert len(ota.vehicles.commands) == 1
