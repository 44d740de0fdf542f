"""One deactivation: it stays on the work list until the vehicle proves that it is done (OTA-4)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

from caas_contracts.ota import DeactivateService
from caas_ota.domain.origin import Origin


class DeactivationStatus(StrEnum):
    """Where a deactivation is."""

    REQUESTED = "requested"
    """Waits for its turn at the vehicle."""
    SENT = "sent"
    """A command is on its way."""
    DELAYED = "delayed"
    """Its retries are used up; it is tried again later, and operations know."""
    DONE = "done"
    """The vehicle proved that it removed the service."""


TRANSITIONS: Final[Mapping[DeactivationStatus, frozenset[DeactivationStatus]]] = {
    DeactivationStatus.REQUESTED: frozenset({DeactivationStatus.SENT}),
    DeactivationStatus.SENT: frozenset({DeactivationStatus.DELAYED, DeactivationStatus.DONE}),
    DeactivationStatus.DELAYED: frozenset({DeactivationStatus.SENT, DeactivationStatus.DONE}),
    DeactivationStatus.DONE: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Deactivation:
    """`delayed_at` is when its first retries were used up, and so whether operations were told."""

    deactivation_id: UUID
    activation_id: UUID
    vehicle_id: str
    reason: str
    requested_at: datetime
    origin: Origin
    status: DeactivationStatus = DeactivationStatus.REQUESTED
    delayed_at: datetime | None = None
    done_at: datetime | None = None

    @classmethod
    def requested(cls, message: DeactivateService, origin: Origin) -> Self:
        """A new deactivation as it was asked for."""
        return cls(
            deactivation_id=message.deactivation_id,
            activation_id=message.activation_id,
            vehicle_id=message.vehicle_id,
            reason=message.reason,
            requested_at=message.requested_at,
            origin=origin,
        )

    def sent(self) -> Self:
        """Its command is the vehicle's current one."""
        return self if self.status is DeactivationStatus.SENT else self._to(DeactivationStatus.SENT)

    def delayed(self, at: datetime) -> Self:
        """Its retries are used up; it stays on the work list."""
        return replace(self._to(DeactivationStatus.DELAYED), delayed_at=self.delayed_at or at)

    def done(self, at: datetime) -> Self:
        """The vehicle removed the service."""
        return replace(self._to(DeactivationStatus.DONE), done_at=at)

    def _to(self, wanted: DeactivationStatus) -> Self:
        if wanted not in TRANSITIONS[self.status]:
            raise ValueError(f"deactivation {self.deactivation_id} cannot go from {self.status} to {wanted}")
        return replace(self, status=wanted)
