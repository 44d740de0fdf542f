"""Two in the same instant, many times: one vehicle, one payment, one outcome (RES-6, FIN-2, FIN-4, FIN-6)."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.operations import AlertRaised
from caas_contracts.payments import PaymentPurpose, RefundPayment
from caas_contracts.vehicle_orders import VehicleAvailable, VehicleRegisteredForTraffic
from caas_orders.domain.factory_event import Arrived
from caas_orders.domain.order_status import VehicleOrderStatus, VehicleStatus
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.vehicle_order import VehicleOrder
from caas_orders.gateway.supply import RegistrationGranted
from caas_orders.handlers.reserving import reserve
from caas_orders.handlers.supplying import apply_registration_answer
from services.orders.tests.order_builders import (
    POLICY,
    PlayedSuppliers,
    a_payment,
    a_wish,
    charge_of,
    charges,
    confirmed,
    declined,
    every_factory_event,
    factory_event,
    forfeited,
    order_of,
    paying,
    ready,
    reserved,
    reserving,
    tell,
    try_to_pay,
    vehicle_of,
)

RUNS = 25
"""Each run is a fresh vehicle and a fresh chance for the scheduler to interleave differently."""


def vin_of(run: int) -> str:
    return f"WCAAS0NE5T{run:07}"


async def together(*contenders: Awaitable[Any]) -> Sequence[Any]:
    """All at once; none may hang."""
    return await asyncio.wait_for(asyncio.gather(*contenders), 20)


async def try_to_reserve(harness: Harness, vehicle_id: str, customer_id: str) -> VehicleOrder | Refusal:
    async with harness.transaction() as tx:
        return await reserve(a_wish(vehicle_id, customer_id), POLICY, tx=tx)


async def charged_orders(harness: Harness, purpose: PaymentPurpose) -> list[UUID]:
    return [charge.subject_id for charge in await charges(harness, purpose)]


async def test_of_several_customers_exactly_one_gets_a_stock_vehicle_and_only_that_one_is_charged(
    harness: Harness,
) -> None:
    for run in range(RUNS):
        await forfeited(harness, vin=vin_of(run))
        before = len(await charges(harness))
        outcomes = await together(*[try_to_reserve(harness, vin_of(run), f"cus-{n}") for n in range(2, 6)])
        winners = [one for one in outcomes if isinstance(one, VehicleOrder)]
        losers = [one.code for one in outcomes if isinstance(one, Refusal)]
        assert (len(winners), losers) == (1, [RefusalCode.VEHICLE_NOT_AVAILABLE] * 3)
        assert [one.subject_id for one in (await charges(harness))[before:]] == [winners[0].order_id]
        assert (await vehicle_of(harness, vin_of(run))).order_id == winners[0].order_id


async def test_concurrent_final_payments_of_one_order_are_one_payment(harness: Harness) -> None:
    for run in range(RUNS):
        order = await ready(harness, vin=vin_of(run))
        outcomes = await together(*[try_to_pay(harness, a_payment(order)) for _ in range(4)])
        assert sum(isinstance(one, VehicleOrder) for one in outcomes) == 1
        assert {one.code for one in outcomes if isinstance(one, Refusal)} == {RefusalCode.PAYMENT_IN_PROGRESS}
    paid_for = await charged_orders(harness, PaymentPurpose.FINAL)
    assert len(paid_for) == len(set(paid_for)) == RUNS


async def test_the_deadline_and_a_payment_in_the_same_instant_have_one_outcome(harness: Harness) -> None:
    orders = [await ready(harness, vin=vin_of(run)) for run in range(RUNS)]
    harness.clock.move(POLICY.payment_deadline - timedelta(milliseconds=40))  # It passes while they are paying.

    async def deadline() -> None:
        await asyncio.sleep(0.04)
        await harness.runtime.timers.run_until_idle()

    async def pay(order: VehicleOrder, run: int) -> VehicleOrder | Refusal:
        await asyncio.sleep(run * 0.004)
        return await try_to_pay(harness, a_payment(order))

    await together(*[deadline() for _ in range(3)], *[pay(order, run) for run, order in enumerate(orders)])
    await asyncio.sleep(0.1)
    await harness.runtime.timers.run_until_idle()
    charged = set(await charged_orders(harness, PaymentPurpose.FINAL))
    ends = {order.order_id: (await order_of(harness, order.order_id)).status for order in orders}
    for order_id, status in ends.items():
        expected = VehicleOrderStatus.PAYING if order_id in charged else VehicleOrderStatus.PAYMENT_FAILED
        assert status is expected
    assert len(await harness.published(VehicleAvailable)) == RUNS - len(charged)


async def test_a_forfeited_vehicle_is_sold_at_most_once_while_everybody_wants_it(harness: Harness) -> None:
    for run in range(RUNS):
        order = await paying(harness, await ready(harness, vin=vin_of(run)))
        fail = harness.receive(declined(await charge_of(harness, order)))
        outcomes = await together(fail, *[try_to_reserve(harness, vin_of(run), f"cus-{n}") for n in range(2, 5)])
        winners = [one for one in outcomes if isinstance(one, VehicleOrder)]
        vehicle = await vehicle_of(harness, vin_of(run))
        assert len(winners) <= 1  # Whoever came before the forfeiture was refused, too.
        assert vehicle.order_id == (winners[0].order_id if winners else None)
        assert vehicle.status is (VehicleStatus.RESERVED if winners else VehicleStatus.AVAILABLE_STOCK)


async def test_a_claim_that_ends_while_others_reserve_leaves_one_holder(harness: Harness) -> None:
    for run in range(RUNS):
        await forfeited(harness, vin=vin_of(run))
        claimed = await reserving(harness, a_wish(vin_of(run), "cus-2"))
        fail = harness.receive(declined(await charge_of(harness, claimed)))
        outcomes = await together(fail, *[try_to_reserve(harness, vin_of(run), f"cus-{n}") for n in (3, 4)])
        winners = [one for one in outcomes if isinstance(one, VehicleOrder)]
        vehicle = await vehicle_of(harness, vin_of(run))
        assert len(winners) <= 1
        assert vehicle.order_id == (winners[0].order_id if winners else None)


async def test_factory_events_in_parallel_build_one_vehicle(harness: Harness, suppliers: PlayedSuppliers) -> None:
    for run in range(RUNS):
        order = await reserved(harness)
        events = every_factory_event(order, vin_of(run))
        await together(*[tell(harness, event) for event in (*events, *reversed(events))], harness.run_effects())
        assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.READY
        assert (await vehicle_of(harness, vin_of(run))).order_id == order.order_id
    assert len({one.order_id for one in suppliers.orders}) == RUNS
    assert await harness.published(AlertRaised) == []


async def test_one_vehicle_number_for_two_orders_goes_to_one_of_them(harness: Harness) -> None:
    for run in range(RUNS):
        first, second = await reserved(harness), await reserved(harness)
        told = [tell(harness, factory_event(order, Arrived(vin_of(run)))) for order in (first, second)]
        await asyncio.wait_for(asyncio.gather(*told, return_exceptions=True), 20)  # A webhook that fails comes again.
        await tell(harness, *[factory_event(order, Arrived(vin_of(run))) for order in (first, second)])
        ends = sorted([(await order_of(harness, order.order_id)).status for order in (first, second)])
        assert ends == [VehicleOrderStatus.READY, VehicleOrderStatus.RESERVED]


async def test_answers_of_the_administration_in_parallel_book_one_transport(
    harness: Harness, suppliers: PlayedSuppliers
) -> None:
    async def granted(order: VehicleOrder) -> None:
        async with harness.transaction() as tx:
            answer = RegistrationGranted("reg-1", "1234 MRT")
            await apply_registration_answer(order.order_id, 1, answer, tx=tx)

    for run in range(RUNS):
        order = await paying(harness, await ready(harness, vin=vin_of(run)))
        await harness.receive(confirmed(await charge_of(harness, order)))
        await together(granted(order), granted(order), harness.run_effects())
    await harness.run_effects()
    assert len(await harness.published(VehicleRegisteredForTraffic)) == RUNS
    assert len([one for one in suppliers.bookings if one.attempt == 1]) == RUNS  # Later ones ask how it stands.


@pytest.mark.parametrize("late", [confirmed, declined])
async def test_facts_told_in_parallel_have_one_effect(harness: Harness, late: Any) -> None:
    for run in range(RUNS):
        order = await paying(harness, await ready(harness, vin=vin_of(run)))
        fact = late(await charge_of(harness, order))
        await together(harness.receive(fact), harness.receive(fact.model_copy()))
        vehicle = await vehicle_of(harness, vin_of(run))
        assert vehicle.status in (VehicleStatus.SOLD, VehicleStatus.AVAILABLE_STOCK)
    assert await harness.published(RefundPayment) == []
