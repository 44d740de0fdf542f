"""What each behaviour does differently from an honest vehicle, and nothing else."""

import time

from .harness import SILENCE_S, Ota, Vehicles, in_hours, verify, wait_until


def test_fail_twice_is_busy_for_two_commands_and_then_obeys(vehicles: Vehicles, ota: Ota) -> None:  # OTA-2
    vehicle_id = vehicles.register("fail_twice")
    first = ota.ask(vehicle_id)
    answers = [first, *(ota.ask(vehicle_id, activation_id=first["activation_id"]) for _ in range(2))]
    assert [one["status"] for one in answers] == ["rejected", "rejected", "applied"]
    assert {(one["reason"], one["permanent"]) for one in answers[:2]} == {("busy", False)}
    assert ota.ask(vehicle_id)["reason"] == "busy", "each activation fails twice"


def test_fail_twice_repeats_its_refusal_for_a_repeated_command(vehicles: Vehicles, ota: Ota) -> None:
    command = ota.send(ota.command(vehicles.register("fail_twice")))
    first = ota.result(command)
    for _ in range(2):
        ota.send(command)
    wait_until(lambda: len(ota.results(command)) == 3, "three refusals")
    assert ota.results(command) == [first] * 3


def test_silent_says_nothing_until_its_behaviour_changes(vehicles: Vehicles, ota: Ota) -> None:
    vehicle_id = vehicles.register("silent")
    command = ota.send(ota.command(vehicle_id))
    cancel = ota.send(ota.command(vehicle_id, "cancel"))
    time.sleep(SILENCE_S)
    assert ota.answers(command) == []
    assert ota.answers(cancel) == []
    assert vehicles.seen(vehicle_id)["configuration"] == {}
    vehicles.register("obey", vehicle_id=vehicle_id)
    assert ota.result(command)["status"] == "applied"
    assert ota.result(cancel)["status"] == "cancelled"
    assert ota.statuses(command) == ["received", "applied"]


def test_silent_still_tells_its_status(vehicles: Vehicles, ota: Ota) -> None:  # SVC-5
    vehicle_id = vehicles.register("silent")
    assert ota.ask(vehicle_id, "status")["configuration"] == {}


def test_silent_does_not_apply_what_expired_meanwhile(own_vehicles: Vehicles, own_ota: Ota) -> None:
    vehicle_id = own_vehicles.register("silent")
    command = own_ota.send(own_ota.command(vehicle_id, not_after=in_hours(1)))
    wait_until(lambda: own_vehicles.http.get("/sandbox/books").json()["activations"] == 1, "the command")
    own_vehicles.move_clock(hours=2)
    own_vehicles.register("obey", vehicle_id=vehicle_id)
    assert own_ota.result(command)["reason"] == "expired"


def test_incompatible_refuses_for_good(vehicles: Vehicles, ota: Ota) -> None:  # OTA-2
    refused = ota.ask(vehicles.register("incompatible"))
    assert (refused["status"], refused["reason"], refused["permanent"]) == ("rejected", "incompatible", True)


def test_lost_ack_applies_but_answers_only_the_repeated_command(vehicles: Vehicles, ota: Ota) -> None:
    vehicle_id = vehicles.register("lost_ack")
    command = ota.send(ota.command(vehicle_id))
    wait_until(lambda: vehicles.seen(vehicle_id)["applied"], "the effect")
    time.sleep(SILENCE_S)
    assert ota.statuses(command) == ["received"]
    ota.send(command)
    applied = ota.result(command)
    assert applied["applied_at"] == vehicles.seen(vehicle_id)["applied"][0]["applied_at"]
    verify(applied, vehicles.public_key(vehicle_id))


def test_late_ack_applies_in_time_and_says_so_two_hours_after_the_limit(
    own_vehicles: Vehicles, own_ota: Ota
) -> None:  # SVC-10
    vehicle_id = own_vehicles.register("late_ack")
    command = own_ota.send(own_ota.command(vehicle_id, not_after=in_hours(1)))
    cancel = own_ota.command(vehicle_id, "cancel", activation_id=command["activation_id"], not_after=None)
    wait_until(lambda: own_vehicles.seen(vehicle_id)["applied"], "the effect")
    own_ota.send(cancel)
    own_ota.send(command)
    own_vehicles.move_clock(hours=2.9)
    time.sleep(SILENCE_S)
    assert own_ota.results(command) == own_ota.results(cancel) == []
    own_vehicles.move_clock(hours=3.1)
    applied = own_ota.result(command)
    assert applied["status"] == own_ota.result(cancel)["status"] == "applied"
    assert applied["applied_at"] <= command["not_after"]


def test_duplicate_acks_says_everything_three_times(vehicles: Vehicles, ota: Ota) -> None:
    command = ota.send(ota.command(vehicles.register("duplicate_acks")))
    wait_until(lambda: len(ota.results(command)) == 3, "three results")
    assert ota.statuses(command) == ["received"] * 3 + ["applied"] * 3


def test_fails_deactivation_twice_keeps_the_service_until_the_third_command(
    vehicles: Vehicles, ota: Ota
) -> None:  # OTA-4
    vehicle_id = vehicles.register("fails_deactivation_twice")
    activation_id = ota.ask(vehicle_id)["activation_id"]
    answers = [ota.ask(vehicle_id, "deactivate", activation_id=activation_id) for _ in range(3)]
    assert [(one["status"], one["reason"]) for one in answers] == [
        ("rejected", "busy"),
        ("rejected", "busy"),
        ("applied", ""),
    ]
    assert [bool(one["configuration"]) for one in answers] == [True, True, False]


def test_changing_the_behaviour_keeps_the_key(vehicles: Vehicles) -> None:
    vehicle_id = vehicles.register()
    key = vehicles.public_key(vehicle_id)
    vehicles.register("silent", vehicle_id=vehicle_id)
    assert vehicles.public_key(vehicle_id) == key


def test_a_batch_registers_many(vehicles: Vehicles) -> None:
    batch = [{"vehicle_id": f"batch-{number}", "behaviour": "obey"} for number in range(50)]
    registered = vehicles.http.post("/vehicles/batch", json=batch).json()
    assert [one["vehicle_id"] for one in registered] == [one["vehicle_id"] for one in batch]
    assert len({one["public_key"] for one in registered}) == 50


def test_a_behaviour_that_does_not_exist_is_refused(vehicles: Vehicles) -> None:
    answer = vehicles.http.post("/vehicles", json={"vehicle_id": "v", "behaviour": "fly"})
    assert answer.status_code == 422
    assert vehicles.http.post("/vehicles", json={"vehicle_id": "a/b"}).status_code == 422
