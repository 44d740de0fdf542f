"""The webhook bridge (GW-5): verified, stored and published in one transaction, and only then answered."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from standardwebhooks import Webhook

from caas_chassis.cause import Cause
from caas_chassis.runtime import Runtime
from caas_payments.gateway.webhooks import verified_webhook
from caas_payments.store import webhooks


def webhooks_router(runtime: Runtime, secrets: Sequence[Webhook]) -> APIRouter:
    """`/webhooks/gateway`: no bearer token, the signature is the caller's proof."""
    router = APIRouter(prefix="/webhooks", tags=["webhooks"])

    @router.post("/gateway")
    async def receive_webhook(request: Request) -> dict[str, str]:
        """A repeated webhook is answered like the first and changes nothing."""
        body = await request.body()
        webhook = verified_webhook(request.headers, body, secrets, runtime.clock.now())
        async with runtime.transaction(Cause.of_person("gateway")) as tx:
            if await webhooks.insert_webhook(tx, webhook):
                tx.publish(webhook)
        return {"received": webhook.webhook_id}

    return router
