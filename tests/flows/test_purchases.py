"""Single purchases over all five services, as separate processes."""

import httpx
import pytest

from caas_local.demo.actors import Actors
from caas_local.demo.scenarios import SCENARIOS
from tests.flows.market import Market

DECIDED_AT_ONCE = [s for s in SCENARIOS if s.behaviour not in ("silent", "late_ack")]


@pytest.mark.parametrize("scenario", DECIDED_AT_ONCE, ids=lambda scenario: scenario.name)
async def test_each_outcome_ends_as_it_must(market: Market, scenario: object) -> None:
    name = getattr(scenario, "name", "")
    sold = await market.sell(name)
    ((purchase_id, sale),) = sold.items()
    assert await market.outcomes([purchase_id]) == [sale.scenario.ends]
    assert (await market.captured_minor(purchase_id) > 0) == sale.scenario.charged  # SVC-6, in the gateway's book


async def test_the_customer_finds_purchase_invoice_and_mail(market: Market, client: httpx.AsyncClient) -> None:
    ((purchase_id, sale),) = (await market.sell("approved")).items()
    await market.outcomes([purchase_id])
    await market.databases.until_quiet(180)
    mine = (await market.actors.get_as("customer", sale.customer_id, "orders", "/expediente")).json()
    told = [one["kind"] for one in mine["notifications"] if one["purchase_id"] == purchase_id]
    assert sorted(told) == ["activated", "invoice_issued"]  # once each (NOT-1)
    assert [one["purchase_id"] for one in mine["documents"]].count(purchase_id) == 1
    mails = await market.actors.partner("mail", f"/messages?to={sale.customer_id.lower()}@customers.example")
    assert len({mail["message_id"] for mail in mails}) == len(mails)
    assert any(attachment["content_type"] == "application/pdf" for mail in mails for attachment in mail["attachments"])


async def test_another_customers_purchase_does_not_exist_for_you(market: Market) -> None:
    ((purchase_id, _),) = (await market.sell("approved")).items()
    stranger = Actors(market.platform.layout, market.actors.client)
    response = await stranger.get_as("customer", "C-stranger", "orders", f"/purchases/{purchase_id}")
    assert response.status_code == 404


async def test_one_key_with_another_body_is_refused_and_buys_nothing(market: Market) -> None:
    first, second = await market.register("approved", "approved")
    bought = await market.actors.buy(first)
    answer = await market.actors.buy_again_with_other_body(first, second)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    await market.outcomes([bought])
