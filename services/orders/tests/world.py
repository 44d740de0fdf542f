"""Payments, ota and the customer as orders may meet them: every choice they have, every delivery that may be next.

The model keeps only what the charge fence allows (captured only after a success that payments has heard of,
voided only on a stored ground), so that a test can walk all its orders and compare the ends.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from caas_contracts.message import Message
from caas_contracts.ota import ActivateService, CancelActivation, DeactivateService
from caas_contracts.payments import AuthorizePayment, CancelPayment
from caas_orders.domain.status import PurchaseStatus


class Fact(StrEnum):
    """What orders may be told."""

    AUTHORIZED = "authorized"
    DELIVERY_REFUSED = "delivery_refused"
    DECLINED = "declined"
    ABANDONED = "abandoned"
    CAPTURED = "captured"
    CAPTURE_LOST = "capture_lost"
    VOIDED = "voided"
    ACTIVATED = "activated"
    ACTIVATION_FAILED = "activation_failed"
    ACTIVATED_LATE = "activated_late"


class Move(StrEnum):
    """What may happen next."""

    HOLD = "payments holds the amount"
    REFUSE_DELIVERY = "payments holds the amount and refuses delivery"
    DECLINE = "payments declines"
    ABANDON = "payments cannot reach the gateway"
    HEAR_SUCCESS = "payments hears of the success"
    HEAR_FAILURE = "payments hears of the failure"
    CAPTURE = "payments captures"
    LOSE = "the capture fails"
    VOID = "payments voids"
    APPLY = "the car applies the service"
    REJECT = "the activation fails"
    APPLY_LATE = "the car had applied it after all"
    TELL_PAYMENT = "the next fact of payments reaches orders"
    TELL_ACTIVATION = "the next fact of ota reaches orders"
    CANCEL = "the customer cancels"


@dataclass(frozen=True, slots=True)
class World:
    """The others, seen from one purchase."""

    money: Literal["unasked", "asked", "held", "captured", "lost", "voided", "never"] = "unasked"
    given_up: bool = False  # CancelPayment was sent
    car: Literal["unasked", "asked", "applied", "rejected", "late"] = "unasked"
    heard: Literal["", "success", "failure"] = ""
    deactivated: bool = False
    cancelled: bool = False
    from_payments: tuple[Fact, ...] = ()
    from_ota: tuple[Fact, ...] = ()

    def moves(self) -> list[Move]:
        """Everything that may happen next, apart from the customer's choice when it was made."""
        possible = {
            Move.HOLD: self.money == "asked",
            Move.REFUSE_DELIVERY: self.money == "asked",
            Move.DECLINE: self.money == "asked",
            Move.ABANDON: self.money == "asked",
            Move.HEAR_SUCCESS: self.car == "applied" and not self.heard,
            Move.HEAR_FAILURE: self.car in ("rejected", "late") and not self.heard,
            Move.CAPTURE: self.money == "held" and self.heard == "success",
            Move.LOSE: self.money == "held" and self.heard == "success",
            # The deadline may void a hold at any time after the car was asked, unless success was heard of.
            Move.VOID: self.money == "held" and self.heard != "success" and (self.given_up or self.car != "unasked"),
            Move.APPLY: self.car == "asked",
            Move.REJECT: self.car == "asked",
            Move.APPLY_LATE: self.car == "rejected",
            Move.TELL_PAYMENT: bool(self.from_payments),
            Move.TELL_ACTIVATION: bool(self.from_ota),
        }
        return [move for move, is_possible in possible.items() if is_possible]

    def after(self, move: Move) -> "World":
        """The world after a move of the others (not a delivery, not a cancellation)."""
        match move:
            case Move.HOLD:
                return self._paid("held", Fact.AUTHORIZED)
            case Move.REFUSE_DELIVERY:
                return self._paid("held", Fact.DELIVERY_REFUSED)
            case Move.DECLINE:
                return self._paid("never", Fact.DECLINED)
            case Move.ABANDON:
                return self._paid("never", Fact.ABANDONED)
            case Move.CAPTURE:
                return self._paid("captured", Fact.CAPTURED)
            case Move.LOSE:
                return self._paid("lost", Fact.CAPTURE_LOST)
            case Move.VOID:
                return self._paid("voided", Fact.VOIDED)
            case _:
                return self._after_car(move)

    def asked(self, messages: Iterable[Message]) -> "World":
        """The world after orders asked for these. Asserts that orders never asks for both ends (SVC-6)."""
        world = self
        for message in messages:
            match message:
                case AuthorizePayment():
                    assert world.money == "unasked", "one intent is one payment"
                    world = replace(world, money="asked")
                case CancelPayment():
                    assert world.car == "unasked", "the payment is given up though ota was asked"
                    world = replace(world, given_up=True)
                case ActivateService():
                    assert world.car == "unasked", "one purchase is one activation"
                    assert not world.given_up, "ota is asked though the payment was given up"
                    assert world.money == "held", "ota is asked without a hold"
                    world = replace(world, car="asked")
                case CancelActivation():
                    assert world.car != "unasked"
                case DeactivateService():
                    assert not world.deactivated, "a late success is deactivated once"
                    assert world.car in ("applied", "late")
                    assert world.money not in ("captured", "lost"), "a paid service is taken away"
                    world = replace(world, deactivated=True)
                case _:
                    pass
        return world

    def allowed_ends(self) -> frozenset[PurchaseStatus]:
        """How a purchase may end when nothing more happens."""
        if self.money in ("captured", "lost"):
            return frozenset({PurchaseStatus.ACTIVE})
        if self.money == "voided" and self.car != "unasked":
            return frozenset({PurchaseStatus.CANCELLED if self.cancelled else PurchaseStatus.FAILED})
        if self.cancelled:
            return frozenset({PurchaseStatus.CANCELLED})
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
            case _:
                raise AssertionError(f"{move} is no move of the others")

    def _paid(self, money: Literal["held", "captured", "lost", "voided", "never"], fact: Fact) -> "World":
        return replace(self, money=money, from_payments=(*self.from_payments, fact))
