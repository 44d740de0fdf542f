"""Ota with vehicles that apply every command at once and sign that they did, without an MQTT broker between."""

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Final

from bench.serving.vehicle_key import vehicle_key
from caas_chassis.main import run
from caas_contracts.envelope import rfc3339
from caas_ota.app import build
from caas_ota.gateway.messages import Inbound, VehicleCommand
from caas_ota.gateway.vehicles import Now, Publication, Receive, SetAside
from caas_ota.settings import OtaSettings

ACKNOWLEDGED_TOGETHER: Final = 500
STOP_TIMEOUT_S: Final = 10.0


class ObedientVehicles:
    """The link to such vehicles."""

    name = "vehicles"

    def __init__(self, receive: Receive, _: SetAside, now: Now) -> None:
        self._receive = receive
        self._now = now
        self._key = vehicle_key()
        self._waiting: asyncio.Queue[VehicleCommand] = asyncio.Queue()
        self._answering: asyncio.Task[None] | None = None

    @property
    def healthy(self) -> bool:
        """Whether acknowledgements come."""
        return self._answering is not None and not self._answering.done()

    async def start(self) -> None:
        """Begin to answer."""
        self._answering = asyncio.create_task(self._answer(), name=self.name)

    async def stop(self) -> None:
        """Stop answering."""
        if self._answering is not None:
            self._answering.cancel()
            await asyncio.wait({self._answering}, timeout=STOP_TIMEOUT_S)

    async def publish(self, commands: Sequence[VehicleCommand]) -> Publication:
        """Take the commands over."""
        for command in commands:
            self._waiting.put_nowait(command)
        return Publication(frozenset(command.command_id for command in commands))

    async def _answer(self) -> None:
        while True:
            commands = [await self._waiting.get()]
            while not self._waiting.empty() and len(commands) < ACKNOWLEDGED_TOGETHER:
                commands.append(self._waiting.get_nowait())
            await self._receive([self._acknowledgement(command) for command in commands])

    def _acknowledgement(self, command: VehicleCommand) -> Inbound:
        now = self._now()
        answer = {
            "command_id": str(command.command_id),
            "activation_id": str(command.activation_id),
            "vehicle_id": command.vehicle_id,
            "status": "applied",
            "reason": "",
            "permanent": False,
            "nonce": command.nonce,
            "counter": command.counter,
            "applied_at": rfc3339(now),
        }
        order = ("vehicle_id", "command_id", "activation_id", "status", "reason", "permanent", "nonce", "counter")
        text = "\n".join([*(_word(answer[name]) for name in order), str(answer["applied_at"])])
        signature = base64.b64encode(self._key.sign(text.encode())).decode()
        body = json.dumps({**answer, "configuration": command.configuration, "signature": signature})
        return Inbound(f"caas/vehicles/{command.vehicle_id}/acknowledgements", body.encode(), now)


def _word(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    run(OtaSettings, lambda settings: build(settings, ObedientVehicles))
