"""The payment gateway's webhooks as bridged onto the broker (GW-5)."""

from typing import Annotated, ClassVar

from pydantic import Field

from caas_contracts.message import Code, Instant, Message, NoCardData
from caas_contracts.topics import GATEWAY_WEBHOOKS


class GatewayWebhookReceived(Message):
    """A webhook whose signature was verified. A hint: the state of a payment comes from the gateway's record."""

    TYPE: ClassVar[str] = "caas.gateway.GatewayWebhookReceived.v1"
    TOPIC: ClassVar = GATEWAY_WEBHOOKS
    KEY: ClassVar[str] = "transaction_id"

    webhook_id: Annotated[str, Field(min_length=1, max_length=200), NoCardData]
    event_type: Code
    transaction_id: Code
    reference: Annotated[str, Field(max_length=200), NoCardData]
    body: Annotated[str, Field(max_length=65_536, description="the verified JSON text as it arrived"), NoCardData]
    received_at: Instant


MESSAGES: tuple[type[Message], ...] = (GatewayWebhookReceived,)
