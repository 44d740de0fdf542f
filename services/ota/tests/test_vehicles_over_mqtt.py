"""Each behaviour of the sandbox's vehicles, end to end over a real MQTT broker."""

from datetime import timedelta

from caas_contracts.orders import VehicleRegistered
from caas_contracts.ota import (
    ActivateService,
    ActivationFailed,
    DeactivationDelayed,
    ServiceActivated,
    ServiceDeactivated,
)
from caas_contracts.payments import VoidGround
from services.ota.tests.builders import a_cancellation, a_deactivation, an_activation
from services.ota.tests.sandbox import Road


async def activate(road: Road, behaviour: str, **content: object) -> tuple[VehicleRegistered, ActivateService]:
    vehicle = road.vehicles.make(behaviour)
    message = an_activation(vehicle.vehicle_id, road.now, **content)
    await road.harness.receive(vehicle)
    await road.harness.receive(message)
    return vehicle, message


async def success(road: Road) -> ServiceActivated:
    (activated,) = await road.until(lambda: road.harness.published(ServiceActivated))
    return activated


async def failure(road: Road, timeout_s: float = 15.0) -> ActivationFailed:
    (failed,) = await road.until(lambda: road.harness.published(ActivationFailed), timeout_s=timeout_s)
    return failed


async def test_an_obedient_vehicle_is_activated_and_deactivated(road: Road) -> None:
    vehicle, message = await activate(road, "obey")
    activated = await success(road)
    books = road.vehicles.books_of(vehicle.vehicle_id)
    assert books["configuration"] == dict(message.configuration)
    assert [one["activation_id"] for one in books["applied"]] == [str(activated.activation_id)]
    await road.harness.receive(a_deactivation(message))
    (deactivated,) = await road.until(lambda: road.harness.published(ServiceDeactivated))
    assert deactivated.activation_id == message.activation_id
    assert road.vehicles.books_of(vehicle.vehicle_id)["configuration"] == {}


async def test_a_vehicle_that_fails_twice_is_activated_by_the_third_command(road: Road) -> None:
    await activate(road, "fail_twice")
    activated = await success(road)
    assert [attempt.outcome for attempt in activated.attempts] == ["busy", "busy", "applied"]


async def test_a_lost_acknowledgement_is_answered_when_the_command_is_repeated(road: Road) -> None:
    vehicle, _ = await activate(road, "lost_ack")
    activated = await success(road)
    assert {attempt.outcome for attempt in activated.attempts[:-1]} == {"no_answer"}
    assert activated.attempts[-1].outcome == "applied"
    assert len({attempt.command_id for attempt in activated.attempts}) == 1
    assert len(road.vehicles.books_of(vehicle.vehicle_id)["applied"]) == 1


async def test_duplicate_acknowledgements_are_one_success(road: Road) -> None:
    await activate(road, "duplicate_acks")
    await success(road)
    await road.run_for(0.3)
    await success(road)


async def test_an_incompatible_vehicle_fails_for_good_and_its_case_has_its_status(road: Road) -> None:
    vehicle, _ = await activate(road, "incompatible")
    failed = await failure(road)
    assert (failed.ground, failed.reason) == (VoidGround.VERIFIED_REJECTION, "incompatible")
    assert road.vehicles.books_of(vehicle.vehicle_id)["applied"] == []

    async def status() -> list[object]:
        async with road.harness.transaction() as tx:
            rows = await tx.fetch("SELECT FROM support_case WHERE vehicle_status IS NOT NULL")
        return list(rows)

    await road.until(status)


async def test_a_silent_vehicle_fails_by_the_deadline_and_cancels_when_it_wakes_up(hasty_road: Road) -> None:
    road = hasty_road
    vehicle, _ = await activate(road, "silent")
    await road.run_for(1.0)
    await road.move_clock(timedelta(minutes=36))
    failed = await failure(road)
    assert (failed.ground, failed.reason) == (VoidGround.DEADLINE_PASSED, "no_answer")
    road.vehicles.make("obey", vehicle.vehicle_id)

    async def is_settled() -> bool:
        async with road.harness.transaction() as tx:
            return await tx.fetchval("SELECT count(*) FROM activation WHERE NOT uncertain") == 1

    await road.until(is_settled)
    assert road.vehicles.books_of(vehicle.vehicle_id)["applied"] == []
    assert not await road.harness.published(ServiceActivated)


async def test_a_silent_vehicle_that_wakes_up_in_time_settles_it_itself(hasty_road: Road) -> None:
    road = hasty_road
    vehicle, _ = await activate(road, "silent")
    await road.run_for(1.6)
    assert not await road.harness.published(ActivationFailed)
    road.vehicles.make("obey", vehicle.vehicle_id)
    applied = await success(road)
    assert not applied.late
    assert len(road.vehicles.books_of(vehicle.vehicle_id)["applied"]) == 1


async def test_a_late_acknowledgement_is_a_late_success_and_is_deactivated(road: Road) -> None:
    vehicle, message = await activate(road, "late_ack")
    await road.run_for(0.5)
    await road.move_clock(timedelta(minutes=36))
    await failure(road)
    await road.move_clock(timedelta(hours=2))
    activated = await success(road)
    assert activated.late
    assert activated.evidence.applied_at <= message.not_after
    await road.harness.receive(a_deactivation(message))
    await road.until(lambda: road.harness.published(ServiceDeactivated))
    assert road.vehicles.books_of(vehicle.vehicle_id)["configuration"] == {}
    assert len(await road.harness.published(ActivationFailed)) == 1


async def test_a_cancelled_activation_is_never_applied(road: Road) -> None:
    vehicle, message = await activate(road, "fail_twice")
    await road.run_for(0.2)
    await road.harness.receive(a_cancellation(message))
    failed = await failure(road)
    assert (failed.ground, failed.reason) == (VoidGround.VERIFIED_CANCELLATION, "cancelled")
    await road.run_for(1.0)
    assert road.vehicles.books_of(vehicle.vehicle_id)["applied"] == []


async def test_a_deactivation_that_fails_twice_is_done_in_the_end(road: Road) -> None:
    _, message = await activate(road, "fails_deactivation_twice")
    await success(road)
    await road.harness.receive(a_deactivation(message))
    await road.until(lambda: road.harness.published(ServiceDeactivated))
    assert not await road.harness.published(DeactivationDelayed)


async def test_services_of_one_vehicle_are_applied_in_order_of_arrival(road: Road) -> None:
    vehicle = road.vehicles.make("obey", delay_ms=30)
    messages = [
        an_activation(vehicle.vehicle_id, road.now, service_code=f"service-{number}", configuration={})
        for number in range(4)
    ]
    await road.harness.receive(vehicle)
    await road.harness.receive(*messages)

    async def all_activated() -> bool:
        return len(await road.harness.published(ServiceActivated)) == len(messages)

    await road.until(all_activated)
    activated = await road.harness.published(ServiceActivated)
    assert [one.activation_id for one in activated] == [message.activation_id for message in messages]
    assert [one.evidence.counter for one in activated] == [1, 2, 3, 4]
