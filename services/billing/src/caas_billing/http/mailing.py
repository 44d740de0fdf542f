"""E-mails that did not go out, for operators (NOT-2)."""

from fastapi import APIRouter
from pydantic import BaseModel

from caas_billing.domain.issued import UnsentMailing
from caas_billing.http.callers import Limit, Operator
from caas_billing.store import reading
from caas_chassis.runtime import Runtime


class MailingList(BaseModel):
    """E-mails that did not go out."""

    mailings: list[UnsentMailing]


def mailings_router(runtime: Runtime) -> APIRouter:
    """What operators check of e-mails."""
    router = APIRouter(tags=["operators"])

    @router.get("/mailings")
    async def list_unsent_mailings(_: Operator, limit: Limit = 50) -> MailingList:
        """E-mails that wait, were refused or were given up, the longest unchanged first."""
        async with runtime.reading() as tx:
            return MailingList(mailings=await reading.list_unsent_mailings(tx, limit))

    return router
