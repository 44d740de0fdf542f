"""Buying on a running platform, and waiting, bounded, for what becomes of it."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from caas_local.demo import databases as db
from caas_local.demo.actors import Actors
from caas_local.demo.databases import Databases
from caas_local.demo.scenarios import SCENARIOS, Sale, Scenario
from caas_local.platform import Platform

BY_NAME: Final[Mapping[str, Scenario]] = {scenario.name: scenario for scenario in SCENARIOS}
_IN_PROGRESS: Final = ("requested", "authorizing", "settling", "activating", "cancelling")
_PAYMENT_OF: Final = "SELECT payment_id::text FROM purchases WHERE purchase_id::text = $1"
# Sales of one session never share a car.
_numbers: Final = itertools.count(1)


class Market:
    """Sells scenarios by name."""

    def __init__(self, platform: Platform, actors: Actors, databases: Databases) -> None:
        self.platform = platform
        self.actors = actors
        self.databases = databases

    async def register(self, *names: str) -> list[Sale]:
        """Cars and customers for these scenarios, known to all services."""
        sales = [Sale(next(_numbers), BY_NAME[name]) for name in names]
        await self.actors.register(sales, lambda: None)
        return sales

    async def sell(self, *names: str) -> dict[str, Sale]:
        """One purchase for each scenario, by purchase id."""
        return {await self.actors.buy(sale): sale for sale in await self.register(*names)}

    async def outcomes(self, purchase_ids: Sequence[str], within_s: float = 180.0) -> list[str]:
        """The statuses that the purchases end in. Raises TimeoutError when one does not end."""
        async with asyncio.timeout(within_s):
            while True:
                status = {row["id"]: row["status"] for row in await self.databases.rows("orders", db.STATUSES)}
                if all(status.get(i, "requested") not in _IN_PROGRESS for i in purchase_ids):
                    return [status[i] for i in purchase_ids]
                await asyncio.sleep(0.1)

    async def reconnected(self) -> "Market":
        """The same market with new database connections, after the server was restarted."""
        return Market(self.platform, self.actors, await Databases.open(self.platform.database_urls))

    async def captured_minor(self, purchase_id: str) -> int:
        """What the gateway's own book says was captured for a purchase."""
        rows = await self.databases.rows("orders", _PAYMENT_OF, purchase_id)
        cursor, more = "0", True
        while more:
            page = await self.actors.partner("gateway", f"/sandbox/books/transactions?cursor={cursor}&limit=100")
            for transaction in page["transactions"]:
                if transaction["reference"] == rows[0]["payment_id"]:
                    return int(transaction["captured_minor"])
            cursor, more = page["next_cursor"], page["has_more"]
        return 0
