"""What the service needs of the way to the vehicles, whatever it is."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from caas_ota.gateway.messages import Inbound, VehicleCommand

Receive = Callable[[Sequence[Inbound]], Awaitable[None]]
"""Stores and applies a batch in one transaction; raising, it has stored nothing."""
SetAside = Callable[[Inbound], Awaitable[None]]
"""Keeps a message that cannot be processed."""
Now = Callable[[], datetime]
"""Tells the business time."""


@dataclass(frozen=True, slots=True)
class Publication:
    """The ids of the commands that the broker has taken over; the others may or may not have gone out."""

    confirmed: frozenset[UUID]


class Vehicles(Protocol):
    """Sends commands; what the vehicles answer comes in elsewhere, later."""

    async def publish(self, commands: Sequence[VehicleCommand]) -> Publication:
        """Hand the commands over, within a bounded time. A failure is a result, not an error."""
        ...


class Link(Vehicles, Protocol):
    """The way to the vehicles and back: it sends, and gives what arrives to a Receive."""

    name: str

    @property
    def healthy(self) -> bool:
        """Whether commands can be sent now."""
        ...

    async def start(self) -> None:
        """Begin to listen."""
        ...

    async def stop(self) -> None:
        """Finish what is in hand."""
        ...


MakeLink = Callable[[Receive, SetAside, Now], Link]
"""Builds the link: the MQTT session, or a partner inside the process for measurements."""
