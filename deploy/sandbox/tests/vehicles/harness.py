"""The over-the-air side of the tests: a real MQTT client, and the vehicles' process to kill and restart."""

import base64
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import httpx
import paho.mqtt.client as mqtt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from paho.mqtt.enums import CallbackAPIVersion

from caas_sandbox.clock import move_clock, real_now, rfc3339

DEADLINE_S = 40.0
# Long enough for an answer that must not come to have come: the vehicles look every 0.1 s.
SILENCE_S = 0.4
HOUR_S = 3600
SIGNED_FIELDS = (
    *("vehicle_id", "command_id", "activation_id", "status"),
    *("reason", "permanent", "nonce", "counter", "applied_at"),
)


class StartPartner(Protocol):
    """Starts a partner process and returns it with a client of its HTTP port."""

    def __call__(
        self, partner: str, state_dir: Path, *arguments: str
    ) -> tuple[subprocess.Popen[str], httpx.Client]: ...


def wait_until[T](found: Callable[[], T], what: str) -> T:
    """The first truthy result of `found`; fails when there is none before the deadline."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.01)
    raise AssertionError(f"waited {DEADLINE_S} s in vain for {what}")


def in_hours(hours: float) -> str:
    """Real time plus some hours, as commands carry it."""
    return rfc3339(real_now() + timedelta(hours=hours))


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Vehicles:
    """The vehicles' process with its state, broker and clock."""

    def __init__(self, start: StartPartner, state_dir: Path, *arguments: str, mqtt_port: int = 0) -> None:
        self._start = start
        self._state_dir = state_dir
        self._arguments = arguments
        self.mqtt_port = mqtt_port or a_free_port()
        self.process, self.http = self._started()

    def _started(self) -> tuple[subprocess.Popen[str], httpx.Client]:
        arguments = ("--mqtt-port", str(self.mqtt_port), *self._arguments)
        return self._start("vehicles", self._state_dir, *arguments)

    def kill(self) -> None:
        """SIGKILL: nothing of the process can finish what it was doing."""
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def start_again(self) -> None:
        self.process, self.http = self._started()

    def move_clock(self, hours: float) -> None:
        """Sets business time to that many hours after real time."""
        move_clock(self._state_dir / "clock.json", int(hours * HOUR_S))

    def register(self, behaviour: str = "obey", *, vehicle_id: str = "", delay_ms: int = 0) -> str:
        """Adds or changes a vehicle; returns its id."""
        vehicle_id = vehicle_id or f"vehicle-{uuid4()}"
        body = {"vehicle_id": vehicle_id, "behaviour": behaviour, "delay_ms": delay_ms}
        answer = self.http.post("/vehicles", json=body)
        assert answer.status_code == 200, answer.text
        return vehicle_id

    def public_key(self, vehicle_id: str) -> str:
        key: str = self.seen(vehicle_id)["public_key"]
        return key

    def seen(self, vehicle_id: str) -> dict[str, Any]:
        """What the vehicle itself shows."""
        answer = self.http.get(f"/vehicles/{vehicle_id}")
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content

    def book(self, activation_id: str) -> dict[str, Any]:
        """The vehicle's own record of an activation."""
        rows: list[dict[str, Any]] = self.http.get("/sandbox/books/activations").json()["activations"]
        return next(row for row in rows if row["activation_id"] == activation_id)


class Ota:
    """The over-the-air service: sends commands and collects what the vehicles say."""

    def __init__(self, port: int, *, client_id: str = "", persistent: bool = False) -> None:
        self._port = port
        self._persistent = persistent
        self._client_id = client_id or f"ota-{uuid4()}"
        self._counters: dict[str, int] = {}
        self.acknowledgements: list[dict[str, Any]] = []
        self.reports: dict[str, tuple[bool, dict[str, Any]]] = {}
        self.connect()

    def connect(self, *, subscribe: bool = True) -> None:
        """Connects, and subscribes unless the session should know it from before."""
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=self._client_id, clean_session=not self._persistent
        )
        subscribed = threading.Event()
        self._client.on_message = self._take
        self._client.on_subscribe = lambda *_: subscribed.set()
        wait_until(self._try_connect, "the broker")
        self._client.loop_start()
        if subscribe:
            wait_until(self._client.is_connected, "the connection")
            self._client.subscribe([(f"caas/vehicles/+/{what}", 1) for what in ("acknowledgements", "reported")])
            assert subscribed.wait(DEADLINE_S), "the subscription was not confirmed"

    def _try_connect(self) -> bool:
        try:
            self._client.connect("127.0.0.1", self._port)
        except ConnectionRefusedError:
            return False
        return True

    def disconnect(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def never_reconnect(self) -> None:
        """Stays away once the broker has ended the connection, as a process that hangs would."""
        self._client.reconnect_delay_set(3600, 3600)

    def drop(self) -> None:
        """Loses the connection without a word."""
        connection = self._client.socket()
        assert connection is not None
        self._client.loop_stop()
        connection.close()

    def _take(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        content = json.loads(message.payload)
        if message.topic.endswith("/reported"):
            self.reports[message.topic.split("/")[2]] = (message.retain, content)
        else:
            assert message.topic == f"caas/vehicles/{content['vehicle_id']}/acknowledgements"
            self.acknowledgements.append(content)

    def command(self, vehicle_id: str, kind: str = "activate", **changes: Any) -> dict[str, Any]:
        """A command with the vehicle's next counter, not sent yet."""
        self._counters[vehicle_id] = self._counters.get(vehicle_id, 0) + 1
        return {
            "command_id": str(uuid4()),
            "activation_id": str(uuid4()),
            "vehicle_id": vehicle_id,
            "kind": kind,
            "service_code": "heated-seats",
            "configuration": {"seats.heated": True, "seats.level": 3},
            "nonce": uuid4().hex,
            "counter": self._counters[vehicle_id],
            "not_after": in_hours(24),
            "issued_at": rfc3339(real_now()),
        } | changes

    def send(self, command: dict[str, Any]) -> dict[str, Any]:
        """Sends a command; returns it once the broker has it."""
        self.publish(command["vehicle_id"], command)
        return command

    def publish(self, vehicle_id: str, content: object) -> None:
        """Sends anything to a vehicle; returns once the broker has it."""
        topic = f"caas/vehicles/{vehicle_id}/commands"
        self._client.publish(topic, json.dumps(content), qos=1).wait_for_publish(DEADLINE_S)

    def ask(self, vehicle_id: str, kind: str = "activate", **changes: Any) -> dict[str, Any]:
        """Sends a command and returns its result."""
        return self.result(self.send(self.command(vehicle_id, kind, **changes)))

    def answers(self, command: dict[str, Any]) -> list[dict[str, Any]]:
        """Every acknowledgement of a command so far."""
        return [one for one in list(self.acknowledgements) if one["command_id"] == command["command_id"]]

    def statuses(self, command: dict[str, Any]) -> list[str]:
        return [one["status"] for one in self.answers(command)]

    def results(self, command: dict[str, Any]) -> list[dict[str, Any]]:
        return [one for one in self.answers(command) if one["status"] != "received"]

    def result(self, command: dict[str, Any]) -> dict[str, Any]:
        """The first result of a command, when it has come."""
        return wait_until(lambda: self.results(command), f"the result of {command['kind']}")[0]

    def received(self, command: dict[str, Any]) -> None:
        """Waits until the vehicle says that it has the command."""
        wait_until(lambda: "received" in self.statuses(command), "the receipt")


def verify(acknowledgement: dict[str, Any], public_key: str) -> None:
    """Raises InvalidSignature unless the vehicle with this key said exactly this."""
    values = [acknowledgement[name] for name in SIGNED_FIELDS]
    lines = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))
    key.verify(base64.b64decode(acknowledgement["signature"]), "\n".join(lines).encode())
