"""What handlers need of the way to the vehicles, whatever it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from caas_ota.gateway.messages import VehicleCommand


@dataclass(frozen=True, slots=True)
class Publication:
    """The ids of the commands that the broker has taken over; the others may or may not have gone out."""

    confirmed: frozenset[UUID]


class Vehicles(Protocol):
    """Sends commands; what the vehicles answer comes in elsewhere, later."""

    async def publish(self, commands: Sequence[VehicleCommand]) -> Publication:
        """Hand the commands over, within a bounded time. A failure is a result, not an error."""
        ...
