"""From the request to the one result (OTA-1 to OTA-3, SVC-5, SVC-6, SVC-11)."""

import asyncio
from datetime import timedelta

from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.ota import ActivationFailed, ServiceActivated, ServiceDeactivated
from caas_contracts.payments import VoidGround
from services.ota.tests.builders import Ota, SigningVehicle, a_cancellation, a_deactivation, an_activation


async def test_a_verified_success_is_published_once_with_its_evidence(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    message = await ota.activating(vehicle)
    sent = ota.last
    assert (sent.kind, sent.counter, sent.configuration) == ("activate", 1, {"heated_seats": True, "level": 3})
    answer = vehicle.answer(sent, "applied", applied_at=ota.now)
    await ota.hear(vehicle.says(vehicle.answer(sent, "received")), vehicle.says(answer))
    await ota.hear(vehicle.says(answer), vehicle.says(answer))
    (activated,) = await ota.harness.published(ServiceActivated)
    assert activated.activation_id == message.activation_id
    assert activated.evidence.command_id == sent.command_id
    assert activated.evidence.nonce == sent.nonce
    assert activated.evidence.signature == answer["signature"]
    assert not activated.late
    assert [attempt.outcome for attempt in activated.attempts] == ["applied"]
    assert await ota.status_of(message.activation_id) == "applied"


async def test_an_activation_without_a_payment_is_applied_and_deactivated_as_any_other(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    message = await ota.activating(vehicle, payment_id=None)  # SUB-1
    await ota.answered(vehicle, "applied")
    await ota.harness.receive(a_deactivation(message, "customer_cancelled"))
    await ota.harness.run_effects()
    await ota.answered(vehicle, "applied")
    (activated,) = await ota.harness.published(ServiceActivated)
    (deactivated,) = await ota.harness.published(ServiceDeactivated)
    assert (activated.payment_id, deactivated.payment_id) == (None, None)
    assert activated.activation_id == deactivated.activation_id == message.activation_id


async def test_the_same_request_again_changes_nothing_and_another_content_is_refused(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    message = await ota.activating(vehicle)
    await ota.harness.receive(message)
    await ota.harness.receive(message.model_copy(update={"service_code": "another"}))
    await ota.harness.run_effects()
    assert len(ota.vehicles.commands) == 1
    (parked,) = await ota.harness.parked()
    assert parked["reason"] == "refused"
    assert "activation_conflict" in parked["detail"]


async def test_a_transient_rejection_is_tried_anew_with_a_new_command_and_a_higher_counter(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.activating(vehicle)
    first = ota.last
    await ota.answered(vehicle, "rejected", reason="busy")
    assert ota.last == first, "the next try waits for the retry delay"
    await ota.silence()
    assert ota.last.command_id != first.command_id
    assert (ota.last.counter, ota.last.activation_id) == (2, first.activation_id)
    await ota.answered(vehicle, "applied")
    (activated,) = await ota.harness.published(ServiceActivated)
    assert [attempt.outcome for attempt in activated.attempts] == ["busy", "applied"]


async def test_transient_rejections_end_as_a_verified_rejection_when_the_retries_are_used_up(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.activating(vehicle)
    for _ in range(4):
        assert not await ota.harness.published(ActivationFailed)
        await ota.answered(vehicle, "rejected", reason="busy")
        await ota.silence()
    (failed,) = await ota.harness.published(ActivationFailed)
    assert (failed.ground, failed.reason) == (VoidGround.VERIFIED_REJECTION, "busy")
    assert [attempt.outcome for attempt in failed.attempts] == ["busy"] * 4
    assert ota.last.kind == "status"
    (alert,) = await ota.harness.published(AlertRaised)
    assert alert.kind == AlertKind.RETRIES_EXHAUSTED


async def test_a_permanent_rejection_fails_at_once_with_a_case_that_gets_the_vehicles_status(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    message = await ota.activating(vehicle)
    await ota.answered(vehicle, "rejected", reason="incompatible", permanent=True)
    (failed,) = await ota.harness.published(ActivationFailed)
    assert (failed.ground, failed.reason) == (VoidGround.VERIFIED_REJECTION, "incompatible")
    assert len(failed.attempts) == 1
    assert ota.last.kind == "status"
    await ota.hear(vehicle.says(vehicle.answer(ota.last, "status", configuration={"level": 1})))
    (case,) = await ota.rows("SELECT * FROM support_case")
    assert case["support_case_id"] == failed.support_case_id
    assert case["activation_id"] == message.activation_id
    assert case["vehicle_status"] == '{"level": 1}'


async def test_silence_sends_the_same_command_again_and_then_asks_to_cancel(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.activating(vehicle)
    await ota.silence(3)
    assert len(ota.vehicles.commands) == 4
    assert len({command.model_dump_json() for command in ota.vehicles.commands}) == 1
    await ota.silence()
    assert ota.last.kind == "cancel"
    assert not await ota.harness.published(ActivationFailed), "silence alone proves nothing"
    await ota.answered(vehicle, "cancelled")
    (failed,) = await ota.harness.published(ActivationFailed)
    assert (failed.ground, failed.reason) == (VoidGround.VERIFIED_CANCELLATION, "no_answer")
    assert failed.support_case_id is not None


async def test_a_vehicle_that_applied_it_says_so_to_the_cancel_command(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.activating(vehicle)
    await ota.silence(4)
    await ota.answered(vehicle, "applied")
    (activated,) = await ota.harness.published(ServiceActivated)
    assert not activated.late
    await ota.harness.move_clock(timedelta(days=1))
    assert not await ota.harness.published(ActivationFailed)


async def test_an_unheard_activation_fails_only_when_the_deadline_and_its_margin_have_passed(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.activating(vehicle)
    await ota.silence(8)
    await ota.harness.move_clock(timedelta(minutes=34, seconds=50))
    assert not await ota.harness.published(ActivationFailed)
    await ota.harness.move_clock(timedelta(seconds=30))
    (failed,) = await ota.harness.published(ActivationFailed)
    assert (failed.ground, failed.reason) == (VoidGround.DEADLINE_PASSED, "no_answer")


async def test_a_success_after_the_failure_is_published_once_as_late(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    message = await ota.activating(vehicle)
    sent, applied_at = ota.last, ota.now
    await ota.harness.move_clock(timedelta(hours=3))
    answer = vehicle.says(vehicle.answer(sent, "applied", applied_at=applied_at))
    await ota.hear(answer, answer)
    await ota.hear(answer)
    (activated,) = await ota.harness.published(ServiceActivated)
    assert activated.late
    assert len(await ota.harness.published(ActivationFailed)) == 1
    assert await ota.status_of(message.activation_id) == "applied_late"


async def test_a_vehicle_that_was_never_heard_is_asked_again_until_it_answers(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.activating(vehicle)
    await ota.harness.move_clock(timedelta(minutes=36))
    await ota.harness.run_effects()
    assert ota.last.kind == "cancel"
    await ota.silence(12)
    asked = len([command for command in ota.vehicles.commands if command.kind == "cancel"])
    await ota.harness.move_clock(timedelta(hours=3))
    await ota.harness.run_effects()
    assert len([command for command in ota.vehicles.commands if command.kind == "cancel"]) == asked + 1
    await ota.answered(vehicle, "cancelled")
    assert await ota.rows("SELECT FROM activation WHERE uncertain") == []
    sent = len(ota.vehicles.commands)
    await ota.harness.move_clock(timedelta(days=3))
    await ota.silence()
    assert len(ota.vehicles.commands) == sent
    assert await ota.rows("SELECT FROM chassis.timer") == []


async def test_applied_after_the_limit_is_no_success_and_becomes_a_late_one(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    message = await ota.activating(vehicle)
    sent = ota.last
    too_late = vehicle.says(vehicle.answer(sent, "applied", applied_at=message.not_after + timedelta(seconds=1)))
    await ota.hear(too_late)
    assert not await ota.harness.published(ServiceActivated)
    await ota.harness.move_clock(timedelta(minutes=40))
    await ota.hear(too_late)
    (activated,) = await ota.harness.published(ServiceActivated)
    assert activated.late


async def test_cancelling_before_anything_was_sent_ends_it_at_once(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.activating(vehicle)
    waiting = await ota.activating(vehicle, service_code="parking")
    await ota.harness.receive(a_cancellation(waiting))
    await ota.harness.run_effects()
    (failed,) = await ota.harness.published(ActivationFailed)
    assert failed.activation_id == waiting.activation_id
    assert (failed.ground, failed.reason) == (VoidGround.VERIFIED_CANCELLATION, "cancelled")
    assert len(ota.vehicles.commands) == 1
    assert await ota.status_of(waiting.activation_id) == "cancelled"


async def test_cancelling_after_sending_asks_the_vehicle_and_a_cancelled_answer_ends_it(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    message = await ota.activating(vehicle)
    await ota.harness.receive(a_cancellation(message))
    await ota.harness.run_effects()
    assert (ota.last.kind, ota.last.counter) == ("cancel", 2)
    assert not await ota.harness.published(ActivationFailed)
    await ota.answered(vehicle, "cancelled")
    (failed,) = await ota.harness.published(ActivationFailed)
    assert (failed.ground, failed.reason) == (VoidGround.VERIFIED_CANCELLATION, "cancelled")
    assert failed.support_case_id is None
    assert await ota.status_of(message.activation_id) == "cancelled"


async def test_a_success_that_crosses_the_cancel_wins(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    message = await ota.activating(vehicle)
    activate = ota.last
    await ota.harness.receive(a_cancellation(message))
    await ota.harness.run_effects()
    cancel = ota.last
    await ota.answered(vehicle, "applied", command=activate)
    await ota.answered(vehicle, "applied", command=cancel)
    assert len(await ota.harness.published(ServiceActivated)) == 1
    assert not await ota.harness.published(ActivationFailed)
    await ota.harness.receive(a_cancellation(message))
    assert await ota.status_of(message.activation_id) == "applied"


async def test_a_busy_answer_that_crosses_the_cancel_starts_nothing_new(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    message = await ota.activating(vehicle)
    activate = ota.last
    await ota.harness.receive(a_cancellation(message))
    await ota.harness.run_effects()
    await ota.answered(vehicle, "rejected", reason="busy", command=activate)
    await ota.silence()
    assert {command.kind for command in ota.vehicles.commands[1:]} == {"cancel"}


async def test_cancelling_what_does_not_exist_parks_the_message(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.harness.receive(a_cancellation(an_activation(vehicle.vehicle_id, ota.now)))
    (parked,) = await ota.harness.parked()
    assert "unknown_activation" in parked["detail"]


async def test_an_unknown_vehicle_fails_after_a_grace_and_nothing_is_sent(ota: Ota) -> None:
    message = await ota.activating(SigningVehicle())
    assert not await ota.harness.published(ActivationFailed)
    await ota.harness.move_clock(timedelta(seconds=31))
    (failed,) = await ota.harness.published(ActivationFailed)
    assert (failed.ground, failed.reason) == (VoidGround.VERIFIED_REJECTION, "unknown_vehicle")
    assert failed.activation_id == message.activation_id
    assert ota.vehicles.commands == []


async def test_an_activation_that_overtook_its_vehicles_registration_goes_on(ota: Ota) -> None:
    vehicle = SigningVehicle()
    await ota.activating(vehicle)
    await ota.harness.receive(vehicle.registered())
    await ota.harness.run_effects()
    await ota.answered(vehicle, "applied")
    await ota.harness.move_clock(timedelta(minutes=1))
    assert len(await ota.harness.published(ServiceActivated)) == 1
    assert not await ota.harness.published(ActivationFailed)


async def test_commands_that_the_broker_did_not_take_are_sent_later_without_costing_a_retry(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    ota.vehicles.is_away = True
    await ota.activating(vehicle)
    await ota.silence(20)
    ota.vehicles.is_away = False
    await ota.silence()
    assert len(ota.vehicles.commands) == 1
    await ota.answered(vehicle, "applied")
    (activated,) = await ota.harness.published(ServiceActivated)
    assert len(activated.attempts) == 1


async def test_a_process_that_dies_after_sending_sends_the_very_same_command_again(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    ota.vehicles.is_breaking = True
    await ota.activating(vehicle)
    ota.vehicles.is_breaking = False
    await ota.silence()
    assert len(ota.vehicles.commands) == 2
    assert len({command.model_dump_json() for command in ota.vehicles.commands}) == 1
    await ota.answered(vehicle, "applied")
    assert len(await ota.harness.published(ServiceActivated)) == 1


async def test_successes_cancellations_and_deadlines_at_the_same_moment_give_one_result_each(ota: Ota) -> None:
    vehicles = [await ota.registered_vehicle() for _ in range(12)]
    messages = [await ota.activating(vehicle) for vehicle in vehicles]
    said = [
        vehicle.says(vehicle.answer(command, "applied", applied_at=ota.now))
        for vehicle, command in zip(vehicles, ota.vehicles.commands, strict=True)
    ]
    ota.harness.clock.move(timedelta(hours=1))
    await asyncio.gather(
        *(ota.hear(one) for one in said),
        *(ota.harness.receive(a_cancellation(message)) for message in reversed(messages)),
        ota.harness.runtime.timers.run_until_idle(),
    )
    activated = {one.activation_id: one for one in await ota.harness.published(ServiceActivated)}
    failed = {one.activation_id for one in await ota.harness.published(ActivationFailed)}
    assert set(activated) == {message.activation_id for message in messages}
    assert len(await ota.harness.published(ServiceActivated)) == len(messages)
    assert {one.activation_id for one in activated.values() if one.late} == failed
