"""One activation: a service to be applied in one vehicle, at the latest at `not_after`.

Invariants: it ends once, as applied, failed or cancelled (OTA-3); only a verified acknowledgement,
whose id it keeps, makes it applied (SVC-6).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

from caas_contracts.ota import (
    ActivateService,
    ActivationAttempt,
    ActivationEvidence,
    ActivationFailed,
    ServiceActivated,
)
from caas_contracts.payments import VoidGround
from caas_ota.domain.acknowledgement import Acknowledgement
from caas_ota.domain.origin import Origin
from caas_ota.domain.vehicle import Configuration


class ActivationStatus(StrEnum):
    """Where an activation is."""

    REQUESTED = "requested"
    """Waits for its turn at the vehicle: nothing was sent."""
    SENT = "sent"
    """A command is on its way: whether the vehicle applied it is not known."""
    APPLIED = "applied"
    """The vehicle proved that it applied the service in time."""
    FAILED = "failed"
    """The service is not applied, on a ground that the charge fence accepts."""
    CANCELLED = "cancelled"
    """As failed, because it was asked to be cancelled."""
    APPLIED_LATE = "applied_late"
    """A proof of success came after failed or cancelled was published: it is to be deactivated (SVC-10)."""


TRANSITIONS: Final[Mapping[ActivationStatus, frozenset[ActivationStatus]]] = {
    ActivationStatus.REQUESTED: frozenset({ActivationStatus.SENT, ActivationStatus.FAILED, ActivationStatus.CANCELLED}),
    ActivationStatus.SENT: frozenset({ActivationStatus.APPLIED, ActivationStatus.FAILED, ActivationStatus.CANCELLED}),
    ActivationStatus.FAILED: frozenset({ActivationStatus.APPLIED_LATE}),
    ActivationStatus.CANCELLED: frozenset({ActivationStatus.APPLIED_LATE}),
    ActivationStatus.APPLIED: frozenset(),
    ActivationStatus.APPLIED_LATE: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Activation:
    """`uncertain` says that it failed by its deadline alone: the vehicle is still to be heard."""

    activation_id: UUID
    purchase_id: UUID
    payment_id: UUID | None
    vehicle_id: str
    service_code: str
    configuration: Configuration
    not_after: datetime
    requested_at: datetime
    origin: Origin
    status: ActivationStatus = ActivationStatus.REQUESTED
    cancel_reason: str | None = None
    failure_reason: str | None = None
    ground: VoidGround | None = None
    uncertain: bool = False
    evidence_id: UUID | None = None
    applied_at: datetime | None = None
    finished_at: datetime | None = None
    deactivated_at: datetime | None = None
    support_case_id: UUID | None = None

    @classmethod
    def requested(cls, message: ActivateService, origin: Origin) -> Self:
        """A new activation as orders asked for it."""
        return cls(
            activation_id=message.activation_id,
            purchase_id=message.purchase_id,
            payment_id=message.payment_id,
            vehicle_id=message.vehicle_id,
            service_code=message.service_code,
            configuration=dict(message.configuration),
            not_after=message.not_after,
            requested_at=message.requested_at,
            origin=origin,
        )

    @property
    def is_pending(self) -> bool:
        """Whether its result is still to be published."""
        return self.status in (ActivationStatus.REQUESTED, ActivationStatus.SENT)

    def asks_the_same(self, other: Self) -> bool:
        """Whether two requests under one id want the same thing."""
        return self._content() == other._content()

    def sent(self) -> Self:
        """Its command is the vehicle's current one; sent again it stays sent."""
        if self.status is not ActivationStatus.REQUESTED:
            return self
        return self._to(ActivationStatus.SENT)

    def asked_to_cancel(self, reason: str) -> Self:
        """The customer gives it up; what the vehicle proves decides (SVC-11)."""
        return replace(self, cancel_reason=self.cancel_reason or reason)

    def applied(self, proof: Acknowledgement, applied_at: datetime, now: datetime) -> Self:
        """The vehicle proved it; late when another result was published before."""
        status = ActivationStatus.APPLIED if self.is_pending else ActivationStatus.APPLIED_LATE
        return replace(
            self._to(status),
            evidence_id=proof.acknowledgement_id,
            applied_at=applied_at,
            finished_at=now,
            uncertain=False,
        )

    def success(
        self,
        proof: Acknowledgement,
        applied_at: datetime,
        attempts: Sequence[ActivationAttempt],
        *,
        vehicle_ms: int,
    ) -> ServiceActivated:
        """The result of an activation that is applied, with its proof (OTA-3)."""
        return ServiceActivated(
            activation_id=self.activation_id,
            purchase_id=self.purchase_id,
            payment_id=self.payment_id,
            vehicle_id=self.vehicle_id,
            service_code=self.service_code,
            occurred_at=self.finished_at or applied_at,
            evidence=ActivationEvidence(
                command_id=proof.command_id,
                nonce=proof.nonce,
                counter=proof.counter,
                applied_at=applied_at,
                signature=proof.signature,
            ),
            attempts=list(attempts),
            not_after=self.not_after,
            late=self.status is ActivationStatus.APPLIED_LATE,
            vehicle_ms=vehicle_ms,
        )

    def failed(
        self,
        ground: VoidGround,
        reason: str,
        attempts: Sequence[ActivationAttempt],
        *,
        support_case_id: UUID | None,
        now: datetime,
    ) -> tuple[Self, ActivationFailed]:
        """The end without success (SVC-5)."""
        is_wish = self.ends_as_wished(ground)
        failed = replace(
            self._to(ActivationStatus.CANCELLED if is_wish else ActivationStatus.FAILED),
            ground=ground,
            failure_reason=reason,
            uncertain=ground is VoidGround.DEADLINE_PASSED and self.status is ActivationStatus.SENT,
            finished_at=now,
            support_case_id=support_case_id,
        )
        event = ActivationFailed(
            activation_id=self.activation_id,
            purchase_id=self.purchase_id,
            payment_id=self.payment_id,
            vehicle_id=self.vehicle_id,
            service_code=self.service_code,
            occurred_at=now,
            reason=reason,
            ground=ground,
            attempts=list(attempts),
            not_after=self.not_after,
            support_case_id=support_case_id,
        )
        return failed, event

    def ends_as_wished(self, ground: VoidGround) -> bool:
        """Whether an end on this ground is the cancellation that was asked for (SVC-11)."""
        return self.cancel_reason is not None and ground is VoidGround.VERIFIED_CANCELLATION

    def settled(self) -> Self:
        """The vehicle was heard after all: it did not apply it and never will."""
        return replace(self, uncertain=False)

    def deactivated(self, at: datetime) -> Self:
        """The vehicle proved that it removed the service."""
        return replace(self, deactivated_at=self.deactivated_at or at)

    def _content(self) -> tuple[object, ...]:
        return (
            self.purchase_id,
            self.payment_id,
            self.vehicle_id,
            self.service_code,
            dict(self.configuration),
            self.not_after,
        )

    def _to(self, wanted: ActivationStatus) -> Self:
        if wanted not in TRANSITIONS[self.status]:
            raise ValueError(f"activation {self.activation_id} cannot go from {self.status} to {wanted}")
        return replace(self, status=wanted)
