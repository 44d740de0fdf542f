"""Every order in which car, customer and billing may speak about a subscription ends well (SUB-1, SVC-10, SVC-11)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from caas_contracts.message import Message
from caas_contracts.orders import PurchaseKind
from caas_contracts.ota import ActivateService, CancelActivation, DeactivateService
from caas_contracts.subscriptions import SubscriptionCancelled, SubscriptionStarted
from caas_orders.domain.catalogue import current_catalogue
from caas_orders.domain.placing import Buyer, Wish, place
from caas_orders.domain.purchase import Change, Purchase
from caas_orders.domain.refusal import Refusal
from caas_orders.domain.status import PurchaseStatus
from caas_orders.domain.subscribing import (
    begin_subscription,
    cancel_subscription,
    subscription_applied,
    subscription_not_applied,
    subscription_unpaid,
)
from services.orders.tests.builders import NOW, a_customer, a_vehicle

OFFER = current_catalogue().offers["lane-keeping"]
LATER = datetime(2026, 12, 8, tzinfo=UTC)

type Said = Literal["applied", "applied late", "not applied", "unpaid", "gate open", "gate closed"]


@dataclass(frozen=True, slots=True)
class Others:
    """Gate, car and billing, seen from one subscription; `unheard` is what they said and orders has not heard yet."""

    gate: Literal["asked", "open", "closed"] = "asked"
    car: Literal["unasked", "asked", "applied", "refused", "applied late"] = "unasked"
    started: int = 0
    cancelled: int = 0
    deactivated: bool = False
    has_cancelled: bool = False
    has_ended_unpaid: bool = False
    unheard: tuple[Said, ...] = ()
    heard: tuple[Said, ...] = ()

    def after(self, messages: Iterable[Message]) -> "Others":
        """What they become by what orders published; asserts that it may publish that."""
        others = self
        for message in messages:
            match message:
                case ActivateService():
                    assert (others.gate, others.car) == ("open", "unasked"), "one subscription is one activation"
                    others = replace(others, car="asked")
                case CancelActivation():
                    assert others.car != "unasked"
                case DeactivateService():
                    assert others.car in ("applied", "applied late"), "nothing to take out"
                    assert not others.deactivated, "taken out once"
                    others = replace(others, deactivated=True)
                case SubscriptionStarted():
                    assert others.car == "applied"
                    others = replace(others, started=others.started + 1)
                case SubscriptionCancelled():
                    assert others.started == 1, "what never began cannot end"
                    others = replace(others, cancelled=others.cancelled + 1)
                case _:
                    pass
        return others

    def choices(self) -> list["Others"]:
        """Everything that they may do next."""
        possible = []
        if self.gate == "asked" and not self.unheard:
            possible += [self._says("gate open", gate="open"), self._says("gate closed", gate="closed")]
        if self.car == "asked":
            possible += [self._says("applied", car="applied"), self._says("not applied", car="refused")]
        if self.car == "refused":
            possible.append(self._says("applied late", car="applied late"))
        if self.started and not self.has_ended_unpaid:
            possible.append(replace(self._says("unpaid"), has_ended_unpaid=True))
        return possible

    @property
    def in_the_car(self) -> bool:
        return self.car in ("applied", "applied late") and not self.deactivated

    def _says(
        self,
        said: Said,
        *,
        gate: Literal["asked", "open", "closed"] | None = None,
        car: Literal["applied", "refused", "applied late"] | None = None,
    ) -> "Others":
        return replace(self, gate=gate or self.gate, car=car or self.car, unheard=(*self.unheard, said))


type State = tuple[Purchase, Others, int]


def a_placed_subscription(service_code: str = "lane-keeping") -> Change:
    wish = Wish(
        purchase_id=UUID(int=1),
        payment_id=UUID(int=2),
        activation_id=UUID(int=3),
        customer_id="cus-1",
        vehicle_id="veh-1",
        service_code=service_code,
        kind=PurchaseKind.SUBSCRIPTION,
        duration_days=None,
        payment_method="tok_approved",
        consent=True,
        requested_at=NOW,
        awaited=False,
    )
    change = place(wish, Buyer(a_vehicle(), a_customer()), current_catalogue(), NOW)
    assert isinstance(change, Change)
    return change


def told(purchase: Purchase, said: Said) -> Change:
    """The domain's answer to what the others said."""
    match said:
        case "gate open":
            return begin_subscription(purchase, OFFER, NOW)
        case "gate closed":
            return purchase.maintenance_refused("maintenance_overdue", NOW)
        case "applied" | "applied late":
            late = said == "applied late"
            return subscription_applied(purchase, NOW, late=late, offer=OFFER, subscriber=a_customer(), now=NOW)
        case "not applied":
            return subscription_not_applied(purchase, "incompatible", NOW)
        case "unpaid":
            return subscription_unpaid(purchase, LATER, NOW)


def test_every_order_ends_in_the_one_allowed_state() -> None:
    placed = a_placed_subscription()
    start: State = (placed.purchase, Others().after(placed.messages), 0)
    seen, waiting = {start}, [start]
    ends: set[PurchaseStatus] = set()
    while waiting:
        state = waiting.pop()
        _assert_sound(state)
        purchase, others, _ = state
        if not others.unheard and purchase.ended:
            ends.add(purchase.status)
        for follower in _followers(state):
            if follower not in seen:
                seen.add(follower)
                waiting.append(follower)
    assert ends == {
        PurchaseStatus.ACTIVE,
        PurchaseStatus.ENDED,
        PurchaseStatus.FAILED,
        PurchaseStatus.BLOCKED,
        PurchaseStatus.CANCELLED,
    }
    assert len(seen) > 25, "the exploration has to branch"


def _assert_sound(state: State) -> None:
    purchase, others, notices = state
    assert others.started <= 1
    assert others.cancelled <= others.started
    assert not purchase.charged
    if purchase.status is PurchaseStatus.ACTIVE:
        assert others.started == 1
    if others.unheard:
        return
    is_answered = others.gate == "closed" or others.car not in ("unasked", "asked")
    assert purchase.ended or not is_answered, "whoever was asked has answered"
    if not purchase.ended:
        return
    if purchase.status is PurchaseStatus.ENDED:
        assert notices == 1 + others.cancelled, "of the beginning, and of the end that was wished"
        assert others.cancelled == 1 or others.has_ended_unpaid
        assert others.in_the_car == (others.cancelled == 0), "billing takes out what was not paid"
    else:
        assert notices == 1, "the customer is told of the outcome, once"
        assert others.in_the_car == (purchase.status is PurchaseStatus.ACTIVE), state
        assert (others.started == 1) == (purchase.status is PurchaseStatus.ACTIVE)
    if others.has_cancelled:
        assert purchase.status is not PurchaseStatus.ACTIVE, "a cancellation is never forgotten"


def _followers(state: State) -> list[State]:
    purchase, others, notices = state
    followers: list[State] = [(purchase, choice, notices) for choice in others.choices()]
    if others.unheard:
        said = others.unheard[0]
        heard = replace(others, unheard=others.unheard[1:], heard=(*others.heard, said))
        followers.append(_joined(told(purchase, said), heard, notices))
    followers += [_joined(told(purchase, said), others, notices) for said in others.heard]  # Told again.
    outcome = cancel_subscription(purchase, NOW)
    if not isinstance(outcome, Refusal):  # As often as they like.
        followers.append(_joined(outcome, replace(others, has_cancelled=True), notices))
    return followers


def _joined(change: Change, others: Others, notices: int) -> State:
    return change.purchase, others.after(change.messages), notices + (change.notice is not None)


def test_a_subscription_without_the_gate_asks_the_car_at_once() -> None:
    placed = a_placed_subscription("premium-audio")
    assert placed.purchase.status is PurchaseStatus.ACTIVATING
    assert [type(message).__name__ for message in placed.messages] == ["PurchasePlaced", "ActivateService"]
