"""How long a month takes to close, in multiples of bare SQL that aggregates the same use and inserts like rows.

Beside the million uses, a tenth and a hundredth of them are closed once: growth shows in `seconds_by_uses`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bench.bare_cycle import close_bare, prepare_bare
from bench.machine import Machine
from bench.measure import Aim, Comparison, Measure
from bench.month_data import USES_EACH, fill
from bench.processes import run_to_end

SUBSCRIPTIONS: Final = 100_000
SMALLER: Final = (1_000, 10_000)
WORKERS: Final = 2
PERIOD: Final = "2026-10"
DEADLINE_S: Final = 300.0


@asynccontextmanager
async def cycle_against_sql(machine: Machine) -> AsyncIterator[Comparison]:
    """Each take has a database of its own with the same month; only closing it is timed."""
    detail: dict[str, object] = {"subscriptions": SUBSCRIPTIONS, "uses": SUBSCRIPTIONS * USES_EACH, "workers": WORKERS}
    by_uses: dict[str, float] = {}

    async def ours() -> float:
        for subscriptions in SMALLER:
            if str(subscriptions * USES_EACH) not in by_uses:
                by_uses[str(subscriptions * USES_EACH)] = (await _close(machine, subscriptions))["seconds"]
        result = await _close(machine, SUBSCRIPTIONS)
        by_uses[str(SUBSCRIPTIONS * USES_EACH)] = result["seconds"]
        detail.update(seconds_by_uses=by_uses, rss_mb=result["rss_mb"])
        return result["seconds"]

    async def limit() -> float:
        async with machine.database("bare_month") as url:
            await fill(url, SUBSCRIPTIONS)
            await prepare_bare(url)
            await machine.checkpoint()
            return await close_bare(url, WORKERS)

    yield Comparison(ours, limit, detail)


async def _close(machine: Machine, subscriptions: int) -> dict[str, float]:
    async with machine.database("month") as url:
        await fill(url, subscriptions)
        await machine.checkpoint()
        arguments = ["-m", "bench.closing_process", url, PERIOD, str(WORKERS)]
        said: dict[str, float] = json.loads(await asyncio.wait_for(run_to_end(arguments), DEADLINE_S))
        return said


MEASURE: Final = Measure(
    name="cycle_vs_sql",
    unit="s",
    aim=Aim(2.0, at_least=False),
    says="a month of 1,000,000 uses closed, every invoice and charge command committed, against bare SQL of like rows",
    open=cycle_against_sql,
)
