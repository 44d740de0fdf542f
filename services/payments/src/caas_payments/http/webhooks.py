"""The webhook bridge (GW-5): verified, stored and published in one transaction, and only then answered."""

from fastapi import APIRouter, Request

from caas_chassis.cause import Cause
from caas_chassis.runtime import Runtime
from caas_payments.errors import WebhookTooLarge
from caas_payments.gateway.webhooks import MAX_BODY_BYTES, WebhookReader
from caas_payments.store import webhooks


def webhooks_router(runtime: Runtime, reader: WebhookReader) -> APIRouter:
    """`/webhooks/gateway`: no bearer token, the signature is the caller's proof."""
    router = APIRouter(prefix="/webhooks", tags=["webhooks"])

    @router.post("/gateway")
    async def receive_webhook(request: Request) -> dict[str, str]:
        """A repeated webhook is answered like the first and changes nothing."""
        body = await request.body()
        if len(body) > MAX_BODY_BYTES:
            raise WebhookTooLarge(f"a webhook has at most {MAX_BODY_BYTES} bytes")
        webhook = reader.verify(request.headers, body, runtime.clock.now()).message
        async with runtime.transaction(Cause.of_person("gateway")) as tx:
            if await webhooks.insert_webhook(tx, webhook):
                tx.publish(webhook)
        return {"received": webhook.webhook_id}

    return router
