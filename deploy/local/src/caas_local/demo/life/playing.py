"""Plays the lives through the public interfaces while months pass. Every wait has a deadline and says what is late."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo

import asyncpg

from caas_local.demo.actors import Actors, Car, RequestFailed
from caas_local.demo.databases import Databases
from caas_local.demo.life import scenarios as wanted
from caas_local.demo.life.scenarios import Life, LifeScenario
from caas_local.platform import Platform

ZONE: Final = ZoneInfo("Europe/Madrid")
WITHIN_S: Final = 180.0
QUIET_WITHIN_S: Final = 120.0
LIVES: Final = """
SELECT p.purchase_id::text AS id, p.status, p.deactivated_at, coalesce(r.paid, 0) + 1 AS periods, e.status AS recurrence
FROM purchases p
LEFT JOIN recurrence e USING (purchase_id)
LEFT JOIN (SELECT purchase_id, count(*) AS paid FROM renewal WHERE outcome = 'paid' GROUP BY purchase_id) r
    USING (purchase_id)
WHERE p.purchase_id = ANY($1::uuid[])
"""

type Reached = Callable[[asyncpg.Record], bool]


class LifeMarket:
    """The acts of the lives, in the order in which they happen. `lives` maps purchase ids to what is wanted of them."""

    def __init__(
        self,
        platform: Platform,
        actors: Actors,
        databases: Databases,
        begin: Callable[[str, int], Callable[[int], None]],
    ) -> None:
        self._platform = platform
        self._actors = actors
        self._databases = databases
        self._begin = begin
        self.lives: dict[str, Life] = {}
        self.refused_late = 0
        self.refused_stolen = 0

    async def run(self, lives: Sequence[Life]) -> None:
        """Buy, and let three months pass in which everything happens that can."""
        advance = self._begin("buying for later, by the month, for good", len(lives))
        await self._actors.register_cars(
            [Car(life.vehicle_id, life.customer_id, life.scenario.behaviour) for life in lives], lambda: None
        )
        await self._databases.until_quiet(QUIET_WITHIN_S)
        await _together(self._buy(life) for life in lives)
        for scenario in wanted.SCENARIOS:
            await self._until(scenario.first_status, self._of(scenario))
        advance(len(lives))
        passing = self._begin("months pass: renewals, ends, withdrawals", 6)
        await self._give_up(self._of(wanted.PLANNED_CANCELLED))
        await self._steal()
        passing(1)
        await self._first_days()
        passing(2)
        await self._two_weeks()
        passing(3)
        # The longest month has 31 days, and what was planned began two days later.
        await self._renew(18, 2)
        passing(4)
        await self._renew(31, 3)
        await self._give_up(self._of(wanted.RECURRING_GIVEN_UP))
        passing(5)
        await self._pass(31)
        await self._until(
            "expired", self._of(wanted.RECURRING_GIVEN_UP, wanted.RECURRING_FAILS, wanted.STOLEN_RECURRING)
        )
        passing(6)

    async def _first_days(self) -> None:
        """PLN-1: dates come; DES-2: what is short can be withdrawn from until it ends."""
        await self._until("cancelled", self._of(wanted.PLANNED_CANCELLED, wanted.STOLEN_PLANNED))
        await self._pass(3)
        await self._until("active", self._of(wanted.PLANNED, wanted.PLANNED_RECURRING))
        await self._until("failed", self._of(wanted.PLANNED_FAILS))
        await self._withdraw(self._of(wanted.WITHDRAWN_SHORT))

    async def _two_weeks(self) -> None:
        """SVC-9, DES-1: a week is over; the fourteenth day comes, and goes."""
        await self._pass(10)
        await self._until("expired", self._of(wanted.EXPIRES))
        withdrawn = self._of(wanted.WITHDRAWN, wanted.REFUND_REFUSED, wanted.WRITTEN_OFF)
        await self._withdraw(withdrawn)
        await self._until("withdrawn", withdrawn | self._of(wanted.WITHDRAWN_SHORT))
        await self._pass(3)
        await _together(self._withdraw_too_late(purchase_id) for purchase_id in self._of(wanted.TOO_LATE))

    async def _renew(self, days: int, periods: int) -> None:
        """REC-1, REC-4: a month later the next period is paid, and then given."""
        await self._pass(days)
        running = self._of(wanted.RECURRING, wanted.RECURRING_GIVEN_UP, wanted.PLANNED_RECURRING)
        await self._wait(running, lambda row: row["periods"] >= periods, f"paid for {periods} periods")

    async def _buy(self, life: Life) -> None:
        now = self._platform.clock().now().astimezone(ZONE)
        answer = await self._post(life, "/purchases", life.request(now), {"Idempotency-Key": f"life-{life.number}"})
        self.lives[answer["purchase_id"]] = life

    async def _give_up(self, purchase_ids: Iterable[str]) -> None:
        await _together(self._post(self.lives[i], f"/purchases/{i}/cancellation", {}) for i in purchase_ids)

    async def _steal(self) -> None:
        """THF: reported twice; nothing is sold for the car any more."""

        async def report(life: Life) -> None:
            body = {"report_id": str(uuid4()), "reported_at": self._platform.clock().now().isoformat()}
            for _ in range(2):
                await self._post(life, f"/vehicles/{life.vehicle_id}/theft", body)
            other = Life(life.number, LifeScenario("", "", "", False, service="range-extension"))
            key = {"Idempotency-Key": f"stolen-{life.number}"}
            answer = await self._actors.post_as(
                "customer", life.customer_id, "orders", "/purchases", other.request(self._platform.clock().now()), key
            )
            self.refused_stolen += answer.status_code in (409, 422)

        await _together(report(self.lives[i]) for i in self._of(*wanted.STOLEN))

    async def _withdraw(self, purchase_ids: Iterable[str]) -> None:
        """DES-7 in its two steps; the second button is pressed twice at the same time (DES-6)."""

        async def withdraw(purchase_id: str) -> None:
            life, path = self.lives[purchase_id], f"/purchases/{purchase_id}/withdrawal"
            declared = await self._post(life, path, {})
            confirmation = f"{path}/{declared['withdrawal']['withdrawal_id']}/confirmation"
            await asyncio.gather(self._post(life, confirmation, {}), self._post(life, confirmation, {}))

        await _together(withdraw(purchase_id) for purchase_id in purchase_ids)

    async def _withdraw_too_late(self, purchase_id: str) -> None:
        life = self.lives[purchase_id]
        answer = await self._actors.post_as(
            "customer", life.customer_id, "orders", f"/purchases/{purchase_id}/withdrawal", {}
        )
        self.refused_late += answer.status_code == 409

    async def _pass(self, days: int) -> None:
        """Days pass, and what they bring is done."""
        self._platform.move_clock(timedelta(days=days))
        await asyncio.sleep(1.0)
        await self._databases.until_quiet(QUIET_WITHIN_S)

    def _of(self, *chosen: LifeScenario) -> set[str]:
        return {purchase_id for purchase_id, life in self.lives.items() if life.scenario in chosen}

    async def _until(self, status: str, purchase_ids: set[str]) -> None:
        await self._wait(purchase_ids, lambda row: row["status"] == status, status)

    async def _wait(self, purchase_ids: set[str], reached: Reached, what: str) -> None:
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while True:
            rows = await self._databases.rows("orders", LIVES, list(purchase_ids))
            late = [row for row in rows if not reached(row)]
            if not late and len(rows) == len(purchase_ids):
                return
            if asyncio.get_running_loop().time() > deadline:
                names = sorted({f"{self.lives[row['id']].scenario.name} ({row['status']})" for row in late})
                raise TimeoutError(f"{len(late)} purchases are not {what}: {', '.join(names)}")
            await asyncio.sleep(0.2)

    async def _post(
        self, life: Life, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        answer = await self._actors.post_as("customer", life.customer_id, "orders", path, body, headers)
        if answer.status_code >= 400:
            raise RequestFailed(answer)
        content: dict[str, Any] = answer.json()
        return content


async def _together(works: Iterable[Any]) -> None:
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)
