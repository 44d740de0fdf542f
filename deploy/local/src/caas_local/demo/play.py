"""The play, act by act, on a platform of its own."""

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from caas_local.demo import databases as db
from caas_local.demo.actors import Actors
from caas_local.demo.assessing import Played, assess
from caas_local.demo.cars.scenarios import plan_cars
from caas_local.demo.cars.selling import CarMarket
from caas_local.demo.databases import Databases
from caas_local.demo.life.playing import LifeMarket
from caas_local.demo.life.scenarios import plan_lives
from caas_local.demo.month.billing import MonthMarket
from caas_local.demo.month.playing import play_months
from caas_local.demo.month.runs import BillingRuns
from caas_local.demo.month.scenarios import plan_subscribers
from caas_local.demo.report import Outage, Report, Trouble
from caas_local.demo.scenarios import Sale, plan_sales
from caas_local.demo.show import show_report
from caas_local.demo.trouble import repeat_and_forge, sell_during_outage
from caas_local.layout import Layout
from caas_local.platform import Platform

OUTCOMES_WITHIN_S: Final = 180.0
QUIET_WITHIN_S: Final = 90.0
QUIET_AFTER_MONTHS_S: Final = 300.0
"""Thousands of invoices are typeset and mailed while the months go on; this waits for the last of them."""
EVENTS_EACH: Final = 12
SALE_EVERY_S: Final = 0.06
"""Customers arrive one after the other: what is measured is a purchase, not a queue of our own making."""
_IN_PROGRESS: Final = {"requested", "authorizing", "activating", "cancelling"}
# Cars that keep silent, or speak too late, are decided by business time, which only the clock moves.
_WAITS_FOR_TIME: Final = {"silent", "late_ack"}


async def play(folder: Path, purchases: int, subscriptions: int, *, keep: bool) -> Report:
    """Start a fresh platform in `folder`, play, write `report.json` there, show the result, stop.

    Raises PlatformFailed when it does not start, TimeoutError when purchases do not come to an end.
    """
    started_at = time.monotonic()
    console = Console(highlight=False)
    state = folder / "state"
    await asyncio.to_thread(shutil.rmtree, state, ignore_errors=True)
    layout = Layout.of(state, fixed_ports=False)
    progress = Progress(
        SpinnerColumn(), TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=Console(stderr=True),
    )  # fmt: skip
    with progress:
        starting = progress.add_task("starting", total=None)

        def say(words: str) -> None:
            progress.update(starting, description=words)
            if not progress.console.is_terminal:
                progress.console.print(words)

        platform = Platform(layout, say, temporary=not keep)
        try:
            await platform.start()
            progress.update(starting, description="platform is ready", total=1, completed=1)
            report = await _Play(platform, layout, progress).run(
                plan_sales(purchases), subscriptions, started_at, console
            )
        finally:
            if not keep:
                await platform.stop()
    report.write(folder / "report.json")
    console.print(f"report: {_shown(folder / 'report.json')}; logs: {_shown(state)}/<process>/server.log")
    console.print("next: `make up` keeps a platform running; docs/architecture/ explains what you saw")
    return report


class _Play:
    """The acts. Each shows its progress and has a deadline."""

    def __init__(self, platform: Platform, layout: Layout, progress: Progress) -> None:
        self._platform = platform
        self._layout = layout
        self._progress = progress
        self._said = ""

    async def run(self, sales: list[Sale], subscriptions: int, started_at: float, console: Console) -> Report:
        databases = await Databases.open(self._platform.database_urls)
        limits = httpx.Limits(max_connections=32)
        try:
            async with httpx.AsyncClient(timeout=30.0, limits=limits) as client:
                actors = Actors(self._layout, client)
                registering = self._begin("registering customers and cars", total=len(sales))
                await actors.register(sales, lambda: self._progress.advance(registering))
                await databases.until_quiet(QUIET_WITHIN_S)
                sold = await self._sell([sale for sale in sales if not sale.scenario.outage], actors)
                await self._until_decided(sold, databases, ignore=_WAITS_FOR_TIME)
                outage = await self._outlast(sold, [sale for sale in sales if sale.scenario.outage], actors)
                await self._until_decided(sold, databases, ignore=_WAITS_FOR_TIME)
                webhooks = await repeat_and_forge(actors, databases)
                await self._cancel(sold, actors)
                await self._let_deadlines_pass(sold, databases)
                market = await self._sell_cars(actors, databases)
                last_run = await self._settle(actors, databases)
                lives = LifeMarket(self._platform, actors, databases, self._begin_counted)
                await lives.run(plan_lives())
                last_run = await self._settle(actors, databases, days=(3,))
                billed = await self._bill_months(subscriptions, actors, databases)
                last_run = await self._settle(actors, databases, days=(3,)) if billed else last_run
                played = Played(trouble=Trouble(webhooks, outage), lives=lives, months=billed)
                duration_s = time.monotonic() - started_at
                report = await assess(sold, market, databases, actors, last_run, duration_s, played)
                slowest = await self._longest(databases, sold)
                self._progress.stop()
                console.print(self._said, highlight=False)
                show_report(console, report, await databases.journey(slowest), slowest)
                return report
        finally:
            await databases.close()

    def _begin(self, act: str, *, total: int) -> TaskID:
        """A new act: a bar for a terminal, a line for a log."""
        if not self._progress.console.is_terminal:
            self._progress.console.print(f"{act} ({total})")
        return self._progress.add_task(act, total=total)

    async def _sell(self, sales: list[Sale], actors: Actors) -> dict[str, Sale]:
        selling = self._begin("selling services", total=len(sales))
        sold: dict[str, Sale] = {}

        async def sell(sale: Sale) -> None:
            sold[await actors.buy(sale)] = sale
            self._progress.advance(selling)

        async with asyncio.TaskGroup() as group:
            for sale in sales:
                group.create_task(sell(sale))
                await asyncio.sleep(SALE_EVERY_S)
        return sold

    async def _outlast(self, sold: dict[str, Sale], sales: list[Sale], actors: Actors) -> Outage:
        """Sell while the gateway is dead: nothing is lost, nothing charged twice, everything goes on."""

        async def sell() -> int:
            bought = await self._sell(sales, actors)
            sold.update(bought)
            return len(bought)

        return await sell_during_outage(self._platform, sell)

    async def _cancel(self, sold: Mapping[str, Sale], actors: Actors) -> None:
        for purchase_id, sale in sold.items():
            if sale.scenario.cancel:
                await actors.cancel(sale, purchase_id)

    async def _until_decided(self, sold: Mapping[str, Sale], databases: Databases, ignore: set[str]) -> None:
        expected = [i for i, sale in sold.items() if sale.scenario.behaviour not in ignore]
        deciding = self._begin("activating and charging", total=len(expected))
        deadline = asyncio.get_running_loop().time() + OUTCOMES_WITHIN_S
        while True:
            status = {row["id"]: row["status"] for row in await databases.rows("orders", db.STATUSES)}
            open_ones = [i for i in expected if status.get(i, "requested") in _IN_PROGRESS]
            self._progress.update(deciding, completed=len(expected) - len(open_ones))
            if not open_ones:
                return
            if asyncio.get_running_loop().time() > deadline:
                names = sorted({f"{sold[i].scenario.name} ({status.get(i)})" for i in open_ones})
                raise TimeoutError(f"{len(open_ones)} purchases did not come to an end: {', '.join(names)}")
            await asyncio.sleep(0.2)

    async def _let_deadlines_pass(self, sold: Mapping[str, Sale], databases: Databases) -> None:
        """Silent cars are given up, holds voided; then the late answers come and are undone (SVC-10)."""
        await databases.until_quiet(QUIET_WITHIN_S)
        self._platform.move_clock(timedelta(hours=1))
        await self._until_decided(sold, databases, ignore=set())
        self._platform.move_clock(timedelta(hours=3))
        late = sum(1 for sale in sold.values() if sale.scenario.behaviour == "late_ack")
        undoing = self._begin("undoing late activations", total=late)
        deadline = asyncio.get_running_loop().time() + OUTCOMES_WITHIN_S
        while (undone := await databases.number("ota", db.LATE_DEACTIVATED)) < late:
            self._progress.update(undoing, completed=undone)
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"only {undone} of {late} late activations were undone")
            await asyncio.sleep(0.2)
        self._progress.update(undoing, completed=late)
        await databases.until_quiet(QUIET_WITHIN_S)

    async def _sell_cars(self, actors: Actors, databases: Databases) -> CarMarket:
        """RES, FIN: customers reserve cars; most get them, some lose them to others, some never pay."""
        sales = plan_cars()
        selling = self._begin("selling cars", total=sum(1 for sale in sales if sale.scenario.ends != "payment_failed"))
        market = CarMarket(actors, databases, self._platform.move_clock, lambda: self._progress.advance(selling))
        await market.run(sales)
        await databases.until_quiet(QUIET_WITHIN_S)
        return market

    async def _bill_months(
        self, number: int, actors: Actors, databases: Databases
    ) -> tuple[MonthMarket, Sequence[str]] | None:
        """SUB: so many subscribers use their services, are billed, and pay or do not."""
        if not number:
            return None
        market = MonthMarket(self._platform, actors, databases, self._begin_counted)
        runs = BillingRuns(self._platform, actors)
        events = number * EVENTS_EACH
        months = await play_months(market, plan_subscribers(number), events, runs.run_by_command, runs.run_by_schedule)
        self._said = runs.said
        await databases.until_quiet(QUIET_AFTER_MONTHS_S)
        return market, months

    def _begin_counted(self, act: str, total: int) -> Callable[[int], None]:
        task = self._begin(act, total=total)
        return lambda done: self._progress.update(task, completed=done)

    async def _settle(self, actors: Actors, databases: Databases, days: Sequence[int] = (4, 6, 6)) -> dict[str, Any]:
        """Days pass: most money arrives, some late, some is taken back; each time the feed is reconciled."""
        settling = self._begin("days pass, reconciling", total=len(days))
        report: dict[str, Any] = {}
        for number in days:
            self._platform.move_clock(timedelta(days=number))
            await asyncio.sleep(1.0)
            await databases.until_quiet(QUIET_WITHIN_S)
            report = await actors.reconcile()
            await databases.until_quiet(QUIET_WITHIN_S)
            self._progress.advance(settling)
        return report

    async def _longest(self, databases: Databases, sold: Mapping[str, Sale]) -> str:
        rows = [row for row in await databases.rows("orders", db.DURATIONS) if row["id"] in sold]
        return str(max(rows, key=lambda row: row["ms"])["id"])


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
