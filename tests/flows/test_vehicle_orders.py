"""Cars over all services and partners, as separate processes: reserved, built, paid or lost, sold again, delivered."""

import asyncio
import itertools
from collections import Counter
from typing import Any, Final

import httpx

from caas_local.demo.assessing import gateway_transactions
from caas_local.demo.cars import scenarios
from caas_local.demo.cars.assessing import assess_cars
from caas_local.demo.cars.scenarios import CarSale
from caas_local.demo.cars.selling import CarMarket
from tests.flows.market import Market

_numbers: Final = itertools.count(1)
CAR: Final = {"model": "caas-one", "options": ["seat-heating"], "dealership": "madrid-norte"}
RESERVATION_MINOR: Final = 100_000
REST_MINOR: Final = 2_834_000
PAYMENTS_OF: Final = "SELECT id::text FROM payments WHERE customer_id = $1"


def a_sale(scenario: scenarios.CarScenario = scenarios.PAID_IN_FULL) -> CarSale:
    return CarSale(next(_numbers), scenario)


async def order(market: Market, sale: CarSale, key: str, *, wait_s: int = 30) -> httpx.Response:
    """The customer reserves a car."""
    customer = {"name": "Ana", "email": f"{sale.customer_id.lower()}@customers.example"}
    body = {**CAR, "customer": customer, "payment_method": f"{sale.scenario.card}:{sale.customer_id}"}
    headers = {"Idempotency-Key": key, "Prefer": f"wait={wait_s}"}
    return await market.actors.post_as("customer", sale.customer_id, "orders", "/vehicle-orders", body, headers)


async def pay(
    market: Market, customer_id: str, order_id: str, key: str, amount_minor: int | None = None
) -> httpx.Response:
    """Somebody tries to pay the rest of an order."""
    body: dict[str, Any] = {"payment_method": f"tok_approved:{customer_id}"}
    if amount_minor is not None:
        body["amount"] = {"amount_minor": amount_minor, "currency": "EUR"}
    path = f"/vehicle-orders/{order_id}/final-payment"
    headers = {"Idempotency-Key": key, "Prefer": "wait=30"}
    return await market.actors.post_as("customer", customer_id, "orders", path, body, headers)


async def a_ready_car(market: Market) -> tuple[CarSale, str]:
    """A customer whose car waits at the dealership; the factory built it because it was told to."""
    sale = a_sale()
    order_id = str((await order(market, sale, f"ready-{sale.number}")).json()["order_id"])
    for wanted, told in (("ordered", False), ("built", True), ("ready", True)):
        if told:
            await market.actors.tell_partner("factory", f"/sandbox/advance?reference={order_id}", {})
        await until(market, sale, order_id, wanted)
    return sale, order_id


async def until(market: Market, sale: CarSale, order_id: str, status: str) -> None:
    for _ in range(300):
        if (await read(market, sale.customer_id, order_id)).json()["status"] == status:
            return
        await asyncio.sleep(0.2)
    raise TimeoutError(f"order {order_id} is not {status} after a minute")


async def read(market: Market, customer_id: str, order_id: str) -> httpx.Response:
    return await market.actors.get_as("customer", customer_id, "orders", f"/vehicle-orders/{order_id}")


async def charged_minor(market: Market, customer_id: str) -> int:
    """What the gateway's own book holds of this customer's payments."""
    book = await gateway_transactions(market.actors)
    mine = {row["id"] for row in await market.databases.rows("payments", PAYMENTS_OF, customer_id)}
    return sum(one["captured_minor"] - one["refunded_minor"] for key, one in book.items() if key in mine)


async def test_cars_are_delivered_lost_and_sold_again_and_every_book_agrees(market: Market) -> None:
    wanted = (
        scenarios.PAID_IN_FULL, scenarios.DECLINED, scenarios.FORFEITED, scenarios.RESOLD, scenarios.TOO_LATE,
        scenarios.GATEWAY_DOWN, scenarios.FACTORY_DOWN, scenarios.REJECTED,
    )  # fmt: skip
    # Other tests park what is bad on the same platform.
    parked_before = await market.databases.parked()
    cars = CarMarket(market.actors, market.databases, market.platform.move_clock, lambda: None)
    await cars.run([a_sale(scenario) for scenario in wanted for _ in range(2)])
    await market.databases.until_quiet(180)

    transactions = await gateway_transactions(market.actors)
    found = await assess_cars(cars.orders, cars.refused, transactions, market.databases, market.actors)
    assert (found.charged_without_order, found.double_sold, found.resold) == (0, 0, 2)
    assert {row.scenario: row.ended for row in found.rows if row.orders} == {one.name: {one.ends: 2} for one in wanted}
    assert await market.databases.parked() == parked_before

    buyer = next(sale for sale in cars.orders.values() if sale.scenario is scenarios.PAID_IN_FULL)
    await assert_both_invoices_are_in_the_file(market, buyer)


async def assert_both_invoices_are_in_the_file(market: Market, buyer: CarSale) -> None:
    """INV-4: the invoices of the reservation and of the car, filed, mailed once each, and the one off the other."""
    mine = (await market.actors.get_as("customer", buyer.customer_id, "orders", "/expediente")).json()
    assert sorted(document["number"][0] for document in mine["documents"]) == ["A", "V"]
    invoices = (await market.actors.get_as("customer", buyer.customer_id, "billing", "/invoices")).json()["invoices"]
    final, reservation = invoices
    assert [line["concept"] for line in final["lines"]] == ["vehicle", "deduction"]
    assert final["lines"][1]["deducted_invoice_id"] == reservation["invoice_id"]
    assert final["lines"][0]["vehicle_id"] == mine["vehicle_orders"][0]["vehicle_id"]
    mails = await market.actors.partner("mail", f"/messages?to={buyer.customer_id.lower()}@customers.example")
    files = [file["filename"] for mail in mails for file in mail["attachments"]]
    assert sorted(files) == sorted(f"{invoice['number']}.pdf" for invoice in invoices)


async def test_whoever_does_not_wait_is_told_where_to_look_and_the_same_key_is_the_same_order(market: Market) -> None:
    sale = a_sale()
    first = await order(market, sale, "patient", wait_s=0)
    assert first.status_code == 202
    order_id = first.json()["order_id"]
    assert first.headers["Location"] == f"/vehicle-orders/{order_id}"
    again = await asyncio.gather(*[order(market, sale, "patient") for _ in range(5)])
    assert {answer.status_code for answer in again} == {201}
    assert {answer.json()["order_id"] for answer in again} == {order_id}
    assert await charged_minor(market, sale.customer_id) == RESERVATION_MINOR


async def test_a_declined_reservation_is_no_order_and_no_charge(market: Market) -> None:
    sale = a_sale(scenarios.DECLINED)
    answer = await order(market, sale, "declined")
    assert (answer.status_code, answer.json()["reason"]) == (402, "card_declined")
    assert await charged_minor(market, sale.customer_id) == 0


async def test_concurrent_final_payments_of_one_order_charge_once(market: Market) -> None:
    sale, order_id = await a_ready_car(market)
    answers = await asyncio.gather(*[pay(market, sale.customer_id, order_id, f"rest-{n}") for n in range(8)])
    counted = Counter(answer.status_code for answer in answers)
    assert counted[201] == 1, counted
    assert set(counted) <= {201, 409}, counted
    await market.databases.until_quiet(180)
    assert await charged_minor(market, sale.customer_id) == RESERVATION_MINOR + REST_MINOR


async def test_another_amount_is_refused_and_nobody_pays_another_s_order(market: Market) -> None:
    sale, order_id = await a_ready_car(market)
    refused = await pay(market, sale.customer_id, order_id, "less", REST_MINOR - 1)
    assert refused.status_code in (409, 422), refused.text
    stranger = await pay(market, "B-stranger", order_id, "stranger")
    assert (stranger.status_code, (await read(market, "B-stranger", order_id)).status_code) == (404, 404)
    assert (await read(market, sale.customer_id, order_id)).json()["status"] == "ready"
    assert await charged_minor(market, sale.customer_id) == RESERVATION_MINOR
    assert (await pay(market, sale.customer_id, order_id, "right", REST_MINOR)).status_code == 201
