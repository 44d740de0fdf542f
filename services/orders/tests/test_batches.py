"""The hot path is set-based: as many SQL statements for a hundred purchases as for one."""

from collections.abc import Sequence

from asyncpg.connection import LoggedQuery

from caas_chassis.cause import Cause
from caas_chassis.handling import Received
from caas_chassis.testing.harness import Harness
from caas_contracts.message import Message
from caas_orders.domain.registration import Vehicle
from caas_orders.domain.status import PurchaseStatus
from caas_orders.handlers import HANDLERS
from caas_orders.store import purchases
from services.orders.tests.builders import (
    a_vehicle,
    invoice_issued,
    payment_authorized,
    payment_captured,
    place_purchase,
    registered,
    service_activated,
)
from services.orders.tests.subscription_builders import (
    a_subscribing,
    needs_customer,
    paid,
    payment_failed,
    settled,
    unpaid,
)


async def test_a_batch_needs_as_many_statements_as_one_message(harness: Harness) -> None:
    vehicles = [a_vehicle(f"veh-{number}", f"cus-{number % 7}") for number in range(122)]
    await registered(harness, *vehicles)
    await _sell(harness, vehicles[:1])  # The first statements of a connection ask for types.
    one = await _sell(harness, vehicles[1:2])
    many = await _sell(harness, vehicles[2:])
    assert one == many
    assert max(many.values()) <= 4


async def _sell(harness: Harness, vehicles: Sequence[Vehicle]) -> dict[str, int]:
    """Statements per kind of message, for a purchase of each vehicle from its placing to its invoice."""
    placing = [place_purchase(vehicle_id=vehicle.vehicle_id, customer_id=vehicle.customer_id) for vehicle in vehicles]
    counted = dict([await _statements(harness, placing)])
    ids = [message.purchase_id for message in placing]
    async with harness.transaction() as tx:
        placed = list((await purchases.read(ids, tx=tx)).values())
    for build in (payment_authorized, service_activated, payment_captured, invoice_issued):
        kind, number = await _statements(harness, [build(purchase) for purchase in placed])
        counted[kind] = number
    async with harness.transaction() as tx:
        sold = await purchases.read(ids, tx=tx)
    assert {purchase.status for purchase in sold.values()} == {PurchaseStatus.ACTIVE}
    return counted


async def test_a_batch_about_subscriptions_needs_as_many_statements_as_one_message(harness: Harness) -> None:
    vehicles = [a_vehicle(f"veh-{number}", f"cus-{number % 7}") for number in range(62)]
    await registered(harness, *vehicles)
    await _subscribe(harness, vehicles[:1])
    one = await _subscribe(harness, vehicles[1:2])
    many = await _subscribe(harness, vehicles[2:])
    assert one == many
    assert max(many.values()) <= 5


async def _subscribe(harness: Harness, vehicles: Sequence[Vehicle]) -> dict[str, int]:
    """Statements per kind of message, for a subscription in each vehicle from its placing to its end unpaid."""
    placing = [
        a_subscribing("premium-audio", vehicle_id=vehicle.vehicle_id, customer_id=vehicle.customer_id)
        for vehicle in vehicles
    ]
    counted = dict([await _statements(harness, placing)])
    ids = [message.purchase_id for message in placing]
    async with harness.transaction() as tx:
        placed = list((await purchases.read(ids, tx=tx)).values())
    for build in (service_activated, invoice_issued, payment_failed, needs_customer, paid, settled, unpaid):
        kind, number = await _statements(harness, [build(purchase) for purchase in placed])
        counted[kind] = number
    async with harness.transaction() as tx:
        ended = await purchases.read(ids, tx=tx)
    assert {purchase.status for purchase in ended.values()} == {PurchaseStatus.ENDED}
    return counted


async def _statements(harness: Harness, messages: Sequence[Message]) -> tuple[str, int]:
    log: list[LoggedQuery] = []
    cause = Cause.of_person("operator:test")
    async with harness.transaction() as tx:
        with tx.connection.query_logger(log.append):
            await HANDLERS[type(messages[0])]([Received(message, cause) for message in messages], tx=tx)
    return type(messages[0]).__name__, len(log)
