"""What a vehicle answers, and whether it may be believed.

Invariant: an acknowledgement without a refusal names a command of ours with its nonce and counter,
comes from that command's vehicle and carries that vehicle's signature.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from caas_ota.domain.command import Command, CommandKind
from caas_ota.domain.vehicle import Configuration, Vehicle


class AckStatus(StrEnum):
    """What became of a command."""

    RECEIVED = "received"
    APPLIED = "applied"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    STATUS = "status"


class Refusal(StrEnum):
    """Why an acknowledgement is not believed; it is stored and changes nothing."""

    MALFORMED = "malformed"
    UNKNOWN_VEHICLE = "unknown_vehicle"
    WRONG_VEHICLE = "wrong_vehicle"
    UNKNOWN_COMMAND = "unknown_command"
    WRONG_ACTIVATION = "wrong_activation"
    WRONG_NONCE = "wrong_nonce"
    WRONG_COUNTER = "wrong_counter"
    UNEXPECTED_STATUS = "unexpected_status"
    NO_INSTANT = "no_instant"
    BAD_SIGNATURE = "bad_signature"
    APPLIED_AFTER_LIMIT = "applied_after_limit"
    PROCESSING_FAILED = "processing_failed"


STALE_COUNTER: Final = "stale_counter"
"""The rejection that says nothing about the activation: a newer command came first."""

_ANSWERS: Final = {
    CommandKind.ACTIVATE: frozenset({AckStatus.RECEIVED, AckStatus.APPLIED, AckStatus.REJECTED}),
    CommandKind.CANCEL: frozenset({AckStatus.RECEIVED, AckStatus.APPLIED, AckStatus.REJECTED, AckStatus.CANCELLED}),
    CommandKind.DEACTIVATE: frozenset({AckStatus.RECEIVED, AckStatus.APPLIED, AckStatus.REJECTED}),
    CommandKind.STATUS: frozenset({AckStatus.RECEIVED, AckStatus.STATUS, AckStatus.REJECTED}),
}


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """One answer as it arrived on the topic of `topic_vehicle_id`; `applied_at` is None if absent."""

    acknowledgement_id: UUID
    topic_vehicle_id: str
    command_id: UUID
    activation_id: UUID
    vehicle_id: str
    status: AckStatus
    reason: str
    permanent: bool
    nonce: str
    counter: int
    applied_at: datetime | None
    configuration: Configuration
    signature: str
    signed_text: str
    raw: str
    arrived_at: datetime

    @property
    def is_final_rejection(self) -> bool:
        """Whether the vehicle has not applied the activation and never will."""
        return self.status is AckStatus.REJECTED and self.permanent and self.reason != STALE_COUNTER

    @property
    def outcome(self) -> str:
        """The code under which the attempt is remembered."""
        return self.reason or str(self.status)


@dataclass(frozen=True, slots=True)
class Report:
    """A vehicle's own, unsigned word on its configuration: for reading, it proves nothing (OTA-5)."""

    vehicle_id: str
    configuration: Configuration
    arrived_at: datetime


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that is neither; kept for whoever looks into it."""

    unreadable_id: UUID
    topic: str
    raw: str
    arrived_at: datetime


Verify = Callable[[str, Acknowledgement], bool]
"""Whether the signature over the signed text is the given public key's (base64 of the raw Ed25519 key)."""


def refusal_of(ack: Acknowledgement, command: Command | None, vehicle: Vehicle, verify: Verify) -> Refusal | None:
    """Why the acknowledgement is not believed, or None. The signature, the dear part, comes last."""
    if vehicle.public_key is None:
        return Refusal.UNKNOWN_VEHICLE
    mismatch = _mismatch(ack, command)
    if mismatch is not None:
        return mismatch
    return None if verify(vehicle.public_key, ack) else Refusal.BAD_SIGNATURE


def _mismatch(ack: Acknowledgement, command: Command | None) -> Refusal | None:
    if ack.vehicle_id != ack.topic_vehicle_id:
        return Refusal.WRONG_VEHICLE
    if command is None or command.vehicle_id != ack.vehicle_id:
        return Refusal.UNKNOWN_COMMAND
    if command.activation_id != ack.activation_id:
        return Refusal.WRONG_ACTIVATION
    if command.nonce is None or command.nonce != ack.nonce:
        return Refusal.WRONG_NONCE
    if command.counter != ack.counter:
        return Refusal.WRONG_COUNTER
    if ack.status not in _ANSWERS[command.kind]:
        return Refusal.UNEXPECTED_STATUS
    if ack.status is AckStatus.APPLIED and ack.applied_at is None:
        return Refusal.NO_INSTANT
    return None
