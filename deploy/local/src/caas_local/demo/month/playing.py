"""Two months of subscriptions from the first day to the last payment: the first with everything that can go wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from caas_local.demo.month.billing import MonthMarket, last_evening, third_of_next_month
from caas_local.demo.month.scenarios import Subscriber

type Close = Callable[[str], Awaitable[object]]
"""Closes the month of that name, or waits for what closes it by itself."""


async def play_months(
    market: MonthMarket, subscribers: Sequence[Subscriber], events: int, close_first: Close, close_second: Close
) -> list[str]:
    """Returns the names of the months that were billed; `events` is the use of the first one."""
    market.move_to(third_of_next_month(market.now()))
    month = f"{market.now():%Y-%m}"
    await market.subscribe(subscribers)
    market.move_to(market.now() + timedelta(days=11))
    await market.give_up()
    market.move_to(last_evening(month))
    await market.use(month, events, seed=1)
    market.move_to(last_evening(month) + timedelta(hours=4, minutes=30))
    async with asyncio.TaskGroup() as group:
        group.create_task(market.close(month, lambda: close_first(month)))
        group.create_task(market.lose_gateway())
    await market.charge()
    await market.answer()
    await market.remind()
    await market.pay_late()
    following = f"{market.now():%Y-%m}"
    await _play_second(market, following, max(100, events // 100), close_second)
    return [month, following]


async def _play_second(market: MonthMarket, month: str, events: int, close: Close) -> None:
    """A quiet month, but for a third of its use, which is of the month before and comes too late (SUB-2)."""
    market.move_to(last_evening(month))
    await market.use(month, events, seed=2, late=3000)
    market.move_to(last_evening(month) + timedelta(hours=4, minutes=30))
    await market.close(month, lambda: close(month))
    await market.charge()
    await market.answer()
