"""Speaks to the usage generator: tells it what was agreed, has it replay months, and reads its book."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from caas_local.demo.actors import Actors
from caas_local.demo.databases import Databases

AGREED: Final = """
SELECT convert_from(payload, 'UTF8') AS body FROM chassis.outbox WHERE type = 'caas.orders.SubscriptionStarted.v1'
    AND aggregateid = ANY($1::text[])
"""
PUBLISHED: Final = """
SELECT convert_from(payload, 'UTF8') AS body FROM chassis.outbox WHERE type = 'caas.orders.RatePlanPublished.v1'
ORDER BY position
"""
GIVEN_UP: Final = """
SELECT convert_from(payload, 'UTF8') AS body FROM chassis.outbox WHERE type = 'caas.orders.SubscriptionCancelled.v1'
    AND aggregateid = ANY($1::text[])
"""
UNPAID: Final = """
SELECT convert_from(payload, 'UTF8') AS body FROM chassis.outbox
WHERE type = 'caas.billing.SubscriptionCancelledForNonpayment.v1' AND aggregateid = ANY($1::text[])
"""
REPLAYED_WITHIN_S: Final = 180.0
_PAGE: Final = 1000


class Usage:
    """The generator, as the demo uses it."""

    def __init__(self, actors: Actors, databases: Databases) -> None:
        self._actors = actors
        self._databases = databases

    async def agree(self, subscription_ids: Sequence[str]) -> None:
        """Tell what these subscribers agreed to, as it was published when they did, and which have ended by now."""
        agreed = await self._bodies("orders", AGREED, list(subscription_ids))
        ended = {
            body["subscription_id"]: body["cancelled_at"]
            for service, statement in (("billing", UNPAID), ("orders", GIVEN_UP))
            for body in await self._bodies(service, statement, list(subscription_ids))
        }
        announced = [body["plan"] for body in await self._bodies("orders", PUBLISHED)]
        agreements = [_agreement(body, announced, ended.get(body["subscription_id"])) for body in agreed]
        for start in range(0, len(agreements), _PAGE):
            await self._actors.tell_partner("usage", "/sandbox/agreements", agreements[start : start + _PAGE])

    async def replay(self, month: str, events: int, *, seed: int, **mixture: int) -> Mapping[str, int]:
        """Have so much use reported; returns how many events were of which kind. Raises TimeoutError."""
        wish = {"month": month, "events": events, "seed": seed, "mixture": mixture}
        replay_id = (await self._actors.tell_partner("usage", "/sandbox/replays", wish))["replay_id"]
        async with asyncio.timeout(REPLAYED_WITHIN_S):
            while True:
                replay = await self._actors.partner("usage", f"/sandbox/replays/{replay_id}")
                if replay["status"] == "failed":
                    raise AssertionError(f"the replay of {month} failed: see the log of usage")
                if replay["status"] == "done":
                    counts: Mapping[str, int] = replay["counts"]
                    return counts
                await asyncio.sleep(0.2)

    async def send(
        self, subscription_id: str, at: datetime, *, unit: str, billed_in: str | None, usage_id: str | None = None
    ) -> str:
        """Report one single use; returns its id. Without `billed_in` it costs nothing."""
        use = {
            "subscription_id": subscription_id, "occurred_at": at.isoformat(), "quantity": "12.5", "unit": unit,
            "billed_in": billed_in, "usage_id": usage_id,
        }  # fmt: skip
        sent = await self._actors.tell_partner("usage", "/sandbox/usage", [use])
        return str(sent["usage_ids"][0])

    async def bills(self, month: str) -> dict[str, int]:
        """What each subscription owes for a month, by the generator's own reckoning; minor units."""
        found: dict[str, int] = {}
        cursor, more = 0, True
        while more:
            path = f"/sandbox/books/subscriptions?month={month}&cursor={cursor}&limit={_PAGE}"
            page = await self._actors.partner("usage", path)
            found |= {one["subscription_id"]: one["owed_minor"] for one in page["subscriptions"]}
            cursor, more = page["next_cursor"], page["has_more"]
        return found

    async def _bodies(self, service: str, statement: str, *arguments: object) -> list[dict[str, Any]]:
        return [json.loads(row["body"]) for row in await self._databases.rows(service, statement, *arguments)]


def _agreement(started: Mapping[str, Any], announced: Sequence[Mapping[str, Any]], ended_at: str | None) -> Any:
    agreed = started["plan"]
    newer = [
        plan for plan in announced if plan["plan_code"] == agreed["plan_code"] and plan["version"] > agreed["version"]
    ]
    return {
        "subscription_id": started["subscription_id"],
        "vehicle_id": started["vehicle_id"],
        "service_code": started["service_code"],
        "prices": [agreed, *newer],
        "started_at": started["started_at"],
        "ended_at": ended_at,
    }
