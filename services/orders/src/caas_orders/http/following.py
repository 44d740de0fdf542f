"""Webhooks of factory, administration and transport: verified, stored and applied, and only then answered."""

from fastapi import APIRouter, Request

from caas_chassis.cause import Cause
from caas_chassis.runtime import Runtime
from caas_chassis.signed_webhooks import Objection
from caas_orders.domain.sales_policy import SalesPolicy
from caas_orders.errors import WebhookRefused
from caas_orders.gateway.partner_events import Partner, PartnerWebhooks, meaning_of
from caas_orders.handlers.following import follow
from caas_orders.store.partner_webhooks import StoredWebhook


def partner_webhooks_router(runtime: Runtime, webhooks: PartnerWebhooks, policy: SalesPolicy) -> APIRouter:
    """`/webhooks/{partner}`: no bearer token, the signature is the caller's proof."""
    router = APIRouter(prefix="/webhooks", tags=["webhooks"])

    @router.post("/{partner}")
    async def receive_webhook(partner: Partner, request: Request) -> dict[str, str]:
        """A repeated webhook is answered like the first and changes nothing."""
        body = await request.body()
        webhook = webhooks.verify(partner, request.headers, body)
        if isinstance(webhook, Objection):
            raise WebhookRefused("the signature, its age or the form of the body is not valid")
        said = webhook.data
        stored = StoredWebhook(partner, webhook.id, webhook.type, said.reference, body.decode())
        async with runtime.transaction(Cause.of_person(partner)) as tx:
            await follow(stored, meaning_of(partner, webhook), policy, tx=tx)
        return {"received": webhook.id}

    return router
