"""What the activation service may be asked (commands) and the results it publishes once each (OTA-3)."""

from typing import Annotated, ClassVar

from pydantic import Field

from caas_contracts.message import UUID, Code, Instant, Message, NoCardData, Part
from caas_contracts.payments import VoidGround
from caas_contracts.topics import OTA_COMMANDS, OTA_EVENTS

ConfigurationValue = Annotated[str, NoCardData] | int | bool


class ActivateService(Message):
    """Apply a configuration to a vehicle, at the latest at `not_after`: the car refuses it later."""

    TYPE: ClassVar[str] = "caas.ota.ActivateService.v1"
    TOPIC: ClassVar = OTA_COMMANDS
    KEY: ClassVar[str] = "vehicle_id"

    activation_id: UUID
    purchase_id: UUID
    payment_id: UUID | None = Field(default=None, description="none when no payment waits for the result (SUB-1)")
    vehicle_id: Code
    service_code: Code
    configuration: dict[Code, ConfigurationValue]
    not_after: Instant
    requested_at: Instant


class CancelActivation(Message):
    """Stop an activation that is not applied yet (SVC-11); an applied one stays and is reported as success."""

    TYPE: ClassVar[str] = "caas.ota.CancelActivation.v1"
    TOPIC: ClassVar = OTA_COMMANDS
    KEY: ClassVar[str] = "vehicle_id"

    activation_id: UUID
    vehicle_id: Code
    reason: Code
    requested_at: Instant


class DeactivateService(Message):
    """Remove a service from a vehicle (OTA-4); followed until it is done."""

    TYPE: ClassVar[str] = "caas.ota.DeactivateService.v1"
    TOPIC: ClassVar = OTA_COMMANDS
    KEY: ClassVar[str] = "vehicle_id"

    deactivation_id: UUID
    activation_id: UUID
    vehicle_id: Code
    service_code: Code
    reason: Code
    requested_at: Instant


class ActivationEvidence(Part):
    """The vehicle's own signed acknowledgement, as verified by ota with the vehicle's registered key."""

    command_id: UUID
    nonce: Annotated[str, Field(min_length=8, max_length=64), NoCardData]
    counter: Annotated[int, Field(ge=1)]
    applied_at: Instant
    signature: Annotated[str, Field(min_length=40, max_length=128, description="base64 Ed25519"), NoCardData]


class ActivationAttempt(Part):
    """One command to the vehicle and what became of it."""

    number: Annotated[int, Field(ge=1)]
    command_id: UUID
    sent_at: Instant
    answered_at: Instant | None = None
    outcome: Code


class ActivationEvent(Message):
    """What every result of an activation says."""

    TOPIC: ClassVar = OTA_EVENTS
    KEY: ClassVar[str] = "activation_id"

    activation_id: UUID
    purchase_id: UUID
    payment_id: UUID | None = Field(default=None, description="none when no payment waits for the result (SUB-1)")
    vehicle_id: Code
    service_code: Code
    occurred_at: Instant


class ServiceActivated(ActivationEvent):
    """The vehicle applied the service; `evidence` proves it. `late` when it came after the result was failed."""

    TYPE: ClassVar[str] = "caas.ota.ServiceActivated.v1"

    evidence: ActivationEvidence
    attempts: list[ActivationAttempt]
    not_after: Instant
    late: bool = False
    vehicle_ms: Annotated[int, Field(ge=0)] = 0


class ActivationFailed(ActivationEvent):
    """The service is not applied and never will be: `ground` says which stored fact proves it (SVC-5)."""

    TYPE: ClassVar[str] = "caas.ota.ActivationFailed.v1"

    reason: Code
    ground: VoidGround
    attempts: list[ActivationAttempt]
    not_after: Instant
    support_case_id: UUID | None = None


class ServiceDeactivated(ActivationEvent):
    """The vehicle removed the service."""

    TYPE: ClassVar[str] = "caas.ota.ServiceDeactivated.v1"

    deactivation_id: UUID
    reason: Code


class DeactivationDelayed(ActivationEvent):
    """A deactivation used up its retries; it stays on the work list until it is done (OTA-4)."""

    TYPE: ClassVar[str] = "caas.ota.DeactivationDelayed.v1"

    deactivation_id: UUID
    attempts: list[ActivationAttempt]


MESSAGES: tuple[type[Message], ...] = (
    ActivateService,
    CancelActivation,
    DeactivateService,
    ServiceActivated,
    ActivationFailed,
    ServiceDeactivated,
    DeactivationDelayed,
)
