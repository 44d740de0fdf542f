"""Whatever order, repetition or mixture acknowledgements come in: one result, and no success without proof."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts.ota import ActivateService, ActivationFailed, ServiceActivated
from caas_ota.gateway.messages import VehicleCommand
from services.ota.tests.builders import Ota, SigningVehicle, a_cancellation, an_ota, migrate

# Each step names what happens next; answers are to a command that was sent, picked by the number.
SAYINGS: Final = (
    "received",
    "applied",
    "rejected for now",
    "rejected for good",
    "cancelled",
    "forged success",
    "success signed by another",
    "success with another nonce",
)
EVENTS: Final = ("silence", "cancel", "clock 10 min", "clock 3 h")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(SAYINGS), st.integers(0, 7), st.integers(1, 3)),
        st.tuples(st.sampled_from(EVENTS), st.just(0), st.just(1)),
    ),
    min_size=1,
    max_size=10,
)

type Step = tuple[str, int, int]


@pytest.mark.timeout(120)
async def test_one_result_and_no_success_without_a_verified_signature(make_database: MakeDatabase) -> None:
    ota = an_ota(await make_database("ota", migrate))

    @settings(
        max_examples=20,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(STEPS)
    def any_order(steps: list[Step]) -> None:
        asyncio.run_coroutine_threadsafe(run(ota, steps), loop).result(timeout=60)

    loop = asyncio.get_running_loop()
    async with ota.harness:
        await asyncio.to_thread(any_order)


async def run(ota: Ota, steps: Sequence[Step]) -> None:
    vehicle = await ota.registered_vehicle()
    already = len(ota.vehicles.commands)
    message = await ota.activating(vehicle)
    honest_success = False
    for name, pick, times in steps:
        if name in EVENTS:
            await happen(ota, name, message)
            continue
        commands = [one for one in ota.vehicles.commands[already:] if one.vehicle_id == vehicle.vehicle_id]
        command = commands[pick % len(commands)]
        honest_success |= name == "applied" and command.kind in ("activate", "cancel")
        said = vehicle.says(saying(vehicle, command, name, ota))
        await ota.hear(*[said] * times)
    activated = [
        one for one in await ota.harness.published(ServiceActivated) if one.activation_id == message.activation_id
    ]
    failed = [
        one for one in await ota.harness.published(ActivationFailed) if one.activation_id == message.activation_id
    ]
    assert len(activated) <= 1
    assert len(failed) <= 1
    assert honest_success or not activated, "a success without a verified signature"
    assert all(one.late for one in activated) or not failed, "a success beside a failure is a late one"
    assert not any(one.late for one in activated) or failed
    rows = await ota.rows(
        "SELECT verified FROM acknowledgement WHERE acknowledgement_id IN "
        "(SELECT evidence_id FROM activation WHERE activation_id = $1)",
        message.activation_id,
    )
    assert len(rows) == len(activated)
    assert all(row["verified"] for row in rows)


async def happen(ota: Ota, name: str, message: ActivateService) -> None:
    match name:
        case "silence":
            await ota.silence()
        case "cancel":
            await ota.harness.receive(a_cancellation(message))
        case "clock 10 min":
            await ota.harness.move_clock(timedelta(minutes=10))
        case _:
            await ota.harness.move_clock(timedelta(hours=3))
    await ota.harness.run_effects()


def saying(vehicle: SigningVehicle, command: VehicleCommand, name: str, ota: Ota) -> dict[str, object]:
    success = vehicle.answer(command, "applied", applied_at=ota.now)
    match name:
        case "rejected for now":
            return vehicle.answer(command, "rejected", reason="busy")
        case "rejected for good":
            return vehicle.answer(command, "rejected", reason="incompatible", permanent=True)
        case "forged success":
            return success | {"signature": "A" * 86 + "=="}
        case "success signed by another":
            return SigningVehicle(vehicle.vehicle_id).sign(success)
        case "success with another nonce":
            return vehicle.sign(success | {"nonce": "another-nonce"})
        case "received" | "cancelled" | "applied":
            return vehicle.answer(command, name, applied_at=ota.now)
        case _:
            raise AssertionError(name)
