"""Whatever arrives in whatever order, twice or not, on a real PostgreSQL: one allowed end (SVC-4 to SVC-11)."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caas_chassis.cause import Cause
from caas_chassis.handling import Received
from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.message import Message
from caas_contracts.ota import ActivateService, CancelActivation, DeactivateService
from caas_contracts.payments import CancelPayment, DeliveryDecision
from caas_contracts.subscriptions import SubscriptionCancelled, SubscriptionStarted
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.status import PurchaseStatus
from caas_orders.handlers import HANDLERS
from caas_orders.handlers.purchasing import cancel
from services.orders.tests.builders import (
    a_vehicle,
    activation_failed,
    cancel_purchase,
    payment_abandoned,
    payment_authorized,
    payment_captured,
    payment_failed,
    payment_voided,
    place_purchase,
    registered,
    service_activated,
    settlement_failed,
    stored,
)
from services.orders.tests.subscription_builders import subscribing
from services.orders.tests.world import Fact, Move, World


def message_of(fact: Fact, purchase: Purchase) -> Message:
    """The fact as its message."""
    messages: dict[Fact, Message] = {
        Fact.AUTHORIZED: payment_authorized(purchase),
        Fact.DELIVERY_REFUSED: payment_authorized(purchase, DeliveryDecision.REFUSE),
        Fact.DECLINED: payment_failed(purchase),
        Fact.ABANDONED: payment_abandoned(purchase),
        Fact.CAPTURED: payment_captured(purchase),
        Fact.CAPTURE_LOST: settlement_failed(purchase),
        Fact.VOIDED: payment_voided(purchase),
        Fact.ACTIVATED: service_activated(purchase),
        Fact.ACTIVATED_LATE: service_activated(purchase, late=True),
        Fact.ACTIVATION_FAILED: activation_failed(purchase),
    }
    return messages[fact]


# Every example buys for a vehicle of its own, so that they can share one database.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_every_ordering_ends_in_one_allowed_state(harness: Harness, data: st.DataObject) -> None:
    vehicle = a_vehicle(f"veh-{new_id()}")
    await registered(harness, vehicle)
    await harness.take()
    command = place_purchase(vehicle_id=vehicle.vehicle_id)
    await harness.receive(command)
    purchase = await stored(harness, command.purchase_id)
    world = World().asked(await harness.take())
    delivered: list[Message] = [command]
    while moves := _choices(world):
        move = data.draw(st.sampled_from(moves))
        if move is None:
            break
        world, messages = _moved(world, move, purchase)
        if data.draw(st.booleans()):
            messages = [*messages, data.draw(st.sampled_from(delivered))]
        await _deliver(harness, messages, delivered)
        world = world.asked(await harness.take())
    await _assert_allowed_end(harness, purchase, world)


def _choices(world: World) -> list[Move | None]:
    """The moves of the others, and the customer's: to cancel, or to leave it at the end."""
    moves: list[Move | None] = [*world.moves()]
    if not world.cancelled:
        moves.append(Move.CANCEL)
    return moves if world.moves() else [*moves, None]


def _moved(world: World, move: Move, purchase: Purchase) -> tuple[World, list[Message]]:
    match move:
        case Move.TELL_PAYMENT:
            told = message_of(world.from_payments[0], purchase)
            return replace(world, from_payments=world.from_payments[1:]), [told]
        case Move.TELL_ACTIVATION:
            told = message_of(world.from_ota[0], purchase)
            return replace(world, from_ota=world.from_ota[1:]), [told]
        case Move.CANCEL:
            return replace(world, cancelled=True), [cancel_purchase(purchase)]
        case _:
            return world.after(move), []


async def _deliver(harness: Harness, messages: list[Message], delivered: list[Message]) -> None:
    for message in messages:
        if any(message is old for old in delivered):
            await harness.receive_again(message)
        else:
            await harness.receive(message)
            delivered.append(message)


async def _assert_allowed_end(harness: Harness, purchase: Purchase, world: World) -> None:
    end = await stored(harness, purchase.purchase_id)
    if end.cancelled_at is None:  # It came too late, and was refused.
        world = replace(world, cancelled=False)
    assert end.status in world.allowed_ends(), (end, world)
    assert end.charged == (world.money == "captured")
    assert world.in_the_car == (end.status is PurchaseStatus.ACTIVE)
    async with harness.transaction() as tx:
        told = await tx.fetch("SELECT kind FROM notifications WHERE purchase_id = $1", purchase.purchase_id)
    assert len(told) == 1, "the customer is told of the outcome, once (NOT-1)"
    assert await harness.parked() == []


async def test_a_cancellation_that_races_the_authorization_takes_one_of_the_two_doors(harness: Harness) -> None:
    vehicles = [a_vehicle(f"veh-{number}") for number in range(12)]
    await registered(harness, *vehicles)
    commands = [place_purchase(vehicle_id=vehicle.vehicle_id) for vehicle in vehicles]
    await harness.receive(*commands)
    placed = [await stored(harness, command.purchase_id) for command in commands]

    async def cancel_over_http(purchase: Purchase) -> None:
        async with harness.transaction("customer:cus-1") as tx:
            await cancel(purchase.purchase_id, "cus-1", tx=tx)

    authorizing = harness.receive(*[payment_authorized(purchase) for purchase in placed])
    await asyncio.gather(authorizing, *[cancel_over_http(purchase) for purchase in placed])
    activated = {message.purchase_id for message in await harness.published(ActivateService)}
    given_up = {message.payment_id for message in await harness.published(CancelPayment)}
    for purchase in placed:
        assert (purchase.purchase_id in activated) != (purchase.payment_id in given_up)
    assert len(await harness.published(CancelActivation)) == len(activated)


class _Killed(Exception):
    """The process is gone."""


async def _handle_and_die(harness: Harness, message: Message) -> None:
    async with harness.transaction() as tx:
        await HANDLERS[type(message)]([Received(message, Cause.of_person("operator:test"))], tx=tx)
        raise _Killed


async def _deliver_with_deaths(harness: Harness, message: Message) -> None:
    """The process dies before the commit, handles it, dies before it says so to the broker, and handles it again."""
    with pytest.raises(_Killed):
        await _handle_and_die(harness, message)
    await harness.receive(message)
    await harness.receive_again(message)
    await harness.receive(message.model_copy())  # Told once more by its sender, which had died as well.


@pytest.mark.parametrize("verdict", [service_activated, activation_failed])
@pytest.mark.parametrize("is_cancelled_first", [True, False])
async def test_deaths_around_the_cars_answer_and_the_cancellation_of_a_subscription_change_nothing(
    harness: Harness, verdict: Callable[[Purchase], Message], is_cancelled_first: bool
) -> None:
    purchase = await subscribing(harness)  # SVC-11, SUB-7
    messages = [cancel_purchase(purchase), verdict(purchase)]
    for message in messages if is_cancelled_first else reversed(messages):
        await _deliver_with_deaths(harness, message)
    is_applied = verdict is service_activated
    begun = is_applied and not is_cancelled_first
    end = await stored(harness, purchase.purchase_id)
    failed_first = not is_applied and not is_cancelled_first
    assert end.status is (
        PurchaseStatus.ENDED if begun else PurchaseStatus.FAILED if failed_first else PurchaseStatus.CANCELLED
    )
    assert len(await harness.published(SubscriptionStarted)) == begun
    assert len(await harness.published(SubscriptionCancelled)) == begun
    assert len(await harness.published(DeactivateService)) == is_applied
    assert len(await harness.published(CancelActivation)) == is_cancelled_first
    assert await harness.parked() == []
