"""Using an invitation to the platform: once, in time (RES-2).

The platform asks, with a token of its own, for whoever came by the link; the link's token says for whom.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from caas_chassis.auth import Principal
from caas_chassis.runtime import Runtime
from caas_chassis.web import cause_of, requires
from caas_orders.errors import InvitationInvalid
from caas_orders.handlers.order_telling import hash_of
from caas_orders.store import invitations

_Platform = Annotated[Principal, Depends(requires("partner"))]


class AcceptanceRequest(BaseModel):
    """The token of a link. In the body, so that no log of addresses holds it."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    token: Annotated[str, Field(min_length=20, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]


def invitations_router(runtime: Runtime) -> APIRouter:
    """`POST /invitations/acceptances`: says for whom access may be set up."""
    router = APIRouter(tags=["invitations"])

    @router.post("/invitations/acceptances")
    async def accept_invitation(request: Request, body: AcceptanceRequest, platform: _Platform) -> dict[str, Any]:
        async with runtime.transaction(cause_of(request, platform)) as tx:
            invited = await invitations.use(hash_of(body.token), tx=tx)
        if invited is None:
            raise InvitationInvalid("ask us for a new link")
        return {"customer_id": invited.customer_id, "order_id": str(invited.order_id)}

    return router
