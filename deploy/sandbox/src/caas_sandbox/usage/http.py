"""The sandbox's own routes of the usage generator, without authentication: agreements, replays, and the book."""

import asyncio
from collections import Counter
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from caas_sandbox.problems import NotFound
from caas_sandbox.usage.agreement import Agreement, MonthName, Number, millionths
from caas_sandbox.usage.books import Books, Owed
from caas_sandbox.usage.calendar import micros_of
from caas_sandbox.usage.replay import Use, Wish

type Cursor = Annotated[int, Query(ge=0)]
type Limit = Annotated[int, Query(ge=1, le=1000)]
_BREATH = 500


class SingleUse(BaseModel):
    """One event. `billed_in` None: it costs nothing. `copies` is how often it is sent."""

    usage_id: str | None = None
    subscription_id: str
    occurred_at: AwareDatetime
    quantity: Number
    unit: str
    billed_in: MonthName | None = None
    copies: Annotated[int, Field(ge=1, le=100)] = 1


class UsageApi:
    """What the demo and tests ask for and read."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def router(self) -> APIRouter:
        """All routes."""
        router = APIRouter()
        router.add_api_route("/health", self._health, methods=["GET"])
        router.add_api_route("/sandbox/agreements", self._agree, methods=["POST"], status_code=201)
        router.add_api_route("/sandbox/replays", self._wish, methods=["POST"], status_code=202)
        router.add_api_route("/sandbox/replays/{serial}", self._replay, methods=["GET"])
        router.add_api_route("/sandbox/usage", self._send, methods=["POST"], status_code=201)
        router.add_api_route("/sandbox/books", self._totals, methods=["GET"])
        router.add_api_route("/sandbox/books/subscriptions", self._owed, methods=["GET"])
        return router

    async def _health(self) -> dict[str, str]:
        return {"status": "ok"}

    async def _agree(self, agreements: list[Agreement]) -> dict[str, int]:
        self._books.store.put_agreements(agreements)
        return {"agreements": self._books.store.number()}

    async def _wish(self, wish: Wish) -> dict[str, object]:
        return {"replay_id": self._books.store.insert_replay(wish), "status": "wanted"}

    async def _replay(self, serial: int) -> dict[str, object]:
        found = self._books.store.replay(serial)
        if found is None:
            raise NotFound("not_found", "there is no replay with this id")
        sent = found.counts.get("records", 0) if found.status == "done" else self._books.sent
        return {"replay_id": serial, "status": found.status, "sent": sent, "counts": found.counts}

    async def _send(self, uses: list[SingleUse]) -> dict[str, list[str]]:
        sent = [(self._use(asked), asked.billed_in) for asked in uses]
        await self._books.send(sent)
        return {"usage_ids": [use.usage_id for use, _ in sent]}

    async def _totals(self, month: MonthName) -> dict[str, Any]:
        owed: Counter[str] = Counter()
        subscriptions = bills = 0
        for one in self._books.owed(month):
            subscriptions += 1
            bills += one.minor > 0
            owed[one.currency] += one.minor
            if subscriptions % _BREATH == 0:
                await asyncio.sleep(0)
        sent = self._books.store.counts(month)
        return {"month": month, "subscriptions": subscriptions, "bills": bills, "owed_minor": dict(owed), "sent": sent}

    async def _owed(self, month: MonthName, cursor: Cursor = 0, limit: Limit = 100) -> dict[str, object]:
        found: list[Owed] = []
        for one in self._books.owed(month, cursor):
            found.append(one)
            if len(found) > limit:
                break
        shown = found[:limit]
        return {
            "subscriptions": [_as_json(one) for one in shown],
            "next_cursor": shown[-1].serial if shown else cursor,
            "has_more": len(found) > limit,
        }

    def _use(self, asked: SingleUse) -> Use:
        agreement = self._books.store.find(asked.subscription_id)
        if agreement is None:
            raise NotFound("not_found", "there is no agreement for this subscription")
        usage_id, at, quantity = (
            asked.usage_id or str(uuid4()),
            micros_of(asked.occurred_at),
            millionths(asked.quantity),
        )
        return self._books.use_of(agreement, usage_id, at, quantity, unit=asked.unit, copies=asked.copies)


def _as_json(owed: Owed) -> dict[str, object]:
    lines = [{"kind": kind, "used_in": used_in, "amount_minor": minor} for kind, used_in, minor in owed.lines]
    identity = {"subscription_id": owed.subscription_id, "owed_minor": owed.minor, "currency": owed.currency}
    return {**identity, "lines": lines}
