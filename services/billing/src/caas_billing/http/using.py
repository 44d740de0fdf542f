"""Use of subscribed services: a subscription's, and what a line of a monthly invoice counted (SUB-2, INV-4)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from caas_billing.domain.usage import KeptUse
from caas_billing.errors import InvoiceNotFound, SubscriptionNotFound
from caas_billing.http.callers import Reader, visible_to
from caas_billing.store.usage_reading import UseFilter, find_billed, has_subscription, list_kept_use
from caas_chassis.runtime import Runtime

PAGE: Final = 200

Period = Annotated[str | None, Query(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="a month, 2026-10")]
Limit = Annotated[int, Query(ge=1, le=1000)]


class Use(BaseModel):
    """One use. `period` is the month it is billed in; `late` when that comes after its own (SUB-2).

    `uncharged` says why nobody pays it (SUB-7); it has no period then. `quantity` is decimal text.
    """

    usage_id: UUID
    occurred_at: str
    used_on: date
    quantity: str
    period: str | None
    late: bool
    uncharged: str | None


class UsePage(BaseModel):
    """Use, oldest first; `next_cursor` continues the list and is null at its end."""

    subscription_id: UUID
    usage: list[Use]
    next_cursor: UUID | None


def usage_router(runtime: Runtime, *, time_zone: str) -> APIRouter:
    """What customers and operators read of use; days and months are those of `time_zone`."""
    router = APIRouter(tags=["usage"])

    @router.get("/subscriptions/{subscription_id}/usage")
    async def list_usage(
        subscription_id: UUID,
        principal: Reader,
        period: Period = None,
        cursor: UUID | None = None,
        limit: Limit = PAGE,
    ) -> UsePage:
        """Use of the caller's subscription; operators see everyone's."""
        wanted = UseFilter(subscription_id, period=_first_day(period), cursor=cursor, limit=limit)
        async with runtime.reading() as tx:
            if not await has_subscription(tx, subscription_id, visible_to(principal)):
                raise SubscriptionNotFound(f"no subscription {subscription_id} of yours")
            return _page(wanted, await list_kept_use(tx, wanted, time_zone))

    @router.get("/invoices/{invoice_id}/usage")
    async def list_billed_usage(
        invoice_id: UUID,
        principal: Reader,
        line: Annotated[int | None, Query(ge=1, description="a usage line of the invoice")] = None,
        cursor: UUID | None = None,
        limit: Limit = PAGE,
    ) -> UsePage:
        """The use that a monthly invoice, or one of its usage lines, counted."""
        async with runtime.reading() as tx:
            found = await find_billed(tx, invoice_id, visible_to(principal), line)
            if found is None:
                raise InvoiceNotFound(f"no monthly invoice {invoice_id} of yours with such a line")
            wanted = replace(found, cursor=cursor, limit=limit)
            return _page(wanted, await list_kept_use(tx, wanted, time_zone))

    return router


def _first_day(period: str | None) -> date | None:
    return date.fromisoformat(f"{period}-01") if period else None


def _page(wanted: UseFilter, kept: Sequence[KeptUse]) -> UsePage:
    last = kept[-1].usage_id if len(kept) == wanted.limit else None
    return UsePage(subscription_id=wanted.subscription_id, usage=[_use(use) for use in kept], next_cursor=last)


def _use(use: KeptUse) -> Use:
    return Use(
        usage_id=use.usage_id,
        occurred_at=use.occurred_at.isoformat(),
        used_on=use.used_on,
        quantity=f"{use.quantity.normalize():f}",
        period=f"{use.period:%Y-%m}" if use.period else None,
        late=use.late,
        uncharged=use.uncharged.value if use.uncharged else None,
    )
