"""The sandbox's own routes, without authentication: the books, for comparison with ours."""

from typing import Annotated

from fastapi import APIRouter, Query

from caas_sandbox.gateway.http import Cursor, Limit
from caas_sandbox.gateway.store import Store
from caas_sandbox.webhooks import OutgoingWebhooks

type Currency = Annotated[str, Query(pattern=r"^[A-Z]{3}$")]


class ControlApi:
    """What tests and the demo read."""

    def __init__(self, store: Store, webhooks: OutgoingWebhooks) -> None:
        self._store = store
        self._webhooks = webhooks

    def router(self) -> APIRouter:
        """All routes."""
        router = APIRouter()
        router.add_api_route("/sandbox/books", self._books, methods=["GET"])
        router.add_api_route("/sandbox/books/transactions", self._transactions, methods=["GET"])
        return router

    async def _books(self, currency: Currency | None = None) -> dict[str, object]:
        captures, most = self._store.capture_counts(currency)
        return {
            **self._store.totals(currency),
            "captures": captures,
            "captures_by_reference_max": most,
            "webhooks": self._webhooks.counts(),
        }

    async def _transactions(self, cursor: Cursor = "0", limit: Limit = 100) -> dict[str, object]:
        rows = self._store.transactions_after(int(cursor), limit + 1)
        shown = rows[:limit]
        return {
            "transactions": [
                {**found.as_json(), "token": found.token, "effects": self._store.effects_of(found.id)}
                for _, found in shown
            ],
            "next_cursor": str(shown[-1][0]) if shown else cursor,
            "has_more": len(rows) > limit,
        }
