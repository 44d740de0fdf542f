"""Verified webhooks of the gateway by their webhook-id (GW-5)."""

from typing import Final

from caas_chassis.transaction import Tx
from caas_contracts.gateway import GatewayWebhookReceived

INSERT: Final = """
INSERT INTO webhooks (id, event_type, transaction_id, reference, body, received_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING
"""


async def insert_webhook(tx: Tx, webhook: GatewayWebhookReceived) -> bool:
    """Stores a webhook and says whether it is the first with its id."""
    tag = await tx.execute(
        INSERT,
        webhook.webhook_id,
        webhook.event_type,
        webhook.transaction_id,
        webhook.reference,
        webhook.body,
        webhook.received_at,
    )
    return tag.endswith(" 1")
