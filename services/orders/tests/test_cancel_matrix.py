"""SVC-11: in every state and with every message in flight, giving up ends in exactly one of the three allowed ends.

The domain is walked exhaustively: every interleaving of payments, bank, ota, car and calendar, every fact told again at
any later time, and a cancellation, a withdrawal (DES-4), a theft (THF) or an end (SVC-9) at every point.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final
from uuid import UUID

import pytest

from caas_contracts.orders import PurchaseKind
from caas_contracts.payments import DeliveryDecision
from caas_orders.domain.catalogue import current_catalogue
from caas_orders.domain.expiring import end_reached
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
from caas_orders.domain.theft import stopped
from caas_orders.domain.withdrawing import (
    car_answered,
    confirm,
    declared,
    is_done,
    refund_id_of,
    refund_made,
    right_of,
    withdrawal_followed,
)
from services.orders.tests.builders import NOW, a_customer, a_vehicle
from services.orders.tests.life_world import End, LifeWorld, Step, Told
from services.orders.tests.test_purchase_states import FAR
from services.orders.tests.withdrawal_builders import MADRID

OFFER = current_catalogue().offers["adaptive-cruise"]
"""It has the maintenance gate, so that a walk begins where a purchase can begin."""

type State = tuple[Purchase, LifeWorld]


def a_requested_purchase(*, is_planned: bool) -> Change:
    wish = Wish(
        purchase_id=UUID(int=1),
        payment_id=UUID(int=2),
        activation_id=UUID(int=3),
        customer_id="cus-1",
        vehicle_id="veh-1",
        service_code=OFFER.code,
        kind=PurchaseKind.PLANNED if is_planned else PurchaseKind.TEMPORARY,
        duration_days=30,
        payment_method="tok_approved",
        consent=True,
        requested_at=NOW,
        awaited=False,
        starts_on="2026-12-01" if is_planned else None,
    )
    change = place(wish, Buyer(a_vehicle(), a_customer()), current_catalogue(), NOW)
    assert isinstance(change, Change), change
    return change


def told(purchase: Purchase, fact: Told) -> Change:
    """The domain's answer to a fact, as the handlers ask for it."""
    return _ANSWERS[fact](purchase)


def _refunded(purchase: Purchase) -> Change:
    change = payment_refunded(purchase, purchase.price.amount_minor, "refunded", NOW)
    return change.then(refund_made(change.purchase, refund_id_of(purchase.purchase_id), purchase.price, NOW))


def _authorized(purchase: Purchase, *, deliver: bool) -> Change:
    return purchase.payment_authorized(deliver=deliver, activate_not_after=FAR, offer=OFFER, now=NOW)


_ANSWERS: Final[Mapping[Told, Callable[[Purchase], Change]]] = {
    Told.AUTHORIZED: partial(_authorized, deliver=True),
    Told.DELIVERY_REFUSED: partial(_authorized, deliver=False),
    Told.TAKEN: lambda purchase: payment_confirmed(purchase, DeliveryDecision.ON_AUTHORIZATION, OFFER, NOW),
    Told.TAKEN_TO_SETTLE: lambda purchase: payment_confirmed(purchase, DeliveryDecision.AFTER_SETTLEMENT, OFFER, NOW),
    Told.SETTLED: lambda purchase: payment_settled(purchase, purchase.price.amount_minor, OFFER, NOW),
    Told.SETTLEMENT_LOST: lambda purchase: settlement_failed(purchase, NOW),
    Told.REFUNDED: _refunded,
    Told.DECLINED: lambda purchase: purchase.payment_failed("card_declined", NOW),
    Told.ABANDONED: lambda purchase: purchase.payment_abandoned(NOW),
    Told.CAPTURED: lambda purchase: purchase.payment_captured(None, NOW),
    Told.CAPTURE_LOST: lambda purchase: purchase.capture_failed("capture_failed", NOW),
    Told.VOIDED: lambda purchase: purchase.payment_voided("voided", NOW),
    Told.ACTIVATED: lambda purchase: purchase.service_activated(NOW, late=False, now=NOW),
    Told.ACTIVATED_LATE: lambda purchase: purchase.service_activated(NOW, late=True, now=NOW),
    Told.ACTIVATION_FAILED: lambda purchase: purchase.activation_failed("incompatible", NOW),
    Told.DEACTIVATED: lambda purchase: car_answered(purchase, NOW, NOW),
}


def happened(purchase: Purchase, world: LifeWorld, step: Step) -> State:
    """A step of the others, with what orders makes of it."""
    match step:
        case Step.OPEN_GATE:
            return joined(purchase, purchase.maintenance_current(NOW), replace(world, gate="open"))
        case Step.CLOSE_GATE:
            return joined(purchase, purchase.maintenance_refused("overdue", NOW), replace(world, gate="closed"))
        case Step.REACH_DATE:
            return joined(purchase, date_reached(purchase, OFFER, purchase.starts_at or NOW), world)
        case Step.TELL_PAYMENT | Step.TELL_ACTIVATION:
            fact, rest = world.next_of(step)
            return joined(purchase, told(purchase, fact), rest)
        case _:
            return purchase, world.after(step)


def choices(purchase: Purchase, world: LifeWorld) -> Iterator[tuple[str, State]]:
    """What the customer, or time, may do at any moment."""
    cancelled = purchase.cancel(NOW)
    if not isinstance(cancelled, Refusal):
        yield "cancel", joined(purchase, cancelled, world)
    yield "theft", joined(purchase, stopped(purchase, NOW), world)
    if right_of(purchase, MADRID, NOW).objection is None:
        confirmed = confirm(purchase, declared(purchase, NOW), NOW)
        yield "withdrawal", written(confirmed, replace(world, withdrawn=True))
    if purchase.ends_at is not None:
        ended = end_reached(purchase, purchase.ends_at)
        is_expired = ended.purchase.status is PurchaseStatus.EXPIRED
        yield "end", joined(purchase, ended, replace(world, expired=is_expired))


def joined(before: Purchase, change: Change, world: LifeWorld) -> State:
    """The state after a change that may concern a withdrawal, as every handler makes it."""
    return written(withdrawal_followed(before, change, NOW), world)


def written(change: Change, world: LifeWorld) -> State:
    """The state after a change; instants that only say when it was explored are made equal."""
    return replace(change.purchase, updated_at=NOW), world.asked(change.messages)


@pytest.fixture(scope="module", params=[False, True], ids=["for a time", "planned"])
def walk(request: pytest.FixtureRequest) -> "Walk":
    return Walk(is_planned=request.param)


class Walk:
    """Every state that can be reached, the ends, and where the customer had a choice."""

    def __init__(self, *, is_planned: bool) -> None:
        placed = a_requested_purchase(is_planned=is_planned)
        start = joined(placed.purchase, placed, LifeWorld(is_planned=is_planned))
        self.ends: defaultdict[tuple[End, PurchaseStatus], int] = defaultdict(int)
        self.chosen: set[tuple[str, PurchaseStatus]] = set()
        self.in_flight: set[tuple[PurchaseStatus, Told]] = set()
        self.seen = {start}
        waiting = [start]
        while waiting:
            purchase, world = waiting.pop()
            for follower in self._followers(purchase, world):
                if follower not in self.seen:
                    self.seen.add(follower)
                    waiting.append(follower)

    def _followers(self, purchase: Purchase, world: LifeWorld) -> Iterator[State]:
        steps = world.steps(is_scheduled=purchase.status is PurchaseStatus.SCHEDULED)
        if not steps:
            self._check_end(purchase, world)
        for step in steps:
            yield happened(purchase, world, step)
        for fact in world.told:
            yield joined(purchase, told(purchase, fact), world)
        for name, state in choices(purchase, world):
            self.chosen.add((name, purchase.status))
            self.in_flight.update((purchase.status, fact) for fact in world.in_flight)
            yield state

    def _check_end(self, purchase: Purchase, world: LifeWorld) -> None:
        end = world.end()
        self.ends[end, purchase.status] += 1
        assert (end is End.DELIVERED) == (purchase.status in (PurchaseStatus.ACTIVE, PurchaseStatus.EXPIRED))
        assert (end is End.UNDONE) == (purchase.money is MoneyOutcome.REFUNDED), (purchase, world)
        assert purchase.charged == (end is End.DELIVERED and world.money != "lost"), (purchase, world)
        assert world.ends_told == world.withdrawn == is_done(purchase), "a withdrawal is done, and says so once"


def test_every_life_ends_in_exactly_one_of_the_allowed_ends(walk: Walk) -> None:
    assert {end for end, _ in walk.ends} == set(End)
    assert len(walk.seen) > 500, "the exploration has to branch"
    assert {status for _, status in walk.ends} >= {
        PurchaseStatus.ACTIVE,
        PurchaseStatus.EXPIRED,
        PurchaseStatus.FAILED,
        PurchaseStatus.CANCELLED,
        PurchaseStatus.WITHDRAWN,
        PurchaseStatus.BLOCKED,
    }


def test_giving_up_was_tried_in_every_state_and_with_every_message_in_flight(walk: Walk) -> None:
    is_planned = any(purchase.starts_at for purchase, _ in walk.seen)
    pending = {
        PurchaseStatus.REQUESTED,
        PurchaseStatus.AUTHORIZING,
        PurchaseStatus.SETTLING,
        PurchaseStatus.ACTIVATING,
        PurchaseStatus.CANCELLING,
    } | ({PurchaseStatus.SCHEDULED} if is_planned else set())
    assert {status for name, status in walk.chosen if name == "cancel"} >= pending
    assert {status for name, status in walk.chosen if name == "withdrawal"} == pending | {PurchaseStatus.ACTIVE}
    never = {PurchaseStatus.ENDED} | (set() if is_planned else {PurchaseStatus.SCHEDULED})
    assert {status for name, status in walk.chosen if name == "theft"} == set(PurchaseStatus) - never
    only_held = {Told.AUTHORIZED, Told.DELIVERY_REFUSED, Told.CAPTURED, Told.CAPTURE_LOST, Told.VOIDED}
    absent = only_held if is_planned else {Told.TAKEN}
    assert {fact for _, fact in walk.in_flight} == set(Told) - absent
