"""Unpaid invoices over HTTP, for operators: as a list and as the file that collections takes (SUB-6)."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel

from caas_billing.domain.owed import Collection
from caas_billing.handlers.exporting import collections_file
from caas_billing.http.callers import Limit, Operator
from caas_billing.store import owed
from caas_billing.store.owed import CollectionFilter
from caas_chassis.runtime import Runtime

_Since = Annotated[AwareDatetime | None, Query(description="opened or settled since this instant")]


class CollectionPage(BaseModel):
    """Collections, the oldest first; `next_after` continues the list and is null at its end."""

    collections: list[Collection]
    next_after: UUID | None


def collections_router(runtime: Runtime) -> APIRouter:
    """`/collections`, for operators."""
    router = APIRouter(tags=["collections"])

    @router.get("/collections")
    async def list_collections(
        _: Operator,
        since: _Since = None,
        open_only: bool = False,
        after: UUID | None = None,
        limit: Limit = 50,
    ) -> CollectionPage:
        """What went to collections, and what was settled since."""
        wanted = CollectionFilter(since=since, with_settled=not open_only, after=after, limit=limit)
        async with runtime.reading() as tx:
            found = await owed.list_collections(tx, wanted)
        return CollectionPage(collections=found, next_after=found[-1].collection_id if len(found) == limit else None)

    @router.get("/collections.csv", response_class=StreamingResponse)
    async def export_collections(_: Operator, since: _Since = None, open_only: bool = False) -> StreamingResponse:
        """The same as CSV, without end: read page by page, so that its size is no matter."""
        wanted = CollectionFilter(since=since, with_settled=not open_only)
        headers = {"Content-Disposition": 'attachment; filename="collections.csv"', "Cache-Control": "no-store"}
        return StreamingResponse(
            collections_file(runtime.reading, wanted), media_type="text/csv; charset=utf-8", headers=headers
        )

    return router
