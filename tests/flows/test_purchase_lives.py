"""Every way in which a purchase goes on, ends or is given up, over all services and partners as separate processes."""

from collections.abc import Callable

import pytest

from caas_local.demo.assessing import applied_activations, gateway_transactions
from caas_local.demo.life.assessing import assess_lives
from caas_local.demo.life.playing import LifeMarket
from caas_local.demo.life.scenarios import plan_lives
from tests.flows.market import Market


@pytest.mark.timeout(900)
async def test_every_life_ends_as_it_must_and_the_books_of_cars_and_gateway_agree(market: Market) -> None:
    """PLN, REC, SVC-9, SVC-11, DES, THF: one purchase for each path, while three months pass."""
    lives = LifeMarket(market.platform, market.actors, market.databases, _nobody_watches)
    # Other tests park what is bad on the same platform.
    parked_before = await market.databases.parked()
    await lives.run(plan_lives(each=1))
    await market.databases.until_quiet(180)

    books = await market.actors.partner("gateway", "/sandbox/books")
    found = await assess_lives(
        lives,
        await gateway_transactions(market.actors),
        await applied_activations(market.actors),
        books["refunded_minor"],
        market.databases,
    )
    assert found.broken == []
    assert found.refunded_minor == found.gateway_refunded_minor > 0
    assert (found.active_unpaid, found.paid_inactive) == (0, 0)
    assert await market.databases.parked() == parked_before


def _nobody_watches(act: str, total: int) -> Callable[[int], None]:
    return lambda _: None
