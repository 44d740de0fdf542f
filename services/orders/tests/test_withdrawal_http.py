"""The withdrawal function over HTTP: what it shows, its two steps, whose it is, and twice at once (DES-5 to DES-7)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.identity import IdentityProvider
from caas_chassis.web import create_app
from caas_contracts.ota import DeactivateService
from caas_contracts.payments import RefundPayment
from caas_contracts.purchase_life import PurchaseWithdrawn, WithdrawalConfirmed
from caas_orders.domain.purchase import Purchase
from caas_orders.http import routers
from services.orders.tests.builders import a_vehicle, registered, stored
from services.orders.tests.withdrawal_builders import active, payment_refunded, refund_delayed, service_deactivated

identity = IdentityProvider()
ANA = identity.bearer("cus-1", "customer")
BEA = identity.bearer("cus-2", "customer")
DEALER = identity.bearer("dealer-1", "dealer")
OPERATOR = identity.bearer("ops-1", "operator")


@pytest.fixture
async def http(harness: Harness) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(harness.runtime, routers(harness.runtime), verifier=identity.verifier())
    await harness.runtime.changes.start()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://orders", timeout=15) as client:
        yield client
    await harness.runtime.changes.stop()


def path(purchase: Purchase, rest: str = "") -> str:
    return f"/purchases/{purchase.purchase_id}/withdrawal{rest}"


async def shown(http: httpx.AsyncClient, purchase: Purchase) -> dict[str, Any]:
    answer = await http.get(path(purchase), headers=ANA)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def withdraw(http: httpx.AsyncClient, purchase: Purchase, who: dict[str, str] = ANA) -> httpx.Response:
    declared = await http.post(path(purchase), headers=who)
    assert declared.status_code == 201, declared.text
    withdrawal_id = declared.json()["withdrawal"]["withdrawal_id"]
    return await http.post(path(purchase, f"/{withdrawal_id}/confirmation"), headers=who)


async def test_it_is_shown_whether_until_when_and_what_is_paid_back(harness: Harness, http: httpx.AsyncClient) -> None:
    purchase = await active(harness)
    body = await shown(http, purchase)
    assert (body["withdrawable"], body["reason"], body["withdrawal"]) == (True, None, None)
    assert body["until"] == "2026-12-06T23:00:00Z"  # DES-1
    assert (body["until_local"], body["last_day"]) == ("2026-12-07T00:00:00+01:00", "2026-12-06")
    assert body["refund"] == {"amount_minor": purchase.price.amount_minor, "currency": "EUR"}


async def test_both_steps_and_where_it_stands_until_it_is_done(harness: Harness, http: httpx.AsyncClient) -> None:
    purchase = await active(harness)  # DES-7
    confirmed = await withdraw(http, purchase)
    assert (confirmed.status_code, confirmed.headers["Location"]) == (202, path(purchase))
    assert confirmed.json()["withdrawal"]["status"] == "confirmed"
    assert (confirmed.json()["withdrawable"], confirmed.json()["reason"]) == (False, "already_withdrawn")
    seen = []
    asked = await stored(harness, purchase.purchase_id)
    for fact in (refund_delayed(asked), payment_refunded(asked), service_deactivated(asked)):
        await harness.receive(fact)
        body = await shown(http, purchase)
        seen.append((body["status"], body["withdrawal"]["status"]))
    assert seen == [("withdrawing", "refund_delayed"), ("withdrawn", "refunded"), ("withdrawn", "done")]
    again = await http.post(
        path(purchase, f"/{confirmed.json()['withdrawal']['withdrawal_id']}/confirmation"), headers=ANA
    )
    assert (again.status_code, again.json()["withdrawal"]["status"]) == (200, "done")
    found = (await http.get(f"/purchases/{purchase.purchase_id}", headers=ANA)).json()
    assert (found["status"], found["charged"]) == ("withdrawn", False)
    assert found["withdrawal_id"] == again.json()["withdrawal"]["withdrawal_id"]


async def test_asked_twice_at_once_it_refunds_once(harness: Harness, http: httpx.AsyncClient) -> None:
    purchase = await active(harness)  # DES-6
    declared = await asyncio.gather(*[http.post(path(purchase), headers=ANA) for _ in range(6)])
    (withdrawal_id,) = {answer.json()["withdrawal"]["withdrawal_id"] for answer in declared}
    address = path(purchase, f"/{withdrawal_id}/confirmation")
    confirmed = await asyncio.gather(*[http.post(address, headers=ANA) for _ in range(8)])
    assert {answer.status_code for answer in confirmed} == {202}
    assert len({answer.json()["withdrawal"]["confirmed_at"] for answer in confirmed}) == 1
    for kind in (RefundPayment, DeactivateService, WithdrawalConfirmed):
        assert len(await harness.published(kind)) == 1
    asked = await stored(harness, purchase.purchase_id)
    await asyncio.gather(harness.receive(payment_refunded(asked)), harness.receive(service_deactivated(asked)))
    assert len(await harness.published(PurchaseWithdrawn)) == 1
    kinds = [one["kind"] for one in (await http.get("/expediente", headers=ANA)).json()["notifications"]]
    assert sorted(kinds) == ["activated", "withdrawal_received", "withdrawn"]


async def test_a_refusal_says_why_and_the_customer_is_told(harness: Harness, http: httpx.AsyncClient) -> None:
    purchase = await active(harness, duration_days=1)  # DES-2, DES-5
    assert purchase.ends_at is not None
    await harness.move_clock(purchase.ends_at - harness.clock.now() - timedelta(minutes=1))
    assert (await shown(http, purchase))["withdrawable"]
    await harness.move_clock(timedelta(minutes=1))
    body = await shown(http, purchase)
    assert (body["withdrawable"], body["reason"]) == (False, "service_ended")
    for _ in range(2):
        refused = await http.post(path(purchase), headers=ANA)
        assert (refused.status_code, refused.json()["code"]) == (409, "service_ended")
        assert refused.headers["content-type"] == "application/problem+json"
    told = [one["kind"] for one in (await http.get("/expediente", headers=ANA)).json()["notifications"]]
    assert told.count("withdrawal_refused") == 1


async def test_looking_tells_nobody(harness: Harness, http: httpx.AsyncClient) -> None:
    purchase = await active(harness)
    await harness.move_clock(timedelta(days=20))
    assert (await shown(http, purchase))["reason"] == "withdrawal_period_over"
    told = [one["kind"] for one in (await http.get("/expediente", headers=ANA)).json()["notifications"]]
    assert told == ["activated"]


async def test_an_operator_withdraws_on_behalf_and_others_find_nothing(
    harness: Harness, http: httpx.AsyncClient
) -> None:
    await registered(harness, a_vehicle("veh-2", "cus-2"))
    purchase = await active(harness)
    for ask in (http.get, http.post):
        assert (await ask(path(purchase), headers=BEA)).status_code == 404
        assert (await ask(path(purchase), headers=DEALER)).status_code == 403
        assert (await ask(path(purchase))).status_code == 401
    declared = (await http.post(path(purchase), headers=ANA)).json()["withdrawal"]["withdrawal_id"]
    address = path(purchase, f"/{declared}/confirmation")
    assert (await http.post(address, headers=BEA)).status_code == 404
    assert await harness.published(WithdrawalConfirmed) == []
    assert (await http.post(address, headers=OPERATOR)).status_code == 202


async def test_an_unknown_declaration_confirms_nothing(harness: Harness, http: httpx.AsyncClient) -> None:
    purchase = await active(harness)
    answer = await http.post(path(purchase, f"/{new_id()}/confirmation"), headers=ANA)
    assert (answer.status_code, answer.json()["code"]) == (404, "withdrawal_not_found")
