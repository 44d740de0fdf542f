"""The rules that every vehicle keeps: idempotent commands, counters, limits, cancels, signatures."""

import time

import pytest
from cryptography.exceptions import InvalidSignature

from .harness import SILENCE_S, Ota, Vehicles, in_hours, verify, wait_until


def test_a_command_is_received_first_and_then_applied(vehicles: Vehicles, ota: Ota) -> None:
    vehicle_id = vehicles.register()
    command = ota.send(ota.command(vehicle_id))
    applied = ota.result(command)
    assert ota.statuses(command) == ["received", "applied"]
    assert applied["activation_id"] == command["activation_id"]
    assert (applied["reason"], applied["permanent"]) == ("", False)
    assert (applied["nonce"], applied["counter"]) == (command["nonce"], command["counter"])
    assert applied["configuration"] == command["configuration"]
    assert vehicles.seen(vehicle_id)["configuration"] == command["configuration"]
    assert vehicles.book(command["activation_id"])["applied_at"] == applied["applied_at"]


def test_every_acknowledgement_carries_a_signature_of_the_vehicle(vehicles: Vehicles, ota: Ota) -> None:
    vehicle_id = vehicles.register()
    command = ota.send(ota.command(vehicle_id))
    ota.result(command)
    for acknowledgement in ota.answers(command):
        verify(acknowledgement, vehicles.public_key(vehicle_id))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "rejected"),
        ("activation_id", "another"),
        ("permanent", True),
        ("counter", 99),
        ("nonce", "x"),
    ],
)
def test_a_changed_acknowledgement_does_not_verify(vehicles: Vehicles, ota: Ota, field: str, value: object) -> None:
    vehicle_id = vehicles.register()
    applied = ota.ask(vehicle_id)
    with pytest.raises(InvalidSignature):
        verify(applied | {field: value}, vehicles.public_key(vehicle_id))


def test_another_vehicle_cannot_sign_for_it(vehicles: Vehicles, ota: Ota) -> None:
    applied = ota.ask(vehicles.register())
    with pytest.raises(InvalidSignature):
        verify(applied, vehicles.public_key(vehicles.register()))


def test_a_repeated_command_gets_the_same_acknowledgement_and_changes_nothing(
    vehicles: Vehicles, ota: Ota
) -> None:  # OTA-1
    vehicle_id = vehicles.register()
    command = ota.send(ota.command(vehicle_id))
    first = ota.result(command)
    ota.send(command)
    wait_until(lambda: len(ota.results(command)) == 2, "the repeated acknowledgement")
    assert ota.results(command) == [first, first]
    assert len(vehicles.seen(vehicle_id)["applied"]) == 1
    assert vehicles.seen(vehicle_id)["commands"] == 2


def test_another_command_for_an_applied_activation_answers_with_the_first_time(vehicles: Vehicles, ota: Ota) -> None:
    vehicle_id = vehicles.register()
    first = ota.ask(vehicle_id)
    again = ota.ask(vehicle_id, activation_id=first["activation_id"])
    assert (again["status"], again["applied_at"]) == ("applied", first["applied_at"])
    assert len(vehicles.seen(vehicle_id)["applied"]) == 1


def test_a_counter_lower_than_one_already_seen_is_refused(vehicles: Vehicles, ota: Ota) -> None:  # OTA-6
    vehicle_id = vehicles.register()
    ota.ask(vehicle_id, counter=7)
    refused = ota.ask(vehicle_id, counter=6)
    assert (refused["status"], refused["reason"], refused["permanent"]) == (
        "rejected",
        "stale_counter",
        False,
    )
    assert vehicles.book(refused["activation_id"])["applied_at"] is None


def test_nothing_is_applied_after_its_limit(vehicles: Vehicles, ota: Ota) -> None:
    refused = ota.ask(vehicles.register(), not_after=in_hours(-0.01))
    assert (refused["status"], refused["reason"], refused["permanent"]) == ("rejected", "expired", True)
    assert vehicles.book(refused["activation_id"])["applied_at"] is None


def test_the_limit_is_business_time(own_vehicles: Vehicles, own_ota: Ota) -> None:
    vehicle_id = own_vehicles.register()
    assert own_ota.ask(vehicle_id, not_after=in_hours(24))["status"] == "applied"
    own_vehicles.move_clock(hours=25)
    assert own_ota.ask(vehicle_id, not_after=in_hours(24))["reason"] == "expired"


def test_a_command_without_a_limit_never_expires(vehicles: Vehicles, ota: Ota) -> None:
    assert ota.ask(vehicles.register(), not_after=None)["status"] == "applied"


def test_a_cancel_before_the_activation_is_remembered(vehicles: Vehicles, ota: Ota) -> None:  # SVC-11
    vehicle_id = vehicles.register()
    cancelled = ota.ask(vehicle_id, "cancel", activation_id=f"activation-of-{vehicle_id}")
    assert (cancelled["status"], cancelled["applied_at"]) == ("cancelled", "")
    refused = ota.ask(vehicle_id, activation_id=cancelled["activation_id"])
    assert (refused["status"], refused["reason"], refused["permanent"]) == ("rejected", "cancelled", True)
    assert vehicles.seen(vehicle_id)["configuration"] == {}


def test_a_cancel_of_an_applied_activation_says_when_it_was_applied(vehicles: Vehicles, ota: Ota) -> None:
    vehicle_id = vehicles.register()
    applied = ota.ask(vehicle_id)
    answer = ota.ask(vehicle_id, "cancel", activation_id=applied["activation_id"])
    assert (answer["status"], answer["applied_at"]) == ("applied", applied["applied_at"])
    assert vehicles.seen(vehicle_id)["configuration"] == applied["configuration"]


def test_a_deactivation_takes_the_service_out_and_leaves_the_others(vehicles: Vehicles, ota: Ota) -> None:  # OTA-4
    vehicle_id = vehicles.register()
    heated = ota.ask(vehicle_id)
    ota.ask(vehicle_id, service_code="light", configuration={"light": "blue"})
    removed = ota.ask(vehicle_id, "deactivate", activation_id=heated["activation_id"])
    assert (removed["status"], removed["configuration"]) == ("applied", {"light": "blue"})
    book = vehicles.book(heated["activation_id"])
    assert (book["applied_at"], book["deactivated_at"]) == (heated["applied_at"], removed["applied_at"])


def test_a_deactivated_activation_does_not_come_back(vehicles: Vehicles, ota: Ota) -> None:
    vehicle_id = vehicles.register()
    removed = ota.ask(vehicle_id, "deactivate")
    refused = ota.ask(vehicle_id, activation_id=removed["activation_id"])
    assert (refused["status"], refused["reason"]) == ("rejected", "cancelled")
    assert vehicles.seen(vehicle_id)["configuration"] == {}


def test_status_tells_the_configuration_and_changes_nothing(vehicles: Vehicles, ota: Ota) -> None:  # OTA-5
    vehicle_id = vehicles.register()
    applied = ota.ask(vehicle_id)
    status = ota.ask(vehicle_id, "status")
    assert (status["status"], status["configuration"]) == ("status", applied["configuration"])
    verify(status, vehicles.public_key(vehicle_id))


def test_a_service_without_settings_shows_by_its_code(vehicles: Vehicles, ota: Ota) -> None:
    assert ota.ask(vehicles.register(), configuration={})["configuration"] == {"heated-seats": True}


def test_a_delayed_vehicle_receives_at_once_and_decides_later(vehicles: Vehicles, ota: Ota) -> None:
    command = ota.send(ota.command(vehicles.register(delay_ms=500)))
    ota.received(command)
    assert ota.statuses(command) == ["received"]
    assert ota.result(command)["status"] == "applied"
    assert vehicles.book(command["activation_id"])["vehicle_time_ms"] >= 500


@pytest.mark.parametrize(
    "payload", [{}, {"counter": "1"}, {"kind": "explode"}, {"not_after": "tomorrow"}, {"vehicle_id": "other"}]
)
def test_what_is_no_command_gets_no_answer_and_harms_nothing(
    vehicles: Vehicles, ota: Ota, payload: dict[str, object]
) -> None:
    vehicle_id = vehicles.register()
    before = vehicles.http.get("/health").json()["malformed_commands"]
    broken = (ota.command(vehicle_id) | payload) if payload else {"vehicle_id": vehicle_id}
    ota.publish(vehicle_id, broken)
    wait_until(lambda: vehicles.http.get("/health").json()["malformed_commands"] > before, "the count")
    assert ota.ask(vehicle_id)["status"] == "applied"


def test_a_vehicle_nobody_registered_stays_silent(vehicles: Vehicles, ota: Ota) -> None:
    command = ota.send(ota.command("nobody"))
    time.sleep(SILENCE_S)
    assert ota.answers(command) == []
    assert vehicles.http.get("/vehicles/nobody").status_code == 404
