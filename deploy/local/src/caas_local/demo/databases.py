"""What the five databases hold, read for the report: nothing here writes."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

import asyncpg

STATUSES: Final = """
SELECT purchase_id::text AS id, status, money, payment_id::text, activation_id::text FROM purchases
WHERE kind <> 'subscription'
"""
CAPTURED: Final = "SELECT coalesce(sum(captured_minor), 0)::bigint FROM payments"
PAYMENTS: Final = "SELECT id::text, status, captured_minor, activation_id::text FROM payments"
LOST: Final = """
SELECT coalesce(sum(amount_minor), 0)::bigint FROM payments WHERE status = 'SETTLEMENT_FAILED' AND captured_minor = 0
"""
IMBALANCE: Final = """
SELECT coalesce(sum(abs(total)), 0)::bigint FROM
    (SELECT sum(amount_minor) AS total FROM journal_line GROUP BY entry_id, currency) AS entries
"""
LINES: Final = "SELECT count(*) FROM settlement_line"
UNMATCHED: Final = """
SELECT count(*) FROM settlement_line l WHERE NOT EXISTS (SELECT FROM match m WHERE m.line_id = l.line_id)
    AND NOT EXISTS (SELECT FROM discrepancy_case c WHERE c.line_id = l.line_id)
"""
OPEN_CASES: Final = (
    "SELECT kind, count(*) AS cases FROM discrepancy_case WHERE status <> 'resolved' GROUP BY kind ORDER BY kind"
)
PARKED: Final = "SELECT count(*) FROM chassis.parked WHERE state IN ('retrying', 'parked')"
PARKED_USE: Final = f"{PARKED} AND topic = 'caas.vehicle.usage.v1'"
JOURNEY: Final = """
SELECT type, aggregatetype AS topic, created_at FROM chassis.outbox WHERE correlationid = $1
ORDER BY created_at, position
"""
STORY_OF: Final = """
SELECT correlationid FROM chassis.outbox WHERE aggregateid = $1 AND type = 'caas.orders.PurchasePlaced.v1'
"""
DURATIONS: Final = """
SELECT p.aggregateid AS id, extract(epoch FROM a.created_at - p.created_at)::float8 * 1000 AS ms
FROM chassis.outbox p JOIN chassis.outbox a ON a.aggregateid = p.aggregateid
    AND a.type = 'caas.orders.PurchaseActivated.v1'
WHERE p.type = 'caas.orders.PurchasePlaced.v1'
"""
ACTIVITY: Final = """
SELECT (SELECT coalesce(max(position), 0) FROM chassis.outbox) AS newest,
    (SELECT count(*) FROM chassis.outbox o, chassis.relay_cursor c
        WHERE (o.horizon, o.position) > (c.horizon, c.position)) AS unsent,
    (SELECT count(*) FROM chassis.task WHERE due_at < now() + interval '5 seconds') AS tasks,
    (SELECT coalesce(sum(sequence), 0)::bigint FROM chassis.inbox_position) AS applied,
    -- Use of subscriptions that nobody knows waits for them on purpose.
    (SELECT count(*) FROM chassis.parked WHERE state = 'retrying' AND topic <> 'caas.vehicle.usage.v1') AS retrying
"""
FORGED: Final = "SELECT count(*) FROM webhooks WHERE id LIKE 'msg_forged_%' OR body LIKE '%forged%'"
WEBHOOKS_STORED: Final = "SELECT count(*) FROM webhooks"
WEBHOOKS_PUBLISHED: Final = "SELECT count(*) FROM chassis.outbox WHERE aggregatetype = 'caas.gateway.webhooks.v1'"
TRIED_AGAIN: Final = """
SELECT coalesce(sum(calls - 1), 0)::bigint FROM attempts WHERE operation = 'authorize' AND calls > 1
    AND payment_id = ANY($1::uuid[])
"""
LATE_DEACTIVATED: Final = """
SELECT count(*) FROM chassis.outbox WHERE type = 'caas.ota.ServiceDeactivated.v1'
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A message on a purchase's journey."""

    service: str
    type: str
    at: datetime


class Databases:
    """A connection to each service's database, with deadlines."""

    def __init__(self, connections: Mapping[str, asyncpg.Connection]) -> None:
        self._connections = connections

    @classmethod
    async def open(cls, urls: Mapping[str, str]) -> Self:
        """Connect to all."""
        return cls({name: await asyncpg.connect(url, timeout=10, command_timeout=30) for name, url in urls.items()})

    async def close(self) -> None:
        """Close all."""
        for connection in self._connections.values():
            await connection.close(timeout=5)

    async def rows(self, service: str, sql: str, *args: object) -> list[asyncpg.Record]:
        """All rows of a statement on one database."""
        return await self._connections[service].fetch(sql, *args)

    async def number(self, service: str, sql: str, *args: object) -> int:
        """A single integer."""
        return int(await self._connections[service].fetchval(sql, *args) or 0)

    async def parked(self) -> int:
        """Messages parked anywhere, but for use that cars report wrongly on purpose."""
        everywhere = sum([await self.number(service, PARKED) for service in self._connections])
        return everywhere - await self.number("billing", PARKED_USE)

    async def journey(self, purchase_id: str) -> list[Step]:
        """Every message of a purchase's story, from all outboxes, in order of time."""
        story = await self._connections["orders"].fetchval(STORY_OF, purchase_id)
        steps = [
            Step(service, row["type"], row["created_at"])
            for service in self._connections
            for row in await self.rows(service, JOURNEY, story)
        ]
        return sorted(steps, key=lambda step: step.at)

    async def until_quiet(self, within_s: float) -> None:
        """Wait until no message is unsent, no task is due and nothing has changed for a while.

        Raises TimeoutError saying what still moves.
        """
        deadline = asyncio.get_running_loop().time() + within_s
        before: object = None
        still = 0
        while still < 6:
            now = await self._activity()
            busy = any(row["unsent"] or row["tasks"] or row["retrying"] for row in now.values())
            still = still + 1 if now == before and not busy else 0
            before = now
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"the platform did not come to rest within {within_s:.0f} s: {now}")
            await asyncio.sleep(0.25)

    async def _activity(self) -> dict[str, dict[str, Any]]:
        return {service: dict((await self.rows(service, ACTIVITY))[0]) for service in self._connections}
