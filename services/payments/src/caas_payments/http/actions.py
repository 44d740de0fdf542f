"""The customer's link (PAY-9): its secret is the only proof that is asked for, and it is good for one use."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import RedirectResponse

from caas_chassis.cause import Cause
from caas_chassis.runtime import Runtime
from caas_payments.handlers.paying import follow_link

type Secret = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{20,100}$")]


def actions_router(runtime: Runtime) -> APIRouter:
    """`GET /payment-actions/{secret}`: without a bearer token, since customers open it from an e-mail."""
    router = APIRouter(prefix="/payment-actions", tags=["payments"])

    @router.get("/{secret}", status_code=303, response_class=RedirectResponse)
    async def confirm_payment(secret: Secret) -> RedirectResponse:
        """Leads to the gateway's page the first time, and says why not ever after (410 `link_used`, `link_expired`)."""
        async with runtime.transaction(Cause.of_person("customer")) as tx:
            page_url = await follow_link(secret, tx=tx)
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return RedirectResponse(page_url, status_code=303, headers=headers)

    return router
