"""Vehicles in stock: forfeited, claimed, given back, sold, and their history (RES-6, FIN-4)."""

from caas_chassis.testing.harness import Harness
from caas_contracts.vehicle_orders import (
    VehicleAvailable,
)
from caas_orders.domain.order_status import VehicleOrderStatus, VehicleStatus
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.handlers.reserving import reserve
from services.orders.tests.order_builders import (
    POLICY,
    VIN,
    PlayedSuppliers,
    a_wish,
    abandoned,
    charge_of,
    charges,
    confirmed,
    declined,
    forfeited,
    history_of,
    order_of,
    paying,
    ready,
    reserved,
    reserving,
    vehicle_of,
)


async def test_a_forfeited_vehicle_is_sold_to_the_next_customer(harness: Harness, suppliers: PlayedSuppliers) -> None:
    lost = await forfeited(harness)  # RES-6
    await harness.run_effects()
    suppliers.orders.clear()
    order = await reserved(harness, a_wish(VIN, "cus-2"))
    await harness.run_effects()
    order = await order_of(harness, order.order_id)
    assert (order.status, order.terms, suppliers.orders) == (VehicleOrderStatus.READY, lost.terms, [])
    await harness.receive(confirmed(await charge_of(harness, await paying(harness, order))))
    assert (await vehicle_of(harness)).status is VehicleStatus.SOLD
    assert [(status, holder) for status, holder, _ in await history_of(harness)] == [
        ("assigned", lost.order_id),
        ("sin_asignar", None),
        ("available_stock", None),
        ("reserved", order.order_id),
        ("sold", order.order_id),
    ]


async def test_a_claim_ends_when_its_reservation_is_not_paid(harness: Harness) -> None:
    await forfeited(harness)
    first = await reserving(harness, a_wish(VIN, "cus-2"))
    assert (await vehicle_of(harness)).status is VehicleStatus.RESERVED
    await harness.receive(declined(await charge_of(harness, first)))
    assert (await vehicle_of(harness)).status is VehicleStatus.AVAILABLE_STOCK
    second = await reserving(harness, a_wish(VIN, "cus-3"))
    await harness.receive(abandoned(await charge_of(harness, second)))
    assert (await vehicle_of(harness)).status is VehicleStatus.AVAILABLE_STOCK
    third = await reserved(harness, a_wish(VIN, "cus-2"))
    assert third.status is VehicleOrderStatus.READY


async def test_a_vehicle_somebody_has_cannot_be_reserved(harness: Harness) -> None:
    await ready(harness)
    for vehicle, code in ((VIN, RefusalCode.VEHICLE_NOT_AVAILABLE), ("WCAAS-NONE", RefusalCode.VEHICLE_NOT_FOUND)):
        async with harness.transaction() as tx:
            outcome = await reserve(a_wish(vehicle, "cus-2"), POLICY, tx=tx)
        assert isinstance(outcome, Refusal)
        assert outcome.code is code
    assert len(await charges(harness)) == 1


async def test_a_resold_vehicle_can_be_forfeited_again(harness: Harness) -> None:
    await forfeited(harness)
    order = await reserved(harness, a_wish(VIN, "cus-2"))
    await harness.receive(declined(await charge_of(harness, await paying(harness, order))))
    assert (await vehicle_of(harness)).status is VehicleStatus.AVAILABLE_STOCK
    assert len(await harness.published(VehicleAvailable)) == 2
