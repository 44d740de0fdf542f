"""What partners tell us by themselves: signed webhooks, verified and read (RES-2, FIN-3).

Invariant: nothing is read from a body whose signature, age and form are not verified. What is well signed, but
not about an order of ours or of a kind that we do not know, means nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caas_chassis.signed_webhooks import Objection, SignatureVerifier
from caas_orders.domain.factory_event import Arrived, Built, EstimateChanged, FactoryEvent, FactoryFact
from caas_orders.gateway.commissions import Commission, Nonsense, needed
from caas_orders.gateway.partners import registration_answer, transport_answer
from caas_orders.gateway.supply import RegistrationAnswer, TransportAnswer


class Partner(StrEnum):
    """Who calls us."""

    FACTORY = "factory"
    REGISTRATION = "registration"
    TRANSPORT = "transport"


class PartnerWebhook(BaseModel):
    """A verified webhook: the partner's name for the event, and how the matter stands after it."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    id: str = ""
    type: str = Field(pattern=r"^[a-z_.]{1,64}$")
    data: Commission


@dataclass(frozen=True, slots=True)
class RegistrationTold:
    """The administration tells how an application stands; `submission` counts our applications for the order."""

    order_id: UUID
    submission: int
    answer: RegistrationAnswer


@dataclass(frozen=True, slots=True)
class TransportTold:
    """Transport tells how a booking stands."""

    order_id: UUID
    answer: TransportAnswer


type Told = FactoryEvent | RegistrationTold | TransportTold


class PartnerWebhooks:
    """The webhooks of all partners, each signed with secrets of its own; a partner without secrets is refused."""

    def __init__(self, secrets: Mapping[Partner, Sequence[str]]) -> None:
        self._signatures = {partner: SignatureVerifier(own) for partner, own in secrets.items()}

    def verify(self, partner: Partner, headers: Mapping[str, str], body: bytes) -> PartnerWebhook | Objection:
        """The webhook, or what is wrong with it. `headers` have lower-case names."""
        signed = self._signatures[partner].verify(headers, body)
        if isinstance(signed, Objection):
            return signed
        try:
            read = PartnerWebhook.model_validate_json(body)
            meaning_of(partner, read)
        except (ValidationError, Nonsense):
            return Objection.MALFORMED
        return read.model_copy(update={"id": signed.id})


def meaning_of(partner: Partner, webhook: PartnerWebhook) -> Told | None:
    """What a webhook tells about an order of ours; None when nothing. Raises Nonsense when it lacks a fact."""
    match partner:
        case Partner.FACTORY:
            return _factory(webhook)
        case Partner.REGISTRATION:
            return _registration(webhook)
        case Partner.TRANSPORT:
            return _transport(webhook)


def _factory(webhook: PartnerWebhook) -> FactoryEvent | None:
    said = webhook.data
    order_id, fact = _order_id(said.reference), _factory_fact(webhook)
    if order_id is None or fact is None:
        return None
    return FactoryEvent(webhook.id, order_id, said.id, said.changed_at, fact)


def _factory_fact(webhook: PartnerWebhook) -> FactoryFact | None:
    said = webhook.data
    match webhook.type:
        case "order.delayed":
            return EstimateChanged(needed(said.estimated_delivery, "estimated_delivery"))
        case "order.built":
            return Built(needed(said.vin, "vin"))
        case "order.arrived":
            return Arrived(needed(said.vin, "vin"))
        case _:
            return None


def _registration(webhook: PartnerWebhook) -> RegistrationTold | None:
    order, _, submission = webhook.data.reference.partition(":")
    order_id = _order_id(order)
    if order_id is None or not submission.isascii() or not submission.isdecimal() or len(submission) > 6:
        return None
    return RegistrationTold(order_id, int(submission), registration_answer(webhook.data))


def _transport(webhook: PartnerWebhook) -> TransportTold | None:
    order_id = _order_id(webhook.data.reference)
    return TransportTold(order_id, transport_answer(webhook.data)) if order_id else None


def _order_id(reference: str) -> UUID | None:
    """Our reference is the order's id; anything else is another merchant's business."""
    try:
        return UUID(reference)
    except ValueError:
        return None
