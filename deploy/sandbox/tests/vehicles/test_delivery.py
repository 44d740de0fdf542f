"""Nothing said is lost: persistent sessions, retained configurations, killed processes, outside brokers."""

import time

from .harness import SILENCE_S, Ota, Vehicles, wait_until


def test_what_is_said_while_the_service_is_away_is_delivered_when_it_returns(vehicles: Vehicles) -> None:
    service = Ota(vehicles.mqtt_port, persistent=True)
    service.disconnect()
    # Another connection sends: a result on its way while the service disconnects may rightly be delivered twice.
    sender = Ota(vehicles.mqtt_port)
    vehicle_id = vehicles.register(delay_ms=300)
    commands = [sender.send(service.command(vehicle_id)) for _ in range(20)]
    wait_until(lambda: len(vehicles.seen(vehicle_id)["applied"]) == 20, "the effects")
    wait_until(lambda: vehicles.book(commands[-1]["activation_id"])["vehicle_time_ms"], "the sending")
    # The subscription is part of the session, so it is not made again.
    service.connect(subscribe=False)
    for command in commands:
        assert service.result(command)["status"] == "applied"
    time.sleep(SILENCE_S)
    assert [len(service.results(command)) for command in commands] == [1] * 20
    service.disconnect()
    sender.disconnect()


def test_a_lost_connection_loses_no_acknowledgement(vehicles: Vehicles) -> None:
    service = Ota(vehicles.mqtt_port, persistent=True)
    vehicle_ids = [vehicles.register() for _ in range(50)]
    commands = [service.send(service.command(vehicle_id)) for vehicle_id in vehicle_ids]
    service.drop()
    wait_until(lambda: all(vehicles.seen(vehicle_id)["applied"] for vehicle_id in vehicle_ids), "the effects")
    service.connect(subscribe=False)
    for command in commands:
        assert service.result(command)["status"] == "applied"
    service.disconnect()


def test_a_second_connection_takes_the_session_over(vehicles: Vehicles) -> None:
    first = Ota(vehicles.mqtt_port, client_id="taken-over", persistent=True)
    first.never_reconnect()
    second = Ota(vehicles.mqtt_port, client_id="taken-over", persistent=True)
    vehicle_id = vehicles.register()
    assert second.ask(vehicle_id)["status"] == "applied"
    first.disconnect()
    assert second.ask(vehicle_id)["status"] == "applied"
    second.disconnect()


def test_the_configuration_is_retained_for_whoever_subscribes_later(vehicles: Vehicles, ota: Ota) -> None:  # OTA-5
    vehicle_id = vehicles.register()
    applied = ota.ask(vehicle_id)
    wait_until(lambda: ota.reports.get(vehicle_id, (0, {"configuration": {}}))[1]["configuration"], "the report")
    late = Ota(vehicles.mqtt_port)
    wait_until(lambda: vehicle_id in late.reports, "the retained report")
    retained, report = late.reports[vehicle_id]
    assert retained
    assert report["configuration"] == applied["configuration"]
    late.disconnect()


def test_a_killed_process_remembers_what_it_applied(own_vehicles: Vehicles, own_ota: Ota) -> None:
    vehicle_id = own_vehicles.register()
    key = own_vehicles.public_key(vehicle_id)
    command = own_ota.send(own_ota.command(vehicle_id))
    first = own_ota.result(command)
    cancelled = own_ota.ask(vehicle_id, "cancel")
    own_vehicles.kill()
    own_vehicles.start_again()
    assert own_vehicles.public_key(vehicle_id) == key
    again = Ota(own_vehicles.mqtt_port)
    again.send(command)
    assert again.result(command) == first
    refused = again.ask(vehicle_id, activation_id=cancelled["activation_id"], counter=99)
    assert refused["reason"] == "cancelled"
    assert again.ask(vehicle_id, counter=98)["reason"] == "stale_counter"
    assert len(own_vehicles.seen(vehicle_id)["applied"]) == 1
    wait_until(lambda: vehicle_id in again.reports, "the report after the restart")
    again.disconnect()


def test_a_process_killed_before_the_result_gives_it_after_the_restart(guests: Vehicles, ota: Ota) -> None:
    # On an outside broker: the service's subscription outlives the vehicles, however soon the result comes.
    vehicle_id = guests.register(delay_ms=1500)
    command = ota.send(ota.command(vehicle_id))
    ota.received(command)
    guests.kill()
    assert ota.statuses(command) == ["received"]
    guests.start_again()
    assert ota.result(command)["status"] == "applied"
    assert len(guests.seen(vehicle_id)["applied"]) == 1


def test_silence_and_lateness_survive_a_kill(own_vehicles: Vehicles, own_ota: Ota) -> None:
    silent, late = own_vehicles.register("silent"), own_vehicles.register("late_ack")
    withheld = own_ota.send(own_ota.command(silent))
    held = own_ota.send(own_ota.command(late))
    wait_until(lambda: own_vehicles.http.get("/sandbox/books").json()["activations"] == 2, "the commands")
    wait_until(lambda: own_vehicles.seen(late)["applied"], "the effect")
    own_vehicles.kill()
    own_vehicles.start_again()
    again = Ota(own_vehicles.mqtt_port)
    own_vehicles.register("obey", vehicle_id=silent)
    own_vehicles.register("obey", vehicle_id=late)
    assert again.result(withheld)["status"] == again.result(held)["status"] == "applied"
    again.disconnect()


def test_vehicles_can_live_on_an_outside_broker(guests: Vehicles, ota: Ota) -> None:
    vehicle_id = guests.register()
    assert ota.ask(vehicle_id)["status"] == "applied"


def test_sigterm_ends_the_process_with_status_0(own_vehicles: Vehicles) -> None:
    own_vehicles.process.terminate()
    assert own_vehicles.process.wait(10) == 0


def test_books_add_up(own_vehicles: Vehicles, own_ota: Ota) -> None:
    vehicle_ids = [own_vehicles.register() for _ in range(5)]
    applied = [own_ota.ask(vehicle_id) for vehicle_id in vehicle_ids]
    own_ota.ask(vehicle_ids[0], "deactivate", activation_id=applied[0]["activation_id"])
    books = own_vehicles.http.get("/sandbox/books").json()
    assert (books["applied_total"], books["active_now"], books["commands"]) == (5, 4, 6)
    assert books["by_vehicle"] == dict.fromkeys(vehicle_ids[1:], 1)
