"""Why a command from another service can never be applied."""

from dataclasses import dataclass
from typing import Self
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Refused:
    """A stable code and one sentence for the operator who finds the message parked."""

    code: str
    detail: str

    @classmethod
    def conflict(cls, activation_id: UUID) -> Self:
        """The id of an activation was used again with another content."""
        return cls("activation_conflict", f"activation {activation_id} exists with another content")

    @classmethod
    def unknown(cls, activation_id: UUID, vehicle_id: str) -> Self:
        """A cancellation or deactivation of what was never requested for that vehicle."""
        return cls("unknown_activation", f"vehicle {vehicle_id} has no activation {activation_id}")
