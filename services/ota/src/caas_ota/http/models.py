"""The answers of ota's HTTP interface."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from caas_contracts.ota import ConfigurationValue
from caas_ota.domain.acknowledgement import Refusal
from caas_ota.domain.activation import ActivationStatus
from caas_ota.domain.command import CommandKind, CommandState
from caas_ota.domain.deactivation import DeactivationStatus


class ConfiguredService(BaseModel):
    """A service that the vehicle has or is to have."""

    activation_id: UUID
    service_code: str
    status: ActivationStatus


class VehicleConfiguration(BaseModel):
    """OTA-5: what the vehicle should have, and what it last said that it has."""

    vehicle_id: str
    model: str | None
    desired: dict[str, ConfigurationValue]
    reported: dict[str, ConfigurationValue]
    reported_at: datetime | None
    in_sync: bool
    services: list[ConfiguredService]


class SentCommand(BaseModel):
    """A command to the vehicle; `sent_at` has an instant for each time it was sent."""

    command_id: UUID
    kind: CommandKind
    state: CommandState
    attempt: int
    counter: int | None
    sent_at: list[datetime]
    received_at: datetime | None
    answered_at: datetime | None
    outcome: str | None


class ReceivedAcknowledgement(BaseModel):
    """What the vehicle said; refused ones changed nothing."""

    acknowledgement_id: UUID
    command_id: UUID | None
    status: str
    verified: bool
    refusal: Refusal | None
    arrived_at: datetime


class ActivationDetail(BaseModel):
    """One activation with its whole history."""

    activation_id: UUID
    purchase_id: UUID
    payment_id: UUID | None = Field(description="none for subscriptions: nothing is paid on activation (SUB-1)")
    vehicle_id: str
    service_code: str
    status: ActivationStatus
    not_after: datetime
    requested_at: datetime
    cancel_reason: str | None
    failure_reason: str | None
    ground: str | None
    uncertain: bool = Field(description="failed by its deadline alone: the vehicle is still asked")
    applied_at: datetime | None
    finished_at: datetime | None
    deactivated_at: datetime | None
    support_case_id: UUID | None
    commands: list[SentCommand]
    acknowledgements: list[ReceivedAcknowledgement]


class Attempt(BaseModel):
    """One sending of a command and what became of it."""

    number: int
    command_id: UUID
    sent_at: datetime
    answered_at: datetime | None
    outcome: str


class SupportCaseDetail(BaseModel):
    """SVC-5: a failed activation for technical support."""

    support_case_id: UUID
    activation_id: UUID
    vehicle_id: str
    reason: str
    attempts: list[Attempt]
    opened_at: datetime
    vehicle_status: dict[str, ConfigurationValue] | None = Field(
        description="the vehicle's configuration, once it has answered"
    )
    vehicle_status_at: datetime | None


class SupportCases(BaseModel):
    """A page of support cases, newest first; ask with `before` = `next` for the one after."""

    support_cases: list[SupportCaseDetail]
    next: UUID | None


class DeactivationDetail(BaseModel):
    """One entry of the work list (OTA-4)."""

    deactivation_id: UUID
    activation_id: UUID
    vehicle_id: str
    service_code: str
    reason: str
    status: DeactivationStatus
    requested_at: datetime
    delayed_at: datetime | None
    done_at: datetime | None


class Deactivations(BaseModel):
    """A page of deactivations, newest first; ask with `before` = `next` for the one after."""

    deactivations: list[DeactivationDetail]
    next: UUID | None
