"""The state machines of orders and vehicles: their tables are the diagrams, and every fact fits every state."""

import itertools
import re
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import pytest

from caas_contracts.payments import RefundPayment
from caas_contracts.vehicle_orders import VehicleOrderForfeited, VehicleOrderPaid, VehicleReady
from caas_orders.domain.factory_event import Arrived, Built, EstimateChanged, FactoryEvent
from caas_orders.domain.final_payment import (
    begin_final_payment,
    deadline_passed,
    final_abandoned,
    final_declined,
    final_paid,
)
from caas_orders.domain.handing_over import application_rejected, delivered, plates_given, transport_booked
from caas_orders.domain.manufacture import factory_accepted, factory_refused, factory_told
from caas_orders.domain.order_status import (
    ORDER_TRANSITIONS,
    PAID_IN_FULL,
    VEHICLE_TRANSITIONS,
    VehicleOrderStatus,
    VehicleStatus,
)
from caas_orders.domain.refusal import Refusal
from caas_orders.domain.reserving import OrderWish, place_order, reservation_failed, reservation_paid
from caas_orders.domain.stock import StockVehicle, built_for
from caas_orders.domain.terms import Terms
from caas_orders.domain.vehicle_catalogue import current_vehicle_catalogue
from caas_orders.domain.vehicle_order import OrderChange, StockMove, VehicleOrder
from services.orders.tests.builders import NOW, a_customer
from services.orders.tests.order_builders import DAY, DUE, POLICY, RESERVATION, VIN

DIAGRAMS = Path(__file__).parents[3] / "docs" / "architecture" / "orders.md"
RESERVATION_PAYMENT, FINAL_PAYMENT = UUID(int=2), UUID(int=3)
OVERDUE = NOW + POLICY.payment_deadline + timedelta(days=30)


class Fact(StrEnum):
    """What may happen to an order, whatever its state."""

    RESERVATION_PAID = "reservation paid"
    RESERVATION_FAILED = "reservation failed"
    FACTORY_ACCEPTED = "factory accepted"
    FACTORY_REFUSED = "factory refused"
    ESTIMATED = "estimated"
    BUILT = "built"
    ARRIVED = "arrived"
    PAY = "the customer pays"
    PAID = "final paid"
    DECLINED = "final declined"
    ABANDONED = "final abandoned"
    OVERDUE = "overdue"
    REJECTED = "registration rejected"
    REGISTERED = "registered"
    BOOKED = "booked"
    DELIVERED = "delivered"


def terms() -> Terms:
    configured = current_vehicle_catalogue().configure("caas-one", ["seat-heating", "metallic-paint"], "madrid-norte")
    assert isinstance(configured, Terms)
    return configured


def a_placed_order(stock_vehicle_id: str | None = None) -> VehicleOrder:
    wish = OrderWish(UUID(int=1), RESERVATION_PAYMENT, a_customer(), terms(), "CaaS One", "tok", stock_vehicle_id)
    return place_order(wish, NOW).order


def told(order: VehicleOrder, fact: Fact) -> OrderChange:
    """The domain's answer to a fact."""
    match fact:
        case Fact.RESERVATION_PAID:
            return reservation_paid(order, RESERVATION_PAYMENT, RESERVATION, POLICY, NOW)
        case Fact.RESERVATION_FAILED:
            return reservation_failed(order, RESERVATION_PAYMENT, "card_declined", NOW)
        case Fact.PAY:
            outcome = begin_final_payment(order, FINAL_PAYMENT, None, "tok", NOW)
            return OrderChange(order) if isinstance(outcome, Refusal) else outcome
        case Fact.PAID:
            return final_paid(order, FINAL_PAYMENT, DUE, NOW)
        case Fact.DECLINED:
            return final_declined(order, FINAL_PAYMENT, "card_declined", POLICY, NOW)
        case Fact.ABANDONED:
            return final_abandoned(order, FINAL_PAYMENT, "gateway_unreachable", POLICY, NOW)
        case Fact.OVERDUE:
            return deadline_passed(order, OVERDUE)
        case _:
            return told_by_factory(order, fact)


def told_by_factory(order: VehicleOrder, fact: Fact) -> OrderChange:
    match fact:
        case Fact.FACTORY_ACCEPTED:
            return factory_accepted(order, "fo-1", DAY, NOW)
        case Fact.FACTORY_REFUSED:
            return factory_refused(order, "option_discontinued", NOW)
        case Fact.ESTIMATED:
            return factory_told(
                order, FactoryEvent("e", order.order_id, "fo-1", NOW, EstimateChanged(DAY)), POLICY, NOW
            )
        case Fact.BUILT:
            return factory_told(order, FactoryEvent("e", order.order_id, "fo-1", NOW, Built(VIN)), POLICY, NOW)
        case Fact.ARRIVED:
            return factory_told(order, FactoryEvent("e", order.order_id, "fo-1", NOW, Arrived(VIN)), POLICY, NOW)
        case _:
            return told_by_others(order, fact)


def told_by_others(order: VehicleOrder, fact: Fact) -> OrderChange:
    match fact:
        case Fact.REJECTED:
            return application_rejected(order, order.submission, "tax_id_invalid", NOW)
        case Fact.REGISTERED:
            return plates_given(order, "1234 MRT", NOW)
        case Fact.BOOKED:
            return transport_booked(order, "tb-1", DAY, NOW)
        case Fact.DELIVERED:
            return delivered(order, "tb-1", NOW, NOW)
        case _:
            raise AssertionError(f"{fact} has no answer")


@pytest.mark.parametrize(
    ("heading", "table"),
    [
        ("## The states of a vehicle order", ORDER_TRANSITIONS),
        ("## The states of a vehicle", VEHICLE_TRANSITIONS),
    ],
)
def test_the_diagram_is_the_table(
    heading: str, table: dict[VehicleOrderStatus | VehicleStatus, frozenset[VehicleOrderStatus | VehicleStatus]]
) -> None:
    section = DIAGRAMS.read_text().split(f"{heading}\n", 1)[1].split("\n## ", 1)[0]
    drawn = set(re.findall(r"^\s*(\w+) --> (\w+)", section, re.MULTILINE))
    assert drawn == {(start.value, end.value) for start, ends in table.items() for end in ends}


@pytest.mark.parametrize("stock_vehicle_id", [None, VIN])
def test_every_order_of_facts_keeps_the_invariants(stock_vehicle_id: str | None) -> None:
    # RES, FIN: the whole graph of what may happen next, exhaustively, with a payment attempt or two.
    start = a_placed_order(stock_vehicle_id)
    seen = {start}
    waiting = [start]
    while waiting:
        order = waiting.pop()
        for fact in Fact:
            change = told(order, fact)
            holds(order, change, fact)
            if change.order not in seen and change.order.final_attempts <= 2:
                seen.add(change.order)
                waiting.append(change.order)
    expected = set(VehicleOrderStatus)
    if stock_vehicle_id is not None:
        # RES-6: reserved and ready are one step, and there is no factory order.
        expected -= {VehicleOrderStatus.RESERVED, VehicleOrderStatus.ORDERED, VehicleOrderStatus.BUILT}
    assert {order.status for order in seen} == expected


def holds(before: VehicleOrder, change: OrderChange, fact: Fact) -> None:
    """What is true of every change, whatever the state."""
    after = change.order
    kinds = {type(message) for message in change.messages}
    if before.status in PAID_IN_FULL:
        assert after.status in PAID_IN_FULL, "what is paid is never taken away"
    if before.status is VehicleOrderStatus.PAYMENT_FAILED:
        assert after.status is before.status, "no retry, no grace (FIN-4)"
    assert (change.stock is StockMove.FORFEIT) == (VehicleOrderForfeited in kinds)
    assert (change.stock is StockMove.SELL) == (VehicleOrderPaid in kinds)
    assert (VehicleReady in kinds) == (
        after.status is VehicleOrderStatus.READY
        and before.status not in (VehicleOrderStatus.READY, VehicleOrderStatus.PAYING)
    )
    if fact is Fact.PAID and before.status not in PAID_IN_FULL and before.status is not VehicleOrderStatus.PAYING:
        assert RefundPayment in kinds, "money that no order can take goes back"
    if fact is Fact.RESERVATION_PAID and before.status is VehicleOrderStatus.DECLINED:
        assert RefundPayment in kinds
    twice = told(after, fact)
    if fact not in (Fact.PAY, Fact.PAID):
        assert twice.order.status is after.status, f"{fact} told twice moves further"
        assert twice.messages == () or RefundPayment in {type(message) for message in twice.messages}


def test_what_forfeits_a_vehicle_is_the_bank_s_decline_or_the_deadline_alone() -> None:
    paying = replace(
        a_placed_order(VIN),
        status=VehicleOrderStatus.PAYING,
        final_payment_id=FINAL_PAYMENT,
        final_attempts=1,
        pay_before=NOW,
    )
    lost = [fact for fact in Fact if told(paying, fact).stock is StockMove.FORFEIT]
    assert lost == [Fact.DECLINED]
    waiting = replace(paying, status=VehicleOrderStatus.READY)
    assert [fact for fact in Fact if told(waiting, fact).stock is StockMove.FORFEIT] == [Fact.OVERDUE]


def test_a_vehicle_has_one_holder_in_every_order_of_events() -> None:
    first, second = (UUID(int=7), "cus-1"), (UUID(int=8), "cus-2")
    built = built_for(VIN, terms(), *first, NOW).vehicle
    for moves in itertools.product(("claim", "give_back", "forfeit", "sell"), repeat=5):
        vehicle = built
        for move in moves:
            vehicle = moved(vehicle, move, second)
            assert (vehicle.order_id is None) == (vehicle.customer_id is None)
            assert (vehicle.order_id is None) == (vehicle.status is VehicleStatus.AVAILABLE_STOCK)


def moved(vehicle: StockVehicle, move: str, holder: tuple[UUID, str]) -> StockVehicle:
    """The vehicle after a move, or as it was where the table does not have it."""
    before = vehicle.status
    if move == "claim":
        claimed = vehicle.claim(*holder, NOW)
        return vehicle if isinstance(claimed, Refusal) else claimed.vehicle
    allowed = {
        "give_back": before is VehicleStatus.RESERVED,
        "forfeit": before in (VehicleStatus.ASSIGNED, VehicleStatus.RESERVED),
        "sell": before in (VehicleStatus.ASSIGNED, VehicleStatus.RESERVED),
    }
    if not allowed[move]:
        return vehicle
    match move:
        case "give_back":
            return vehicle.give_back("card_declined", NOW).vehicle
        case "forfeit":
            return vehicle.forfeit("card_declined", NOW).vehicle
        case _:
            return vehicle.sell(NOW).vehicle
