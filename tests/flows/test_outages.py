"""Servers die under load and come back; services are not restarted by hand. Nothing is lost, nothing twice."""

import asyncio

import pytest

from caas_local.layout import SERVICES
from tests.flows.market import Market

NAMES = ["approved", "pending_then_authorized", "car_fails_twice", "declined", "acknowledgement_lost"] * 4


@pytest.mark.timeout(600)
async def test_the_broker_dies_under_load_and_every_purchase_still_ends_right(market: Market) -> None:
    sales = await market.register(*NAMES)
    await market.databases.until_quiet(180)
    sold = {await market.actors.buy(sale): sale for sale in sales[:10]}
    kafka = market.platform.kafka
    pid = kafka.pid
    await asyncio.to_thread(kafka.kill)
    assert not kafka.is_running
    sold |= {await market.actors.buy(sale): sale for sale in sales[10:]}  # HTTP answers while Kafka is down
    await asyncio.to_thread(kafka.start, end_with_parent=True)
    assert kafka.pid != pid
    assert await market.outcomes(list(sold), within_s=240) == [sale.scenario.ends for sale in sold.values()]
    await _books_agree(market, list(sold))


@pytest.mark.timeout(600)
async def test_the_database_server_dies_under_load_and_every_purchase_still_ends_right(market: Market) -> None:
    sales = await market.register(*NAMES)
    await market.databases.until_quiet(180)
    sold = {await market.actors.buy(sale): sale for sale in sales}
    postgres = market.platform.postgres
    pid = postgres.pid
    await asyncio.to_thread(postgres.kill)
    assert not postgres.is_running
    await asyncio.to_thread(postgres.start, end_with_parent=True)
    assert postgres.pid != pid
    fresh = await market.reconnected()
    try:
        assert await fresh.outcomes(list(sold), within_s=240) == [sale.scenario.ends for sale in sold.values()]
        await _books_agree(fresh, list(sold))
    finally:
        await fresh.databases.close()


async def test_a_killed_service_is_started_again_and_goes_on(market: Market) -> None:
    sales = await market.register(*NAMES[:5])
    sold = {await market.actors.buy(sale): sale for sale in sales}
    for name in SERVICES[2:]:
        market.platform.kill(name)
        assert market.platform.pid(name) is None
        await market.platform.restart(name)
    assert await market.outcomes(list(sold), within_s=240) == [sale.scenario.ends for sale in sold.values()]


async def _books_agree(market: Market, purchase_ids: list[str]) -> None:
    """Captured once where the purchase is active, nothing elsewhere, in the gateway's own book."""
    books = await market.actors.partner("gateway", "/sandbox/books")
    assert books["captures_by_reference_max"] <= 1
    for purchase_id, status in zip(purchase_ids, await market.outcomes(purchase_ids), strict=True):
        assert (await market.captured_minor(purchase_id) > 0) == (status == "active")
