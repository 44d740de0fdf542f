"""What travels between ota and a vehicle over MQTT: commands out, signed acknowledgements and reports in."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from caas_chassis.ids import new_id
from caas_contracts.ota import ConfigurationValue
from caas_ota.domain.acknowledgement import Acknowledgement, AckStatus, Report, Unreadable
from caas_ota.domain.activation import Activation
from caas_ota.domain.command import Command, CommandKind

ACKNOWLEDGEMENTS: Final = "caas/vehicles/+/acknowledgements"
REPORTS: Final = "caas/vehicles/+/reported"
# A full configuration is a few hundred bytes; what is much larger is no acknowledgement.
MAX_PAYLOAD_BYTES: Final = 16 * 1024
MAX_RAW_CHARACTERS: Final = 4096
_TOPIC: Final = re.compile(r"caas/vehicles/([A-Za-z0-9._:-]{1,100})/(acknowledgements|reported)")

_WIRE: Final = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)
_Short = Annotated[str, Field(max_length=128)]
_Word = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._:-]*$")]
_Settings = Annotated[dict[Annotated[str, Field(max_length=64)], ConfigurationValue], Field(max_length=200)]


@dataclass(frozen=True, slots=True)
class Inbound:
    """One MQTT message as it arrived; `arrived_at` is the business instant of its arrival."""

    topic: str
    payload: bytes
    arrived_at: datetime


class VehicleCommand(BaseModel):
    """One command on the wire; sent again it is the same to the byte."""

    model_config = _WIRE

    command_id: UUID
    activation_id: UUID
    vehicle_id: str
    kind: CommandKind
    service_code: str
    configuration: dict[str, ConfigurationValue]
    nonce: str
    counter: int
    not_after: str | None
    issued_at: str

    @property
    def topic(self) -> str:
        """Where the vehicle listens."""
        return f"caas/vehicles/{self.vehicle_id}/commands"


class _VehicleAcknowledgement(BaseModel):
    model_config = _WIRE

    command_id: _Short
    activation_id: _Short
    vehicle_id: _Short
    status: _Short
    reason: _Word
    permanent: bool
    nonce: _Short
    counter: Annotated[int, Field(ge=0, le=2**62)]
    applied_at: _Short
    configuration: _Settings
    signature: _Short

    def signed_text(self) -> str:
        """What the signature covers, one field a line."""
        parts = [self.vehicle_id, self.command_id, self.activation_id, self.status, self.reason]
        parts += ["true" if self.permanent else "false", self.nonce, str(self.counter), self.applied_at]
        return "\n".join(parts)


class _VehicleReport(BaseModel):
    model_config = _WIRE

    vehicle_id: str
    configuration: _Settings


_READ_ACKNOWLEDGEMENT: Final = TypeAdapter(_VehicleAcknowledgement)
_READ_REPORT: Final = TypeAdapter(_VehicleReport)


def command_to_send(command: Command, activation: Activation) -> VehicleCommand:
    """The wire form. Only activating has a time limit: removing and cancelling late is still wanted."""
    if command.nonce is None or command.counter is None:
        raise AssertionError(f"command {command.command_id} has not been dispatched")
    is_activate = command.kind is CommandKind.ACTIVATE
    return VehicleCommand(
        command_id=command.command_id,
        activation_id=command.activation_id,
        vehicle_id=command.vehicle_id,
        kind=command.kind,
        service_code=activation.service_code,
        configuration=dict(sorted(activation.configuration.items())) if is_activate else {},
        nonce=command.nonce,
        counter=command.counter,
        not_after=_rfc3339(activation.not_after) if is_activate else None,
        issued_at=_rfc3339(command.sent_at[0]),
    )


def read_inbound(message: Inbound) -> Acknowledgement | Report | Unreadable:
    """What a vehicle said. Nothing is believed yet: signatures are the caller's to check."""
    topic = _TOPIC.fullmatch(message.topic)
    if topic is None or len(message.payload) > MAX_PAYLOAD_BYTES:
        return _unreadable(message)
    try:
        if topic[2] == "reported":
            report = _READ_REPORT.validate_json(message.payload)
            return Report(topic[1], report.configuration, message.arrived_at)
        return _acknowledgement(topic[1], _READ_ACKNOWLEDGEMENT.validate_json(message.payload), message)
    except (ValidationError, ValueError):
        return _unreadable(message)


def _acknowledgement(topic_vehicle_id: str, wire: _VehicleAcknowledgement, message: Inbound) -> Acknowledgement:
    return Acknowledgement(
        acknowledgement_id=new_id(),
        topic_vehicle_id=topic_vehicle_id,
        command_id=UUID(wire.command_id),
        activation_id=UUID(wire.activation_id),
        vehicle_id=wire.vehicle_id,
        status=AckStatus(wire.status),
        reason=wire.reason,
        permanent=wire.permanent,
        nonce=wire.nonce,
        counter=wire.counter,
        applied_at=_instant(wire.applied_at),
        configuration=wire.configuration,
        signature=wire.signature,
        signed_text=wire.signed_text(),
        raw=_raw(message.payload),
        arrived_at=message.arrived_at,
    )


def _unreadable(message: Inbound) -> Unreadable:
    return Unreadable(new_id(), _text(message.topic)[:200], _raw(message.payload), message.arrived_at)


def _raw(payload: bytes) -> str:
    return _text(payload.decode(errors="replace"))[:MAX_RAW_CHARACTERS]


def _text(text: str) -> str:
    # PostgreSQL has no NUL in text, and no surrogates.
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _instant(text: str) -> datetime | None:
    """An aware instant; None for an empty text. Raises ValueError for one without a time zone."""
    if not text:
        return None
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone")
    return instant.astimezone(UTC)
