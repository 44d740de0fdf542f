"""Subscriptions over all services and partners, as separate processes: used, billed, paid or lost; a run is killed."""

import asyncio
import itertools
import signal
import subprocess
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import pytest

from caas_local.demo.assessing import gateway_transactions
from caas_local.demo.month.assessing import assess_months
from caas_local.demo.month.billing import MonthMarket, last_evening, third_of_next_month
from caas_local.demo.month.playing import play_months
from caas_local.demo.month.runs import BillingRuns
from caas_local.demo.month.scenarios import PAYS, Subscriber, plan_subscribers
from tests.flows.market import Market

CAR: Final = 5
"""Everyone of a car pays alike: five subscriptions of each kind of payer."""
CLOSED: Final = "SELECT count(*) FROM period_close WHERE subscription_id = ANY($1::uuid[])"
# Subscribers of one session never share a car.
_numbers: Final = itertools.count(1, 1000)


def a_month_market(market: Market) -> MonthMarket:
    return MonthMarket(market.platform, market.actors, market.databases, _nobody_watches)


def runs_of(market: Market) -> BillingRuns:
    return BillingRuns(market.platform, market.actors)


async def kill_in_the_middle(market: Market, ids: list[str], run: Callable[[], subprocess.Popen[str]]) -> int:
    """SIGKILL a command as soon as it has closed something; returns how much that was."""
    process = run()
    while process.poll() is None:
        closed = await market.databases.number("billing", CLOSED, ids)
        if closed:
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.wait, 20)
            return await market.databases.number("billing", CLOSED, ids)
        await asyncio.sleep(0.002)
    raise AssertionError(f"the run ended with {process.returncode} before it could be killed")


@pytest.mark.timeout(600)
async def test_every_way_to_pay_ends_as_it_must_and_three_books_agree(market: Market) -> None:
    """SUB-1 to SUB-7: by our invoices, by the cars' own sum, and by what the gateway took."""
    months = a_month_market(market)
    subscribers = plan_subscribers(10 * CAR, each=CAR, first=next(_numbers))
    runs = runs_of(market)
    # Other tests park what is bad on the same platform.
    parked_before = await market.databases.parked()
    names = await play_months(months, subscribers, 1500, runs.run_by_command, runs.run_over_http)
    await market.databases.until_quiet(180)

    transactions = await gateway_transactions(market.actors)
    found = await assess_months(months, names, transactions, market.databases, least=len(subscribers))
    assert found.broken == []
    assert found.invoiced_minor == found.expected_minor > 0
    assert (found.billed_twice, found.charged_twice, found.disagreeing) == (0, 0, 0)
    assert await market.databases.parked() == parked_before


@pytest.mark.timeout(600)
async def test_a_run_that_is_killed_in_the_middle_bills_everyone_once_and_old_copies_count_for_nothing(
    market: Market,
) -> None:
    """SUB-4 and SUB-2: what was closed before the kill stays closed; use sent again months later is known."""
    months = a_month_market(market)
    first = next(_numbers)
    months.move_to(third_of_next_month(months.now()))
    month = f"{months.now():%Y-%m}"
    await months.subscribe([Subscriber(number, PAYS) for number in range(first, first + 8 * CAR)])
    months.move_to(last_evening(month))
    await months.use(month, 400, seed=first)
    driver = next(i for i, one in months.subscribers.items() if one.service_code == "lane-keeping")
    used = await months.usage.send(driver, last_evening(month), unit="km", billed_in=month)
    await market.databases.until_quiet(180)
    months.move_to(last_evening(month) + timedelta(hours=4, minutes=30))

    runs = runs_of(market)
    await kill_in_the_middle(market, months.ids, lambda: runs.start_command("run", "--period", month))
    await months.close(month, lambda: runs.run_by_command(month))
    await months.close(month, lambda: runs.run_by_command(month))
    await months.charge()

    following = f"{months.now():%Y-%m}"
    await months.usage.send(driver, last_evening(month), unit="km", billed_in=None, usage_id=used)
    months.move_to(last_evening(following) + timedelta(hours=4, minutes=30))
    await months.close(following, lambda: runs.run_over_http(following))
    await months.charge()
    transactions = await gateway_transactions(market.actors)
    found = await assess_months(months, [month, following], transactions, market.databases, least=8 * CAR)
    assert (found.disagreeing, found.billed_twice, found.charged_twice) == (0, 0, 0)
    assert found.invoiced_minor == found.expected_minor == found.paid_minor


def _nobody_watches(act: str, total: int) -> Callable[[int], None]:
    return lambda _: None
