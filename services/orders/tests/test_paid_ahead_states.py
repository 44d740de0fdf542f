"""Every order of facts about money that is taken ahead ends as it must: in the domain, exhaustively (PLN-1, SVC-11)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from caas_contracts.orders import PurchaseKind
from caas_contracts.payments import DeliveryDecision
from caas_orders.domain.catalogue import current_catalogue
from caas_orders.domain.expiring import end_reached
from caas_orders.domain.notification import NoticeKind
from caas_orders.domain.paying_ahead import (
    date_reached,
    payment_confirmed,
    payment_refunded,
    payment_settled,
    settlement_failed,
)
from caas_orders.domain.placing import Buyer, Wish, place
from caas_orders.domain.purchase import Change, Purchase
from caas_orders.domain.refusal import Refusal
from caas_orders.domain.status import MoneyOutcome, PurchaseStatus
from services.orders.tests.ahead_world import Fact, Move, World
from services.orders.tests.builders import a_customer, a_vehicle
from services.orders.tests.life_builders import BEGINNING

OFFER = current_catalogue().offers["premium-audio"]
ENDS = {PurchaseStatus.ACTIVE, PurchaseStatus.FAILED, PurchaseStatus.DECLINED, PurchaseStatus.CANCELLED}
UNPAID = {PurchaseStatus.REQUESTED, PurchaseStatus.AUTHORIZING}
UNASKED = UNPAID | {PurchaseStatus.SETTLING, PurchaseStatus.SCHEDULED}

type State = tuple[Purchase, World, tuple[NoticeKind, ...]]


def a_placed_purchase(kind: PurchaseKind) -> Change:
    wish = Wish(
        purchase_id=UUID(int=1),
        payment_id=UUID(int=2),
        activation_id=UUID(int=3),
        customer_id="cus-1",
        vehicle_id="veh-1",
        service_code="premium-audio",
        kind=kind,
        duration_days=30,
        payment_method="tok_approved",
        consent=True,
        requested_at=BEGINNING,
        awaited=False,
        starts_on="2026-12-01" if kind is PurchaseKind.PLANNED else None,
    )
    change = place(wish, Buyer(a_vehicle(), a_customer()), current_catalogue(), BEGINNING)
    assert isinstance(change, Change)
    return change


DECISIONS = {
    Fact.CONFIRMED: DeliveryDecision.ON_AUTHORIZATION,
    Fact.CONFIRMED_FOR_LATER: DeliveryDecision.AFTER_SETTLEMENT,
    Fact.CONFIRMED_REFUSED: DeliveryDecision.REFUSE,
}


def told(purchase: Purchase, fact: Fact) -> Change:
    """The domain's answer to a fact."""
    now, price_minor = BEGINNING, purchase.price.amount_minor
    if fact in DECISIONS:
        return payment_confirmed(purchase, DECISIONS[fact], OFFER, now)
    answers: dict[Fact, Callable[[], Change]] = {
        Fact.DECLINED: lambda: purchase.payment_failed("card_declined", now),
        Fact.ABANDONED: lambda: purchase.payment_abandoned(now),
        Fact.SETTLED: lambda: payment_settled(purchase, price_minor, OFFER, now),
        Fact.UNSETTLED: lambda: settlement_failed(purchase, now),
        Fact.REFUNDED: lambda: payment_refunded(purchase, price_minor, "refunded", now),
        Fact.ACTIVATED: lambda: purchase.service_activated(now, late=False, now=now),
        Fact.ACTIVATED_LATE: lambda: purchase.service_activated(now, late=True, now=now),
        Fact.ACTIVATION_FAILED: lambda: purchase.activation_failed("incompatible", now),
    }
    return answers[fact]()


@pytest.mark.parametrize("kind", [PurchaseKind.PLANNED, PurchaseKind.TEMPORARY])
def test_every_order_ends_charged_and_active_or_paid_back_and_out_of_the_car(kind: PurchaseKind) -> None:
    placed = a_placed_purchase(kind)
    start: State = (placed.purchase, World(kind is PurchaseKind.PLANNED).asked(placed.messages), ())
    seen, waiting = {start}, [start]
    ends: set[PurchaseStatus] = set()
    while waiting:
        state = waiting.pop()
        if not state[1].moves() and state[0].status is not PurchaseStatus.SCHEDULED:
            _assert_allowed(*state)
            ends.add(state[0].status)
        for follower in _followers(*state):
            if follower not in seen:
                seen.add(follower)
                waiting.append(follower)
    assert ends == ENDS
    assert len(seen) > 100, "the exploration has to branch"


def test_a_fact_told_twice_changes_nothing_more() -> None:
    for kind in (PurchaseKind.PLANNED, PurchaseKind.TEMPORARY):
        for fact in Fact:
            for status in PurchaseStatus:
                if fact is Fact.ACTIVATED and status in UNASKED:
                    continue  # ota has no such activation.
                once = told(_in_status(kind, status), fact)
                twice = told(once.purchase, fact)
                assert twice.purchase.status is once.purchase.status, (kind, fact, status)
                assert twice.notice is None, (kind, fact, status)


def test_a_day_begins_at_its_first_instant_and_not_a_microsecond_before() -> None:
    scheduled = replace(_in_status(PurchaseKind.PLANNED, PurchaseStatus.SCHEDULED), activation_not_after=None)
    assert scheduled.starts_at is not None
    early = date_reached(scheduled, OFFER, scheduled.starts_at - timedelta(microseconds=1))
    assert (early.purchase, early.messages) == (scheduled, ())
    assert date_reached(scheduled, OFFER, scheduled.starts_at).purchase.status is PurchaseStatus.ACTIVATING


def test_a_service_ends_at_its_end_and_not_a_microsecond_before() -> None:
    end = BEGINNING + timedelta(days=30)  # SVC-9
    active = replace(_in_status(PurchaseKind.TEMPORARY, PurchaseStatus.ACTIVE), activated_at=BEGINNING, ends_at=end)
    early = end_reached(active, end - timedelta(microseconds=1))
    assert (early.purchase, early.messages) == (active, ())
    assert end_reached(active, end).purchase.status is PurchaseStatus.EXPIRED


def _assert_allowed(purchase: Purchase, world: World, notices: tuple[NoticeKind, ...]) -> None:
    assert purchase.status in world.allowed_ends(), (purchase, world)
    assert world.in_the_car == (purchase.status is PurchaseStatus.ACTIVE), (purchase, world)
    assert purchase.charged == (world.money == "taken"), (purchase, world)
    assert (purchase.money is MoneyOutcome.REFUNDED) == (world.money == "refunded"), (purchase, world)
    outcomes = [notice for notice in notices if notice is not NoticeKind.SCHEDULED]
    assert len(outcomes) == 1, "the customer is told of the outcome, once"
    assert len(notices) - len(outcomes) <= 1, "and of the plan, once"


def _in_status(kind: PurchaseKind, status: PurchaseStatus) -> Purchase:
    unpaid = status in UNPAID
    return replace(
        a_placed_purchase(kind).purchase,
        status=status,
        paid_ahead_at=None if unpaid else BEGINNING,
        money=None if unpaid else MoneyOutcome.CAPTURED,
        activation_not_after=None if status in UNASKED else BEGINNING,
    )


def _followers(purchase: Purchase, world: World, notices: tuple[NoticeKind, ...]) -> list[State]:
    followers = []
    for move in world.moves():
        if move is Move.TELL_PAYMENT:
            rest = replace(world, from_payments=world.from_payments[1:])
            followers.append(_joined(told(purchase, world.from_payments[0]), rest, notices))
        elif move is Move.TELL_ACTIVATION:
            rest = replace(world, from_ota=world.from_ota[1:])
            followers.append(_joined(told(purchase, world.from_ota[0]), rest, notices))
        else:
            followers.append((purchase, world.after(move), notices))
    if purchase.status is PurchaseStatus.SCHEDULED and world.day_begun:
        day = purchase.starts_at or BEGINNING
        followers.append(_joined(date_reached(purchase, OFFER, day), world, notices))
    if not world.cancelled:
        outcome = purchase.cancel(BEGINNING)
        if not isinstance(outcome, Refusal):
            followers.append(_joined(outcome, replace(world, cancelled=True), notices))
    return followers


def _joined(change: Change, world: World, notices: tuple[NoticeKind, ...]) -> State:
    more = () if change.notice is None else (change.notice,)
    return change.purchase, world.asked(change.messages), (*notices, *more)
