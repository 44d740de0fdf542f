"""The work list of deactivations (OTA-4)."""

from datetime import timedelta

from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.ota import ActivateService, DeactivationDelayed, ServiceDeactivated
from services.ota.tests.builders import Ota, SigningVehicle, a_deactivation, an_activation


async def activated(ota: Ota) -> tuple[SigningVehicle, ActivateService]:
    vehicle = await ota.registered_vehicle()
    message = await ota.activating(vehicle)
    await ota.answered(vehicle, "applied")
    return vehicle, message


async def deactivating(ota: Ota, message: ActivateService) -> None:
    await ota.harness.receive(a_deactivation(message))
    await ota.harness.run_effects()


async def test_a_deactivation_is_sent_without_limit_and_its_result_published_once(ota: Ota) -> None:
    vehicle, message = await activated(ota)
    await deactivating(ota, message)
    sent = ota.last
    assert (sent.kind, sent.counter, sent.not_after) == ("deactivate", 2, None)
    await ota.answered(vehicle, "applied", command=sent)
    await ota.answered(vehicle, "applied", command=sent)
    (deactivated,) = await ota.harness.published(ServiceDeactivated)
    assert (deactivated.activation_id, deactivated.reason) == (message.activation_id, "late_success")
    (row,) = await ota.rows("SELECT deactivated_at FROM activation")
    assert row["deactivated_at"] is not None


async def test_a_deactivation_asked_for_twice_is_one(ota: Ota) -> None:
    _, message = await activated(ota)
    request = a_deactivation(message)
    await ota.harness.receive(request)
    await ota.harness.receive(request)
    await ota.harness.run_effects()
    assert [command.kind for command in ota.vehicles.commands] == ["activate", "deactivate"]


async def test_a_silent_vehicle_stays_on_the_work_list_until_it_is_done(ota: Ota) -> None:
    vehicle, message = await activated(ota)
    await deactivating(ota, message)
    await ota.silence(4)
    (delayed,) = await ota.harness.published(DeactivationDelayed)
    assert [attempt.outcome for attempt in delayed.attempts] == ["no_answer"] * 4
    (alert,) = await ota.harness.published(AlertRaised)
    assert alert.kind == AlertKind.DEACTIVATION_FAILED
    for _ in range(2):
        sent = len(ota.vehicles.commands)
        await ota.harness.move_clock(timedelta(minutes=16))
        await ota.silence(5)
        assert len(ota.vehicles.commands) == sent + 4
    assert len(await ota.harness.published(DeactivationDelayed)) == 1, "operations are told once"
    await ota.harness.move_clock(timedelta(minutes=16))
    await ota.harness.run_effects()
    await ota.answered(vehicle, "applied")
    assert len(await ota.harness.published(ServiceDeactivated)) == 1
    sent = len(ota.vehicles.commands)
    await ota.harness.move_clock(timedelta(days=3))
    await ota.silence()
    assert len(ota.vehicles.commands) == sent
    assert await ota.rows("SELECT FROM chassis.timer") == []


async def test_an_answer_that_comes_after_the_retries_still_finishes_it(ota: Ota) -> None:
    vehicle, message = await activated(ota)
    await deactivating(ota, message)
    await ota.silence(4)
    await ota.answered(vehicle, "applied")
    assert len(await ota.harness.published(ServiceDeactivated)) == 1
    sent = len(ota.vehicles.commands)
    await ota.harness.move_clock(timedelta(hours=1))
    await ota.silence()
    assert len(ota.vehicles.commands) == sent


async def test_a_rejected_deactivation_is_tried_anew_and_then_put_off(ota: Ota) -> None:
    vehicle, message = await activated(ota)
    await deactivating(ota, message)
    for _ in range(4):
        assert not await ota.harness.published(DeactivationDelayed)
        await ota.answered(vehicle, "rejected", reason="busy")
        await ota.silence()
    (delayed,) = await ota.harness.published(DeactivationDelayed)
    assert [attempt.outcome for attempt in delayed.attempts] == ["busy"] * 4


async def test_deactivating_what_was_never_activated_parks_the_message(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.harness.receive(a_deactivation(an_activation(vehicle.vehicle_id, ota.now)))
    (parked,) = await ota.harness.parked()
    assert "unknown_activation" in parked["detail"]
