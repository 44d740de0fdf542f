"""A webhook that was verified, before it is a message: nothing else of the outside is believed so far."""

from collections.abc import Mapping
from dataclasses import dataclass

from caas_contracts.gateway import GatewayWebhookReceived


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedWebhook:
    """A webhook of our gateway. `proof` are the headers that were verified, kept as evidence.

    `message.body` is the verified text itself, byte for byte; `message.webhook_id` is the gateway's name for this
    webhook, the same whenever it is delivered again.
    """

    message: GatewayWebhookReceived
    proof: Mapping[str, str]
