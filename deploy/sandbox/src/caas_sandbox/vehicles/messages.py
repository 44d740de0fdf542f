"""The messages between the over-the-air service and a vehicle: commands in, signed acknowledgements out.

A vehicle signs what it says with its own Ed25519 key; the signature covers every field that
decides about money, so nobody between vehicle and service can turn a rejection into a success.
"""

import base64
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from caas_sandbox.clock import parse_rfc3339

type Setting = str | int | bool
type Configuration = dict[str, Setting]

COMMANDS_FILTER = "caas/vehicles/+/commands"
_TOPIC_LEVELS = 4


class CommandKind(StrEnum):
    """What a command asks of the vehicle."""

    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    CANCEL = "cancel"
    STATUS = "status"


class AckStatus(StrEnum):
    """What an acknowledgement says became of the command."""

    RECEIVED = "received"
    APPLIED = "applied"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    STATUS = "status"


class Reason(StrEnum):
    """Why a command was rejected; empty for every other acknowledgement."""

    NONE = ""
    INCOMPATIBLE = "incompatible"
    EXPIRED = "expired"
    STALE_COUNTER = "stale_counter"
    BUSY = "busy"
    CANCELLED = "cancelled"


class MalformedCommandError(Exception):
    """The payload is not a command; a vehicle drops it without an answer."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command as a vehicle reads it; `not_after` is business time, aware, or None for no limit."""

    command_id: str
    activation_id: str
    vehicle_id: str
    kind: CommandKind
    service_code: str
    configuration: Configuration
    nonce: str
    counter: int
    not_after: datetime | None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a vehicle answers; `applied_at` is RFC 3339 in business time, or empty."""

    command_id: str
    activation_id: str
    vehicle_id: str
    status: AckStatus
    reason: Reason
    permanent: bool
    nonce: str
    counter: int
    applied_at: str
    configuration: Configuration

    def signed_text(self) -> str:
        """The text that the signature covers: one field a line, in this order."""
        return "\n".join(
            [
                self.vehicle_id,
                self.command_id,
                self.activation_id,
                self.status,
                self.reason,
                "true" if self.permanent else "false",
                self.nonce,
                str(self.counter),
                self.applied_at,
            ]
        )

    def encode(self, key: Ed25519PrivateKey) -> bytes:
        """The JSON payload with the vehicle's signature in base64."""
        signature = key.sign(self.signed_text().encode())
        content = asdict(self) | {"signature": base64.b64encode(signature).decode()}
        return json.dumps(content, separators=(",", ":")).encode()


def acknowledgements_topic(vehicle_id: str) -> str:
    """Where the vehicle answers."""
    return f"caas/vehicles/{vehicle_id}/acknowledgements"


def reported_topic(vehicle_id: str) -> str:
    """Where the vehicle's full configuration is retained."""
    return f"caas/vehicles/{vehicle_id}/reported"


def is_commands_topic(topic: str) -> bool:
    """Whether the topic is one that commands arrive on."""
    levels = topic.split("/")
    return len(levels) == _TOPIC_LEVELS and levels[:2] == ["caas", "vehicles"] and levels[3] == "commands"


def parse_command(topic: str, payload: bytes) -> Command:
    """The command in `payload`; raises MalformedCommandError when it is not one for the topic's vehicle."""
    try:
        content = json.loads(payload)
        command = _command_from(content)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedCommandError(f"not a command: {error!r}") from error
    if command.vehicle_id != topic.split("/")[2]:
        raise MalformedCommandError(f"command for {command.vehicle_id!r} on {topic!r}")
    return command


def _command_from(content: Any) -> Command:
    not_after = content.get("not_after") if isinstance(content, dict) else None
    counter = content["counter"]
    if not isinstance(counter, int) or isinstance(counter, bool):
        raise TypeError("counter must be an integer")
    return Command(
        command_id=_text(content, "command_id"),
        activation_id=_text(content, "activation_id"),
        vehicle_id=_text(content, "vehicle_id"),
        kind=CommandKind(content["kind"]),
        service_code=_text(content, "service_code"),
        configuration=_configuration(content.get("configuration") or {}),
        nonce=_text(content, "nonce"),
        counter=counter,
        not_after=parse_rfc3339(not_after) if not_after else None,
    )


def _text(content: dict[str, Any], name: str) -> str:
    value = content[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text")
    return value


def _configuration(value: Any) -> Configuration:
    if not isinstance(value, dict) or not all(isinstance(setting, str | int) for setting in value.values()):
        raise TypeError("configuration must map names to text, integers or booleans")
    return value
