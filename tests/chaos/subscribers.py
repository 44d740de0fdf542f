"""Customers who subscribe while services die, and a month of theirs: used, billed, paid or not.

Whoever asks repeats the same request until it is served. What is owed is summed up by the cars themselves.
"""

import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Final

from caas_local.demo.actors import Actors
from caas_local.demo.assessing import gateway_transactions
from caas_local.demo.databases import Databases
from caas_local.demo.month.assessing import MonthReport, assess_months
from caas_local.demo.month.billing import MonthMarket, last_evening
from caas_local.demo.month.runs import BillingRuns
from caas_local.demo.month.scenarios import PAYERS, SERVICES, Subscriber
from caas_local.platform import Platform

MOST: Final = 3 * len(PAYERS)
"""So many cars, each with five subscriptions, are enough: three for each way to pay."""
EVENTS: Final = 600

type Request = Callable[[], Awaitable[object]]


class Subscribers:
    """`insist` repeats a request until living services answer it."""

    def __init__(
        self, platform: Platform, actors: Actors, databases: Databases, insist: Callable[[Request], Awaitable[object]]
    ) -> None:
        self._actors = actors
        self._databases = databases
        self._insist = insist
        self._runs = BillingRuns(platform, actors)
        self._months = MonthMarket(platform, actors, databases, lambda *_: _nobody_watches)
        self._payers = itertools.cycle(PAYERS)
        self._cars = 0
        self._closed: list[str] = []

    async def visit(self) -> None:
        """Somebody subscribes to everything that a car can have."""
        if self._cars >= MOST or self._closed:
            return
        payer = next(self._payers)
        first = self._cars * len(SERVICES) + 1
        self._cars += 1
        wanted = [Subscriber(number, payer) for number in range(first, first + len(SERVICES))]
        await self._insist(partial(self._months.buy, wanted))

    async def bill(self) -> None:
        """The month ends: use is reported, the cycle runs, customers pay, fail, are asked, and are given up."""
        if self._closed:
            return
        month = f"{self._months.now():%Y-%m}"
        self._closed.append(month)
        await self._months.until_active()
        await self._insist(self._months.give_up)
        self._months.move_to(last_evening(month))
        await self._months.use(month, EVENTS, seed=1)
        self._months.move_to(last_evening(month) + timedelta(hours=4, minutes=30))
        await self._months.close(month, lambda: self._insist(lambda: self._runs.run_over_http(month)))
        await self._months.charge()
        await self._insist(self._months.answer)
        await self._months.remind()
        await self._insist(self._months.pay_late)

    async def assess(self) -> MonthReport:
        """What was billed, by all books."""
        transactions = await gateway_transactions(self._actors)
        return await assess_months(self._months, self._closed, transactions, self._databases, least=len(SERVICES))


def _nobody_watches(_: int) -> None:
    """Progress is for people."""
