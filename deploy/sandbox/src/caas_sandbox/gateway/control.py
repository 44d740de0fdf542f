"""The sandbox's own routes, without authentication: fault scripts, and the books for comparison with ours."""

from typing import Annotated

from fastapi import APIRouter, Query

from caas_sandbox.gateway.fault_script import FaultScript
from caas_sandbox.gateway.http import Cursor, Limit
from caas_sandbox.gateway.request_log import RequestLog
from caas_sandbox.gateway.requests import FaultRequest, TimingRequest
from caas_sandbox.gateway.store import Store
from caas_sandbox.gateway.timings import Timings
from caas_sandbox.gateway.webhooks import OutgoingWebhooks

type Currency = Annotated[str, Query(pattern=r"^[A-Z]{3}$")]


class ControlApi:
    """What tests and the demo read and set."""

    def __init__(
        self, store: Store, script: FaultScript, webhooks: OutgoingWebhooks, timings: Timings, log: RequestLog
    ) -> None:
        self._timings = timings
        self._log = log
        self._store = store
        self._script = script
        self._webhooks = webhooks

    def router(self) -> APIRouter:
        """All routes."""
        router = APIRouter()
        router.add_api_route("/health", self._health, methods=["GET"])
        router.add_api_route("/sandbox/faults", self._faults, methods=["GET"])
        router.add_api_route("/sandbox/faults", self._add_fault, methods=["POST"], status_code=201)
        router.add_api_route("/sandbox/faults", self._clear_faults, methods=["DELETE"])
        router.add_api_route("/sandbox/timings", self._set_timing, methods=["POST"], status_code=201)
        router.add_api_route("/sandbox/requests", self._requests, methods=["GET"])
        router.add_api_route("/sandbox/books", self._books, methods=["GET"])
        router.add_api_route("/sandbox/books/transactions", self._transactions, methods=["GET"])
        return router

    async def _health(self) -> dict[str, object]:
        return {"status": "ok"}

    async def _faults(self) -> dict[str, object]:
        return {"faults": [fault.as_json() for fault in self._script.entries()]}

    async def _add_fault(self, request: FaultRequest) -> dict[str, object]:
        fault = request.fault()
        self._script.add(fault)
        return fault.as_json()

    async def _clear_faults(self) -> dict[str, object]:
        self._script.clear()
        return {"faults": []}

    async def _set_timing(self, request: TimingRequest) -> dict[str, object]:
        self._timings.script(request.reference, request.webhook, request.timing)
        return request.model_dump(mode="json")

    async def _requests(self, reference: str | None = None) -> dict[str, object]:
        return {"requests": list(self._log.of(reference))}

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
