"""The partners of orders: the maintenance system (VSS) and the mail server, as interfaces."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from pydantic import BaseModel


class MaintenanceQuestion(BaseModel):
    """The task of asking whether the maintenance of a purchase's vehicle is current."""

    purchase_id: UUID
    vehicle_id: str


@dataclass(frozen=True, slots=True)
class Current:
    """The maintenance is up to date."""


@dataclass(frozen=True, slots=True)
class NotCurrent:
    """The maintenance is overdue."""

    reason: str = "maintenance_overdue"


@dataclass(frozen=True, slots=True)
class NotAnswering:
    """Nobody knows: the partner is down, slow, does not know the vehicle, or answers nonsense."""

    reason: str


MaintenanceAnswer = Current | NotCurrent | NotAnswering


class Maintenance(Protocol):
    """The maintenance system."""

    async def ask(self, question: MaintenanceQuestion) -> MaintenanceAnswer:
        """One question, answered within the adapter's own deadline; never raises for a partner's failure."""
        ...


class OutgoingMail(BaseModel):
    """The task of sending one mail. `mail_id` names it for ever: the same id is the same mail.

    Without a recipient it goes to operations. `attempt` counts from 1.
    """

    mail_id: UUID
    recipient: str | None
    subject: str
    text: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Sent:
    """The mail server has taken it over."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now, or not known: send it again later, as the same mail."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The mail server refuses this mail for good."""

    reason: str


MailOutcome = Sent | Deferred | Rejected


class Mailer(Protocol):
    """The mail server."""

    async def send(self, mail: OutgoingMail) -> MailOutcome:
        """Hand one mail over, within the adapter's own deadline; never raises for a partner's failure."""
        ...
