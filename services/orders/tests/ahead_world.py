"""Payments, ota, the bank and the calendar as a purchase that is paid ahead may meet them.

The model keeps only what payments promises (money goes back on the stored failure or on a cancelled payment, never
after a success that it has heard of), so that a test can walk all its orders and compare the ends.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from caas_contracts.message import Message
from caas_contracts.ota import ActivateService, CancelActivation, DeactivateService
from caas_contracts.payments import AuthorizePayment, CancelPayment
from caas_contracts.purchase_life import ChargePlannedService
from caas_orders.domain.status import PurchaseStatus


class Fact(StrEnum):
    """What orders may be told."""

    CONFIRMED = "confirmed"
    CONFIRMED_FOR_LATER = "confirmed_for_later"
    CONFIRMED_REFUSED = "confirmed_refused"
    DECLINED = "declined"
    ABANDONED = "abandoned"
    SETTLED = "settled"
    UNSETTLED = "unsettled"
    REFUNDED = "refunded"
    ACTIVATED = "activated"
    ACTIVATION_FAILED = "activation_failed"
    ACTIVATED_LATE = "activated_late"


class Move(StrEnum):
    """What may happen next."""

    TAKE = "payments takes the price"
    TAKE_FOR_LATER = "payments takes the price, for delivery after the settlement"
    TAKE_REFUSING = "payments takes the price and refuses delivery"
    DECLINE = "payments declines"
    ABANDON = "payments cannot reach the gateway"
    SETTLE = "the money reaches the bank"
    LOSE = "the money does not reach the bank"
    HEAR_SUCCESS = "payments hears of the success"
    HEAR_FAILURE = "payments hears of the failure"
    REFUND = "payments gives the money back"
    APPLY = "the car applies the service"
    REJECT = "the activation fails"
    APPLY_LATE = "the car had applied it after all"
    DAY = "the day begins"
    TELL_PAYMENT = "the next fact of payments reaches orders"
    TELL_ACTIVATION = "the next fact of ota reaches orders"
    CANCEL = "the customer cancels"


type Money = Literal["unasked", "asked", "taken", "refunded", "never"]

_TAKING = {
    Move.TAKE: Fact.CONFIRMED,
    Move.TAKE_FOR_LATER: Fact.CONFIRMED_FOR_LATER,
    Move.TAKE_REFUSING: Fact.CONFIRMED_REFUSED,
}


@dataclass(frozen=True, slots=True)
class World:
    """The others, seen from one purchase."""

    is_planned: bool
    money: Money = "unasked"
    bank: Literal["open", "settled", "lost"] = "open"
    car: Literal["unasked", "asked", "applied", "rejected", "late"] = "unasked"
    heard: Literal["", "success", "failure"] = ""
    given_up: bool = False
    for_later: bool = False
    refused: bool = False
    day_begun: bool = False
    cancelled: bool = False
    deactivated: bool = False
    from_payments: tuple[Fact, ...] = ()
    from_ota: tuple[Fact, ...] = ()

    def moves(self) -> list[Move]:
        """Everything that may happen next, apart from the customer's choice when it was made."""
        may_go_back = self.given_up or self.heard == "failure"
        possible = {
            # A hold is answered by a sale only when delivery is to wait for the settlement (RSK-2).
            Move.TAKE: self.money == "asked" and self.is_planned,
            Move.TAKE_FOR_LATER: self.money == "asked",
            Move.TAKE_REFUSING: self.money == "asked",
            Move.DECLINE: self.money == "asked",
            Move.ABANDON: self.money == "asked",
            Move.SETTLE: self.money == "taken" and self.bank == "open",
            Move.LOSE: self.money == "taken" and self.bank == "open",
            Move.HEAR_SUCCESS: self.car == "applied" and not self.heard,
            Move.HEAR_FAILURE: self.car in ("rejected", "late") and not self.heard,
            Move.REFUND: self.money == "taken" and self.heard != "success" and may_go_back,
            Move.APPLY: self.car == "asked",
            Move.REJECT: self.car == "asked",
            Move.APPLY_LATE: self.car == "rejected",
            Move.DAY: self.is_planned and not self.day_begun,
            Move.TELL_PAYMENT: bool(self.from_payments),
            Move.TELL_ACTIVATION: bool(self.from_ota),
        }
        return [move for move, is_possible in possible.items() if is_possible]

    def after(self, move: Move) -> "World":
        """The world after a move of the others (not a delivery, not a cancellation)."""
        match move:
            case Move.TAKE | Move.TAKE_FOR_LATER | Move.TAKE_REFUSING:
                for_later, refused = move is Move.TAKE_FOR_LATER, move is Move.TAKE_REFUSING
                taken = replace(self, money="taken", for_later=for_later, refused=refused)
                return taken._paid(_TAKING[move])
            case Move.DECLINE:
                return replace(self, money="never")._paid(Fact.DECLINED)
            case Move.ABANDON:
                return replace(self, money="never")._paid(Fact.ABANDONED)
            case Move.SETTLE:
                return replace(self, bank="settled")._paid(Fact.SETTLED)
            case Move.LOSE:
                return replace(self, bank="lost")._paid(Fact.UNSETTLED)
            case Move.REFUND:
                return replace(self, money="refunded")._paid(Fact.REFUNDED)
            case _:
                return self._after_car(move)

    def asked(self, messages: Iterable[Message]) -> "World":
        """The world after orders asked for these. Asserts that orders never asks for both ends (SVC-6)."""
        world = self
        for message in messages:
            match message:
                case AuthorizePayment() | ChargePlannedService():
                    assert world.money == "unasked", "one intent is one payment"
                    assert isinstance(message, ChargePlannedService) == world.is_planned
                    world = replace(world, money="asked")
                case CancelPayment():
                    assert world.car == "unasked", "the payment is given up though ota was asked"
                    world = replace(world, given_up=True)
                case ActivateService():
                    assert world.car == "unasked", "one purchase is one activation"
                    assert not world.given_up, "ota is asked though the payment was given up"
                    assert world.money == "taken", "ota is asked without the money"
                    assert not world.refused, "delivered though it was refused"
                    assert not world.for_later or world.bank == "settled", "delivered before the settlement"
                    assert world.day_begun or not world.is_planned, "activated before its day"
                    world = replace(world, car="asked")
                case CancelActivation():
                    assert world.car != "unasked"
                case DeactivateService():
                    assert not world.deactivated, "a late success is deactivated once"
                    assert world.car == "late", "a service that was earned is taken away"
                    world = replace(world, deactivated=True)
                case _:
                    pass
        return world

    def allowed_ends(self) -> frozenset[PurchaseStatus]:
        """How a purchase may end when nothing more happens."""
        if self.money == "taken":
            return frozenset({PurchaseStatus.ACTIVE})
        if self.money == "refunded" and self.car != "unasked":
            is_over = self.cancelled or self.bank == "lost"
            ends = {PurchaseStatus.CANCELLED} if is_over else set()
            return frozenset(ends if self.cancelled else {*ends, PurchaseStatus.FAILED})
        if self.cancelled:
            return frozenset({PurchaseStatus.CANCELLED})
        if self.money == "refunded":
            return frozenset({PurchaseStatus.DECLINED if self.refused else PurchaseStatus.CANCELLED})
        return frozenset({PurchaseStatus.DECLINED, PurchaseStatus.FAILED})

    @property
    def in_the_car(self) -> bool:
        """Whether the service stays in the car."""
        return self.car in ("applied", "late") and not self.deactivated

    def _after_car(self, move: Move) -> "World":
        match move:
            case Move.APPLY:
                return replace(self, car="applied", from_ota=(*self.from_ota, Fact.ACTIVATED))
            case Move.REJECT:
                return replace(self, car="rejected", from_ota=(*self.from_ota, Fact.ACTIVATION_FAILED))
            case Move.APPLY_LATE:
                return replace(self, car="late", from_ota=(*self.from_ota, Fact.ACTIVATED_LATE))
            case Move.HEAR_SUCCESS:
                return replace(self, heard="success")
            case Move.HEAR_FAILURE:
                return replace(self, heard="failure")
            case Move.DAY:
                return replace(self, day_begun=True)
            case _:
                raise AssertionError(f"{move} is no move of the others")

    def _paid(self, fact: Fact) -> "World":
        return replace(self, from_payments=(*self.from_payments, fact))
