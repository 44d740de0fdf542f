"""Sells continuously while services are killed at every crash point, and starts them again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from caas_chassis.embedded.process import Launch
from caas_local.demo import databases as db
from caas_local.demo.actors import Actors, RequestFailed
from caas_local.demo.assessing import assess
from caas_local.demo.cars.selling import CarMarket
from caas_local.demo.databases import Databases
from caas_local.demo.report import Report
from caas_local.demo.scenarios import SCENARIOS, Sale
from caas_local.layout import SERVICES, Layout
from caas_local.platform import Platform
from tests.chaos.partner import Partner
from tests.chaos.showroom import Showroom
from tests.chaos.subscribers import Subscribers

BOUQUET_EVERY_S: Final = 4.0
STORM_LIMIT_S: Final = 420.0
CALM_WITHIN_S: Final = 300.0
ROUNDS_OF_TIME: Final = 6
REFUNDABLE: Final = """
SELECT id, captured_minor FROM payments WHERE captured_minor > 0 AND refunded_minor + refunding_minor = 0
    AND status IN ('CAPTURING', 'SETTLED') LIMIT 1
"""
_DECIDED_BY_TIME: Final = frozenset({"silent", "late_ack"})
_ENDED: Final = frozenset({"active", "expired", "failed", "declined", "blocked", "cancelled"})


class Storm:
    """One platform under fire. `wanted` are the crash points by service; `launch` starts services anew."""

    def __init__(self, folder: Path, wanted: Mapping[str, Sequence[str]], launch: Launch) -> None:
        self.layout = Layout.of(folder, fixed_ports=False)
        self._files = {name: self.layout.folder(name) / "crash.points" for name in SERVICES}
        environment = {name: {"CAAS_CRASH_FILE": str(file)} for name, file in self._files.items()}
        self.platform = Platform(self.layout, print, temporary=True, extra_environment=environment, launch=launch)
        self._wanted = wanted
        self.sold: dict[str, Sale] = {}
        self.doubles: dict[str, int] = {}
        self._ordered = 0
        self._bouquets = 0
        self._cancel_later: list[tuple[Sale, str]] = []

    def arm(self, names: Sequence[str]) -> None:
        """From now on these services die at each of their points, once each."""
        for name in names:
            self._files[name].write_text("\n".join(self._wanted[name]))

    def died_at(self) -> dict[str, list[str]]:
        """The points at which each service has died, in order: the proof that the fault happened."""
        proofs = {name: file.with_suffix(".died") for name, file in self._files.items()}
        return {name: file.read_text().split() if file.exists() else [] for name, file in proofs.items()}

    def missing(self) -> dict[str, list[str]]:
        """The points that were not reached yet."""
        died = self.died_at()
        return {name: [p for p in points if p not in died[name]] for name, points in self._wanted.items()}

    async def rage(self) -> Report:
        """Sell and kill until every point was reached or the time is over; then calm down and compare all books."""
        await self.platform.start()
        databases = await Databases.open(self.platform.database_urls)
        started_at = time.monotonic()
        try:
            async with httpx.AsyncClient(timeout=30.0) as client:
                actors = Actors(self.layout, client)
                self._showroom = Showroom(self.layout, client, _insist_on_an_answer)
                self._subscribers = Subscribers(self.platform, actors, databases, _insist)
                watching = asyncio.create_task(self._resurrect())
                self.arm(SERVICES)
                await self._sell_until_reached(actors, databases)
                await self._let_time_pass(actors, databases)
                watching.cancel()
                await self._all_ready()
                await self._cancel_what_waits(actors)
                await self._until_decided(databases, _DECIDED_BY_TIME)
                await self._hand_vehicles_over()
                report = await self._settle(actors, databases)
                self.months = await self._subscribers.assess()
                market = CarMarket(actors, databases, self.platform.move_clock, _nothing)
                found = await assess(self.sold, market, databases, actors, report, time.monotonic() - started_at)
                # The customers of the showroom play none of the demo's scenarios of vehicles.
                return replace(found, cars=replace(found.cars, rows=[]))
        finally:
            await databases.close()

    async def _resurrect(self) -> None:
        """Start every service again as soon as it is dead, as its platform would."""
        while True:
            for name in SERVICES:
                if self.platform.pid(name) is None:
                    self.platform.respawn(name)
            await asyncio.sleep(0.1)

    async def _sell_until_reached(self, actors: Actors, databases: Databases) -> None:
        deadline = time.monotonic() + STORM_LIMIT_S
        best, since = 10**9, time.monotonic()
        while time.monotonic() < deadline:
            await self._sell_bouquet(actors, databases)
            left = sum(len(points) for points in self.missing().values())
            if left < best:
                best, since = left, time.monotonic()
            # What is still missing now needs time to pass, not more purchases.
            if time.monotonic() - since > 45:
                return
            await asyncio.sleep(BOUQUET_EVERY_S)

    async def _sell_bouquet(self, actors: Actors, databases: Databases) -> None:
        """One purchase of each scenario; HTTP that fails because a service is dead is repeated, as a client would."""
        await self._cancel_what_waits(actors)
        # Before the sales: what is sold to silent cars is cancelled soon, while they are still being asked.
        await self._showroom.visit()
        sales = [Sale(self._ordered + n, scenario) for n, scenario in enumerate(SCENARIOS, start=1)]
        self._ordered += len(sales)
        self._bouquets += 1
        await _insist(partial(actors.register, sales, _nothing))
        for sale in sales:
            purchase_id = await _insist(partial(actors.buy, sale))
            self.sold[purchase_id] = sale
            if sale.scenario.cancel and self._bouquets % 2:
                await _insist(partial(_cancel, actors, sale, purchase_id))
            elif sale.scenario.cancel:
                self._cancel_later.append((sale, purchase_id))
        await self._ask_over_the_broker(sales[0], databases)
        await self._subscribers.visit()

    async def _cancel_what_waits(self, actors: Actors) -> None:
        """Purchases of silent cars are given up only now, while their activations are under way."""
        waiting, self._cancel_later = self._cancel_later, []
        for sale, purchase_id in waiting:
            await _insist(partial(_cancel, actors, sale, purchase_id))

    async def _ask_over_the_broker(self, plain: Sale, databases: Databases) -> None:
        """What partners ask for as messages: two purchases, one given up, money given back."""
        async with Partner(self.platform.bootstrap_servers) as partner:
            self.sold[str(await partner.place(plain, "ambient-light"))] = plain
            await partner.cancel(await partner.place(plain, "power-boost"), plain)
            refundable = await databases.rows("payments", REFUNDABLE)
            if refundable:
                await partner.query(refundable[0]["id"])
                await partner.refund(refundable[0]["id"], refundable[0]["captured_minor"] // 2)

    async def _let_time_pass(self, actors: Actors, databases: Databases) -> None:
        """Rounds of: sell, wait for outcomes, move time, reconcile; until nothing is missing."""
        for _ in range(ROUNDS_OF_TIME):
            await self._cancel_what_waits(actors)
            await self._until_decided(databases, _DECIDED_BY_TIME)
            for step in (timedelta(hours=1), timedelta(hours=3), timedelta(days=4)):
                self.platform.move_clock(step)
                await asyncio.sleep(4.0)
                await self._showroom.push()
            await _insist(actors.reconcile)
            await self._subscribers.bill()
            if not any(self.missing().values()):
                return
            await self._sell_bouquet(actors, databases)

    async def _until_decided(self, databases: Databases, ignored: frozenset[str]) -> None:
        deadline = time.monotonic() + CALM_WITHIN_S
        expected = {i for i, sale in self.sold.items() if sale.scenario.behaviour not in ignored}
        while True:
            status = {row["id"]: row["status"] for row in await databases.rows("orders", db.STATUSES)}
            waiting = [i for i in expected if status.get(i) not in _ENDED]
            if not waiting:
                return
            if time.monotonic() > deadline:
                stories = sorted({f"{self.sold[i].scenario.name}:{status.get(i)}" for i in waiting})
                raise AssertionError(f"{len(waiting)} purchases have no end: {stories}; missing: {self.missing()}")
            await asyncio.sleep(0.5)

    async def _all_ready(self) -> None:
        """No more deaths: every service runs from here to the end."""
        for file in self._files.values():
            file.unlink(missing_ok=True)
        for name in SERVICES:
            await self.platform.restart(name)

    async def _hand_vehicles_over(self) -> None:
        """Until every order of a vehicle has ended; nobody who never pays keeps one longer than the deadline.

        The deadline of a vehicle runs from the day that it is ready: time moves when nothing else is waited for.
        """
        deadline = time.monotonic() + CALM_WITHIN_S
        while not await self._showroom.push():
            if time.monotonic() > deadline:
                waiting = await self._showroom.waiting()
                raise AssertionError(f"orders of vehicles have no end: {waiting}; missing: {self.missing()}")
            if await self._showroom.waits_for_time():
                self.platform.move_clock(timedelta(days=15))
                await asyncio.sleep(4.0)
            await asyncio.sleep(1.0)
        self.doubles = await self._showroom.doubles()

    async def _settle(self, actors: Actors, databases: Databases) -> dict[str, object]:
        report: dict[str, object] = {}
        await databases.until_quiet(CALM_WITHIN_S)
        for step in (timedelta(hours=1), timedelta(hours=3), timedelta(days=6), timedelta(days=8)):
            self.platform.move_clock(step)
            await asyncio.sleep(2.0)
            await databases.until_quiet(CALM_WITHIN_S)
            report = await actors.reconcile()
        await databases.until_quiet(CALM_WITHIN_S)
        return report


async def _cancel(actors: Actors, sale: Sale, purchase_id: str) -> None:
    """The customer gives up; a repeated cancellation may find the purchase ended already (409)."""
    try:
        await actors.cancel(sale, purchase_id)
    except RequestFailed as error:
        if error.status != 409:
            raise


async def _insist[T](request: Callable[[], Awaitable[T]]) -> T:
    """Repeat the same request until a service that is alive answers it, for at most three minutes."""
    deadline = time.monotonic() + 180
    while True:
        try:
            return await request()
        except* (httpx.HTTPError, RequestFailed) as group:
            failed = [error for error in group.exceptions if isinstance(error, RequestFailed)]
            if any(error.status < 500 for error in failed) or time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.3)


async def _insist_on_an_answer(request: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Repeat the same request until a service that is alive answers it, whatever it answers."""

    async def answered() -> httpx.Response:
        answer = await request()
        if answer.is_server_error:
            raise RequestFailed(answer)
        return answer

    return await _insist(answered)


def _nothing() -> None:
    """Nobody watches the progress."""
