"""Nothing follows from an acknowledgement that cannot be verified (SVC-6, charge fence)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from caas_contracts.ota import ServiceActivated
from caas_ota.gateway.messages import Inbound
from services.ota.tests.builders import Ota, SigningVehicle

type Content = dict[str, object]


def forged(_: SigningVehicle, content: Content) -> Content:
    return content | {"signature": "A" * 86 + "=="}


def signed_by_another(vehicle: SigningVehicle, content: Content) -> Content:
    return SigningVehicle(vehicle.vehicle_id).sign(content)


def altered_after_signing(_: SigningVehicle, content: Content) -> Content:
    return content | {"applied_at": "2020-01-01T00:00:00.000Z"}


def with_another_nonce(vehicle: SigningVehicle, content: Content) -> Content:
    return vehicle.sign(content | {"nonce": "a-nonce-of-an-earlier-command"})


def with_a_lower_counter(vehicle: SigningVehicle, content: Content) -> Content:
    return vehicle.sign(content | {"counter": 0})


def with_a_higher_counter(vehicle: SigningVehicle, content: Content) -> Content:
    return vehicle.sign(content | {"counter": 99})


def of_another_activation(vehicle: SigningVehicle, content: Content) -> Content:
    return vehicle.sign(content | {"activation_id": "01890000-0000-7000-8000-000000000000"})


def of_an_unknown_command(vehicle: SigningVehicle, content: Content) -> Content:
    return vehicle.sign(content | {"command_id": "01890000-0000-7000-8000-000000000000"})


def in_anothers_name(vehicle: SigningVehicle, content: Content) -> Content:
    return vehicle.sign(content | {"vehicle_id": "vehicle-other"})


def without_instant(vehicle: SigningVehicle, content: Content) -> Content:
    return vehicle.sign(content | {"applied_at": ""})


def with_a_status_that_does_not_fit(vehicle: SigningVehicle, content: Content) -> Content:
    return vehicle.sign(content | {"status": "cancelled", "applied_at": ""})


LIES: Final[Sequence[tuple[Callable[[SigningVehicle, Content], Content], str]]] = (
    (forged, "bad_signature"),
    (signed_by_another, "bad_signature"),
    (altered_after_signing, "bad_signature"),
    (with_another_nonce, "wrong_nonce"),
    (with_a_lower_counter, "wrong_counter"),
    (with_a_higher_counter, "wrong_counter"),
    (of_another_activation, "wrong_activation"),
    (of_an_unknown_command, "unknown_command"),
    (in_anothers_name, "wrong_vehicle"),
    (without_instant, "no_instant"),
    (with_a_status_that_does_not_fit, "unexpected_status"),
)


async def test_what_cannot_be_verified_is_kept_refused_and_changes_nothing(ota: Ota) -> None:
    for number, (change, refusal) in enumerate(LIES):
        vehicle = await ota.registered_vehicle()
        message = await ota.activating(vehicle)
        honest = vehicle.answer(ota.last, "applied", applied_at=ota.now)
        await ota.hear(vehicle.says(change(vehicle, honest)))
        kept = await ota.rows("SELECT refusal FROM acknowledgement WHERE vehicle_id = $1", vehicle.vehicle_id)
        assert kept == [{"refusal": refusal}], change.__name__
        assert await ota.status_of(message.activation_id) == "sent", change.__name__
        assert len(await ota.harness.published(ServiceActivated)) == number, change.__name__
        await ota.hear(vehicle.says(honest))
        assert await ota.status_of(message.activation_id) == "applied", "the honest answer still counts"


async def test_the_proof_of_one_activation_does_not_serve_for_another(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.activating(vehicle)
    proof = vehicle.answer(ota.last, "applied", applied_at=ota.now)
    await ota.hear(vehicle.says(proof))
    second = await ota.activating(vehicle, service_code="parking")
    await ota.hear(vehicle.says(proof))
    replayed = proof | {"command_id": str(ota.last.command_id), "activation_id": str(second.activation_id)}
    await ota.hear(vehicle.says(vehicle.sign(replayed)))
    assert len(await ota.harness.published(ServiceActivated)) == 1
    assert await ota.status_of(second.activation_id) == "sent"


async def test_an_answer_about_another_vehicles_command_is_refused(ota: Ota) -> None:
    vehicle, other = await ota.registered_vehicle(), await ota.registered_vehicle()
    message = await ota.activating(vehicle)
    stolen = other.answer(ota.last, "applied", applied_at=ota.now) | {"vehicle_id": other.vehicle_id}
    await ota.hear(other.says(other.sign(stolen)))
    (kept,) = await ota.rows("SELECT refusal FROM acknowledgement")
    assert kept["refusal"] == "unknown_command"
    assert await ota.status_of(message.activation_id) == "sent"


UNREADABLE: Final = (
    b"",
    b"not json",
    b"[]",
    b"{}",
    b'{"status": "applied"}',
    b"\xff\xfe\x00",
    b"x" * 20_000,
    b'{"vehicle_id": "v", "configuration": {"a": [1]}}',
)


async def test_what_cannot_be_read_is_kept_and_harms_nothing_beside_it(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.activating(vehicle)
    honest = vehicle.says(vehicle.answer(ota.last, "applied", applied_at=ota.now))
    await ota.hear(*(replace(honest, payload=payload) for payload in UNREADABLE), honest)
    assert len(await ota.harness.published(ServiceActivated)) == 1
    kept = await ota.rows("SELECT refusal FROM acknowledgement WHERE NOT verified")
    assert [row["refusal"] for row in kept] == ["malformed"] * len(UNREADABLE)


async def test_fields_of_wrong_type_or_size_are_unreadable(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    await ota.activating(vehicle)
    honest = vehicle.answer(ota.last, "applied", applied_at=ota.now)
    wrong: list[dict[str, object]] = [
        {"permanent": "false"},
        {"counter": "1"},
        {"counter": 2**70},
        {"nonce": "n" * 200},
        {"status": "done"},
        {"reason": "a reason\nwith lines"},
        {"applied_at": "yesterday"},
        {"applied_at": "2026-01-01T00:00:00"},
        {"command_id": "1"},
        {"configuration": {"x": None}},
    ]
    await ota.hear(*(vehicle.says(honest | change) for change in wrong))
    kept = await ota.rows("SELECT refusal FROM acknowledgement")
    assert [row["refusal"] for row in kept] == ["malformed"] * len(wrong)


async def test_strange_topics_and_unregistered_vehicles_are_kept_refused(ota: Ota) -> None:
    stranger = SigningVehicle()
    content: Content = {
        "command_id": "01890000-0000-7000-8000-000000000000",
        "activation_id": "01890000-0000-7000-8000-000000000000",
        "vehicle_id": stranger.vehicle_id,
        "status": "applied",
        "reason": "",
        "permanent": False,
        "nonce": "nonce-nonce",
        "counter": 1,
        "applied_at": "2026-01-01T00:00:00.000Z",
        "configuration": {},
    }
    said = stranger.says(stranger.sign(content))
    await ota.hear(said, Inbound("caas/vehicles/a b\x00c/acknowledgements", b"{}", datetime.now(UTC)))
    kept = await ota.rows("SELECT refusal FROM acknowledgement ORDER BY refusal")
    assert [row["refusal"] for row in kept] == ["malformed", "unknown_vehicle"]
    assert await ota.rows("SELECT FROM vehicle") == []


async def test_reports_are_noted_without_proving_anything(ota: Ota) -> None:
    vehicle = await ota.registered_vehicle()
    message = await ota.activating(vehicle)
    report = {"vehicle_id": vehicle.vehicle_id, "configuration": {"level": 3}}
    topic = f"caas/vehicles/{vehicle.vehicle_id}/reported"
    await ota.hear(Inbound(topic, json.dumps(report).encode(), ota.now))
    (row,) = await ota.rows("SELECT reported FROM vehicle")
    assert row["reported"] == '{"level": 3}'
    assert await ota.status_of(message.activation_id) == "sent"
