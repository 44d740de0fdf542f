"""The state machine: its table is the diagram in the documentation, and every order of facts ends well."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from caas_contracts.orders import PurchaseKind
from caas_orders.domain.catalogue import current_catalogue
from caas_orders.domain.placing import Buyer, Wish, place
from caas_orders.domain.purchase import Change, Purchase
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.status import TRANSITIONS, PurchaseStatus
from services.orders.tests.builders import NOW, a_customer, a_vehicle
from services.orders.tests.world import Fact, Move, World

DIAGRAM = Path(__file__).parents[3] / "docs" / "architecture" / "orders.md"
FAR = datetime(2099, 1, 1, tzinfo=UTC)
OFFER = current_catalogue().offers["premium-audio"]


def a_placed_purchase(service_code: str = "premium-audio") -> Change:
    wish = Wish(
        purchase_id=UUID(int=1),
        payment_id=UUID(int=2),
        activation_id=UUID(int=3),
        customer_id="cus-1",
        vehicle_id="veh-1",
        service_code=service_code,
        kind=PurchaseKind.TEMPORARY,
        duration_days=30,
        payment_method="tok_approved",
        consent=True,
        requested_at=NOW,
        awaited=False,
    )
    change = place(wish, Buyer(a_vehicle(), a_customer()), current_catalogue(), NOW)
    assert isinstance(change, Change)
    return change


def told(purchase: Purchase, fact: Fact) -> Change:
    """The domain's answer to a fact."""
    match fact:
        case Fact.AUTHORIZED | Fact.DELIVERY_REFUSED:
            deliver = fact is Fact.AUTHORIZED
            return purchase.payment_authorized(deliver=deliver, activate_not_after=FAR, offer=OFFER, now=NOW)
        case Fact.DECLINED:
            return purchase.payment_failed("card_declined", NOW)
        case Fact.ABANDONED:
            return purchase.payment_abandoned(NOW)
        case Fact.CAPTURED:
            return purchase.payment_captured(None, NOW)
        case Fact.CAPTURE_LOST:
            return purchase.capture_failed("capture_failed", NOW)
        case Fact.VOIDED:
            return purchase.payment_voided("voided", NOW)
        case Fact.ACTIVATED | Fact.ACTIVATED_LATE:
            return purchase.service_activated(NOW, late=fact is Fact.ACTIVATED_LATE, now=NOW)
        case Fact.ACTIVATION_FAILED:
            return purchase.activation_failed("incompatible", NOW)


def test_the_diagram_in_the_documentation_is_the_table_of_transitions() -> None:
    edges = set(re.findall(r"^\s*(\w+) --> (\w+)", DIAGRAM.read_text(), re.MULTILINE))
    documented = {(a, b) for a, b in edges if a in PurchaseStatus and b in PurchaseStatus}
    assert documented == {(start.value, end.value) for start, ends in TRANSITIONS.items() for end in ends}


def test_every_order_of_facts_and_cancellation_ends_in_the_one_allowed_state() -> None:
    # SVC-4 to SVC-8, SVC-10, SVC-11: the whole matrix, exhaustively.
    placed = a_placed_purchase()
    start = (placed.purchase, World().asked(placed.messages), 0)
    seen = {start}
    waiting = [start]
    ends: set[tuple[PurchaseStatus, str, str]] = set()
    while waiting:
        purchase, world, notices = waiting.pop()
        followers = _followers(purchase, world, notices)
        if not world.moves():
            assert purchase.status in world.allowed_ends(), (purchase, world)
            assert world.in_the_car == (purchase.status is PurchaseStatus.ACTIVE), (purchase, world)
            assert purchase.charged == (world.money == "captured"), (purchase, world)
            assert notices == 1, "the customer is told of the outcome, once"
            ends.add((purchase.status, world.money, world.car))
        for follower in followers:
            if follower not in seen:
                seen.add(follower)
                waiting.append(follower)
    assert {status for status, _, _ in ends} == {
        PurchaseStatus.ACTIVE,
        PurchaseStatus.FAILED,
        PurchaseStatus.DECLINED,
        PurchaseStatus.CANCELLED,
    }
    assert len(seen) > 100, "the exploration has to branch"


def test_a_fact_told_twice_changes_nothing_more() -> None:
    for fact in Fact:
        for status in PurchaseStatus:
            purchase = _in_status(status)
            once = told(purchase, fact)
            twice = told(once.purchase, fact)
            assert twice.purchase.status is once.purchase.status
            assert twice.notice is None


def test_a_cancellation_says_why_it_is_too_late() -> None:
    # SVC-11
    active = replace(_in_status(PurchaseStatus.ACTIVE), activated_at=NOW).cancel(NOW)
    assert isinstance(active, Refusal)
    assert active.code is RefusalCode.ALREADY_ACTIVE
    failed = _in_status(PurchaseStatus.FAILED).cancel(NOW)
    assert isinstance(failed, Refusal)
    assert failed.code is RefusalCode.ALREADY_ENDED
    applied = told(_in_status(PurchaseStatus.ACTIVATING), Fact.ACTIVATED).purchase.cancel(NOW)
    assert isinstance(applied, Refusal)
    assert applied.code is RefusalCode.ALREADY_ACTIVE


def test_the_gate_of_maintenance_comes_before_any_payment() -> None:
    requested = a_placed_purchase("adaptive-cruise")  # SVC-2
    assert [type(message).__name__ for message in requested.messages] == ["PurchasePlaced"]
    assert requested.purchase.status is PurchaseStatus.REQUESTED


def _in_status(status: PurchaseStatus) -> Purchase:
    asked = status not in (PurchaseStatus.REQUESTED, PurchaseStatus.AUTHORIZING)
    return replace(a_placed_purchase().purchase, status=status, activation_not_after=FAR if asked else None)


def _followers(purchase: Purchase, world: World, notices: int) -> list[tuple[Purchase, World, int]]:
    followers = []
    for move in world.moves():
        if move is Move.TELL_PAYMENT:
            change = told(purchase, world.from_payments[0])
            rest = replace(world, from_payments=world.from_payments[1:])
            followers.append(_joined(change, rest, notices))
        elif move is Move.TELL_ACTIVATION:
            change = told(purchase, world.from_ota[0])
            rest = replace(world, from_ota=world.from_ota[1:])
            followers.append(_joined(change, rest, notices))
        else:
            followers.append((purchase, world.after(move), notices))
    if not world.cancelled:
        outcome = purchase.cancel(NOW)
        if not isinstance(outcome, Refusal):
            followers.append(_joined(outcome, replace(world, cancelled=True), notices))
    return followers


def _joined(change: Change, world: World, notices: int) -> tuple[Purchase, World, int]:
    return change.purchase, world.asked(change.messages), notices + (change.notice is not None)
