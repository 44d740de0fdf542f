"""Whatever arrives about money that was taken ahead, in whatever order, twice or not, on a real PostgreSQL (PLN-1)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.message import Message
from caas_contracts.payments import DeliveryDecision, SettlementStage
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.status import PurchaseStatus
from services.orders.tests.ahead_world import Fact, Move, World
from services.orders.tests.builders import (
    a_vehicle,
    activation_failed,
    cancel_purchase,
    payment_abandoned,
    payment_failed,
    place_purchase,
    registered,
    service_activated,
    settlement_failed,
    stored,
)
from services.orders.tests.life_builders import a_planned, payment_confirmed, payment_refunded, payment_settled

AHEAD = timedelta(days=3)

MESSAGES: dict[Fact, Callable[[Purchase], Message]] = {
    Fact.CONFIRMED: payment_confirmed,
    Fact.CONFIRMED_FOR_LATER: lambda purchase: payment_confirmed(purchase, DeliveryDecision.AFTER_SETTLEMENT),
    Fact.CONFIRMED_REFUSED: lambda purchase: payment_confirmed(purchase, DeliveryDecision.REFUSE),
    Fact.DECLINED: payment_failed,
    Fact.ABANDONED: payment_abandoned,
    Fact.SETTLED: payment_settled,
    Fact.UNSETTLED: lambda purchase: settlement_failed(purchase, SettlementStage.SETTLEMENT),
    Fact.REFUNDED: payment_refunded,
    Fact.ACTIVATED: service_activated,
    Fact.ACTIVATED_LATE: lambda purchase: service_activated(purchase, late=True),
    Fact.ACTIVATION_FAILED: activation_failed,
}


# Every example buys for a vehicle of its own, so that they can share one database and one clock.
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), is_planned=st.booleans())
async def test_every_ordering_ends_in_one_allowed_state(
    harness: Harness, data: st.DataObject, is_planned: bool
) -> None:
    vehicle = a_vehicle(f"veh-{new_id()}")
    await registered(harness, vehicle)
    await harness.take()
    day = f"{harness.clock.now() + AHEAD:%Y-%m-%d}"
    vehicle_id = vehicle.vehicle_id
    command = a_planned(day, vehicle_id=vehicle_id) if is_planned else place_purchase(vehicle_id=vehicle_id)
    await harness.receive(command)
    purchase = await stored(harness, command.purchase_id)
    world = World(is_planned).asked(await _taken(harness, purchase))
    delivered: list[Message] = []
    while moves := _choices(world):
        move = data.draw(st.sampled_from(moves))
        if move is None:
            break
        world, messages = await _moved(harness, world, move, purchase)
        is_repeated: bool = data.draw(st.booleans())
        if delivered and is_repeated:
            await harness.receive_again(data.draw(st.sampled_from(delivered)))
        if messages:
            await harness.receive(*messages)
            delivered += messages
        await harness.runtime.timers.run_until_idle()
        world = world.asked(await _taken(harness, purchase))
    await _assert_allowed_end(harness, purchase, world)


async def _taken(harness: Harness, purchase: Purchase) -> list[Message]:
    """What was asked for this purchase; others come to their end while the days go by."""
    mine = {purchase.purchase_id, purchase.activation_id, purchase.payment_id}
    return [one for one in await harness.take() if mine & {value for _, value in one if isinstance(value, UUID)}]


def _choices(world: World) -> list[Move | None]:
    moves: list[Move | None] = [*world.moves()]
    if not world.cancelled:
        moves.append(Move.CANCEL)
    return moves if world.moves() else [*moves, None]


async def _moved(harness: Harness, world: World, move: Move, purchase: Purchase) -> tuple[World, list[Message]]:
    match move:
        case Move.TELL_PAYMENT:
            told = MESSAGES[world.from_payments[0]](purchase)
            return replace(world, from_payments=world.from_payments[1:]), [told]
        case Move.TELL_ACTIVATION:
            told = MESSAGES[world.from_ota[0]](purchase)
            return replace(world, from_ota=world.from_ota[1:]), [told]
        case Move.CANCEL:
            return replace(world, cancelled=True), [cancel_purchase(purchase)]
        case Move.DAY:
            harness.clock.move(AHEAD + timedelta(days=1))
            return world.after(move), []
        case _:
            return world.after(move), []


async def _assert_allowed_end(harness: Harness, purchase: Purchase, world: World) -> None:
    end = await stored(harness, purchase.purchase_id)
    if end.cancelled_at is None:  # It came too late, and was refused.
        world = replace(world, cancelled=False)
    assert end.status in world.allowed_ends(), (end, world)
    assert end.charged == (world.money == "taken"), (end, world)
    assert world.in_the_car == (end.status is PurchaseStatus.ACTIVE), (end, world)
    async with harness.transaction() as tx:
        told = await tx.fetch(
            "SELECT kind FROM notifications WHERE purchase_id = $1 AND kind <> 'scheduled'", purchase.purchase_id
        )
    assert len(told) == 1, "the customer is told of the outcome, once (NOT-1)"
    assert await harness.parked() == []
