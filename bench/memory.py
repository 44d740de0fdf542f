"""The resident memory of each service process after a load; the limit is what each may have."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bench.machine import Machine
from bench.measure import Aim, Comparison, Measure
from bench.platform import running_platform
from bench.throughput import sell_at_once

PURCHASES: Final = 300
ALLOWED_MB: Final = 150.0


@asynccontextmanager
async def memory_after_load(machine: Machine) -> AsyncIterator[Comparison]:
    """Each run adds the same load; the value is the largest service's. `services` has all of them."""
    async with running_platform(machine) as platform:
        sold = 0
        services: dict[str, float] = {}

        async def ours() -> float:
            nonlocal sold
            sold += PURCHASES
            await sell_at_once(platform, PURCHASES, sold)
            services.update({name: round(one.rss_mb, 1) for name, one in platform.children.items()})
            return max(services.values())

        async def limit() -> float:
            return ALLOWED_MB

        yield Comparison(ours, limit, {"services": services, "purchases_per_run": PURCHASES})


MEASURE: Final = Measure(
    name="rss_mb",
    unit="MB",
    aim=Aim(1.0, at_least=False),
    says="resident memory of the largest service process after the load, against the 150 MB that each may have",
    open=memory_after_load,
)
