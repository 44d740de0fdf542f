"""Payments, the bank, ota, the car and the calendar around one purchase, for its whole life (SVC-11).

As `world.py`, with money that is taken ahead, settlement, refunds and what leaves the car. What was told may be told
again at any time. The model keeps only what the fence of payments allows; it says when nothing more can happen, and
which of the three allowed ends the others have come to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from caas_contracts.message import Message
from caas_contracts.ota import ActivateService, CancelActivation, DeactivateService
from caas_contracts.payments import AuthorizePayment, CancelPayment, RefundPayment
from caas_contracts.purchase_life import ChargePlannedService, PurchaseWithdrawn


class Told(StrEnum):
    """What orders may be told."""

    AUTHORIZED = "authorized"
    DELIVERY_REFUSED = "delivery refused"
    TAKEN = "taken ahead"
    TAKEN_TO_SETTLE = "taken ahead, delivered when it has settled"
    DECLINED = "declined"
    ABANDONED = "abandoned"
    CAPTURED = "captured"
    CAPTURE_LOST = "capture lost"
    VOIDED = "voided"
    SETTLED = "settled"
    SETTLEMENT_LOST = "settlement lost"
    REFUNDED = "refunded"
    ACTIVATED = "activated"
    ACTIVATION_FAILED = "activation failed"
    ACTIVATED_LATE = "activated late"
    DEACTIVATED = "deactivated"


class Step(StrEnum):
    """What may happen next, without the customer."""

    OPEN_GATE = "maintenance is current"
    CLOSE_GATE = "maintenance is overdue"
    HOLD = "payments holds the amount"
    REFUSE_DELIVERY = "payments holds the amount and refuses delivery"
    TAKE = "payments takes the amount"
    TAKE_TO_SETTLE = "payments takes the amount, to be delivered when it has settled"
    DECLINE = "payments declines"
    ABANDON = "payments cannot reach the gateway"
    HEAR_SUCCESS = "payments hears of the success"
    HEAR_FAILURE = "payments hears of the failure"
    CAPTURE = "payments captures"
    LOSE = "the capture fails"
    VOID = "payments voids"
    GIVE_BACK = "payments gives back what was taken ahead"
    SETTLE = "the money reaches the bank"
    LOSE_SETTLEMENT = "the money never reaches the bank"
    REFUND = "payments makes the refund it was asked for"
    APPLY = "the car applies the service"
    REJECT = "the activation fails"
    APPLY_LATE = "the car had applied it after all"
    TAKE_OUT = "the car takes the service out"
    REACH_DATE = "the date of a planned purchase comes"
    TELL_PAYMENT = "the next fact of payments reaches orders"
    TELL_ACTIVATION = "the next fact of ota reaches orders"


class End(StrEnum):
    """SVC-11: a purchase ends in exactly one of them."""

    NOTHING = "nothing charged and nothing active"
    DELIVERED = "charged and active until its end"
    UNDONE = "refunded and deactivated"


_TELLS = {
    Step.HOLD: ("held", Told.AUTHORIZED),
    Step.REFUSE_DELIVERY: ("held", Told.DELIVERY_REFUSED),
    Step.TAKE: ("taken", Told.TAKEN),
    Step.TAKE_TO_SETTLE: ("taken", Told.TAKEN_TO_SETTLE),
    Step.DECLINE: ("never", Told.DECLINED),
    Step.ABANDON: ("never", Told.ABANDONED),
    Step.CAPTURE: ("captured", Told.CAPTURED),
    Step.LOSE: ("lost", Told.CAPTURE_LOST),
    Step.VOID: ("voided", Told.VOIDED),
    Step.GIVE_BACK: ("back", Told.REFUNDED),
    Step.REFUND: ("back", Told.REFUNDED),
}
_CAR = {
    Step.APPLY: ("applied", Told.ACTIVATED),
    Step.REJECT: ("rejected", Told.ACTIVATION_FAILED),
    Step.APPLY_LATE: ("late", Told.ACTIVATED_LATE),
}


@dataclass(frozen=True, slots=True)
class LifeWorld:
    """The others, seen from one purchase."""

    is_planned: bool = False
    gate: Literal["asked", "open", "closed"] = "asked"
    money: str = "unasked"
    waits: bool = False  # delivered when the money has settled (RSK-2)
    bank: Literal["", "settled", "lost"] = ""
    given_up: bool = False  # CancelPayment was sent
    refund_asked: bool = False
    car: str = "unasked"
    heard: Literal["", "success", "failure"] = ""
    out: Literal["", "asked", "done"] = ""
    withdrawn: bool = False  # the customer has confirmed
    expired: bool = False
    ends_told: int = 0  # PurchaseWithdrawn
    from_payments: tuple[Told, ...] = ()
    from_ota: tuple[Told, ...] = ()
    told: frozenset[Told] = frozenset()

    def steps(self, *, is_scheduled: bool) -> list[Step]:
        """Everything that may happen next; when there is nothing, this is an end."""
        return [step for step, is_possible in self._possible(is_scheduled).items() if is_possible]

    def after(self, step: Step) -> "LifeWorld":
        """The world after a step of the others that tells orders nothing yet."""
        if step in _TELLS:
            money, told = _TELLS[step]
            waits = self.waits or step is Step.TAKE_TO_SETTLE
            return replace(self, money=money, waits=waits, from_payments=(*self.from_payments, told))
        if step in _CAR:
            car, told = _CAR[step]
            return replace(self, car=car, from_ota=(*self.from_ota, told))
        match step:
            case Step.HEAR_SUCCESS:
                return replace(self, heard="success")
            case Step.HEAR_FAILURE:
                return replace(self, heard="failure")
            case Step.SETTLE:
                return replace(self, bank="settled", from_payments=(*self.from_payments, Told.SETTLED))
            case Step.LOSE_SETTLEMENT:
                return replace(self, bank="lost", from_payments=(*self.from_payments, Told.SETTLEMENT_LOST))
            case Step.TAKE_OUT:
                return replace(self, out="done", from_ota=(*self.from_ota, Told.DEACTIVATED))
            case _:
                raise AssertionError(f"{step} is no step of the others alone")

    def next_of(self, step: Step) -> tuple[Told, "LifeWorld"]:
        """The fact that reaches orders, and the world without it on its way."""
        if step is Step.TELL_PAYMENT:
            fact, rest = self.from_payments[0], replace(self, from_payments=self.from_payments[1:])
        else:
            fact, rest = self.from_ota[0], replace(self, from_ota=self.from_ota[1:])
        return fact, replace(rest, told=rest.told | {fact})

    @property
    def in_flight(self) -> Sequence[Told]:
        """What is on its way to orders."""
        return (*self.from_payments, *self.from_ota)

    def asked(self, messages: Iterable[Message]) -> "LifeWorld":
        """The world after orders has published these. Asserts what orders may never ask (SVC-6, DES-6)."""
        world = self
        for message in messages:
            world = world._asked_one(message)
        return world

    def end(self) -> End:
        """Which of the allowed ends this is. Raises AssertionError when it is none or more than one."""
        in_car = self.car in ("applied", "late") and self.out != "done"
        ends = {
            End.NOTHING: self.money in ("unasked", "never", "voided") and not in_car,
            End.DELIVERED: self.money in ("captured", "taken", "lost")
            and (in_car or self.expired)
            and not self.withdrawn,
            End.UNDONE: self.money == "back" and not in_car,
        }
        if self.money == "lost" and self.withdrawn:  # SVC-8: the customer paid nothing, and has nothing.
            ends[End.NOTHING] = not in_car
        (end,) = [end for end, is_here in ends.items() if is_here]
        return end

    def _possible(self, is_scheduled: bool) -> dict[Step, bool]:
        may_pay = self.money == "asked"
        earned = self.heard == "success"
        lost_cause = self.given_up or self.heard == "failure"
        return {
            Step.OPEN_GATE: self.gate == "asked",
            Step.CLOSE_GATE: self.gate == "asked",
            Step.HOLD: may_pay and not self.is_planned,
            Step.REFUSE_DELIVERY: may_pay and not self.is_planned,
            Step.TAKE: may_pay and self.is_planned,
            Step.TAKE_TO_SETTLE: may_pay,
            Step.DECLINE: may_pay,
            Step.ABANDON: may_pay,
            Step.HEAR_SUCCESS: self.car == "applied" and not self.heard,
            Step.HEAR_FAILURE: self.car in ("rejected", "late") and not self.heard,
            Step.CAPTURE: self.money == "held" and earned,
            Step.LOSE: self.money == "held" and earned,
            Step.VOID: self.money == "held" and not earned and (self.given_up or self.car != "unasked"),
            Step.GIVE_BACK: self.money == "taken" and not earned and lost_cause,
            Step.SETTLE: self.money == "taken" and self.waits and not self.bank,
            Step.LOSE_SETTLEMENT: self.money in ("taken", "captured") and not self.bank,
            Step.REFUND: self.refund_asked and self.money in ("captured", "taken"),
            Step.APPLY: self.car == "asked",
            Step.REJECT: self.car == "asked",
            Step.APPLY_LATE: self.car == "rejected",
            Step.TAKE_OUT: self.out == "asked",
            Step.REACH_DATE: is_scheduled,
            Step.TELL_PAYMENT: bool(self.from_payments),
            Step.TELL_ACTIVATION: bool(self.from_ota),
        }

    def _asked_one(self, message: Message) -> "LifeWorld":
        match message:
            case AuthorizePayment() | ChargePlannedService():
                assert self.money == "unasked", "one intent is one payment"
                assert isinstance(message, ChargePlannedService) == self.is_planned
                return replace(self, money="asked")
            case CancelPayment():
                assert self.car == "unasked", "the payment is given up though ota was asked"
                return replace(self, given_up=True)
            case ActivateService():
                assert self.car == "unasked", "one purchase is one activation"
                assert not self.given_up, "ota is asked though the payment was given up"
                assert self.money in ("held", "taken"), "ota is asked without money"
                assert not self.waits or self.bank == "settled", "delivered before the settlement"
                return replace(self, car="asked")
            case CancelActivation():
                assert self.car != "unasked"
                return self
            case DeactivateService():
                assert not self.out, "taken out once"
                assert self.car in ("applied", "late")
                is_paid = self.money in ("captured", "lost") or (self.money == "taken" and self.heard == "success")
                assert not is_paid or self.withdrawn or self.expired, "a paid service is taken away"
                return replace(self, out="asked")
            case RefundPayment():
                assert not self.refund_asked, "refunded once (DES-6)"
                assert self.withdrawn, "nobody has withdrawn"
                assert self.car == "applied"
                return replace(self, refund_asked=True)
            case PurchaseWithdrawn(refunded=refunded):
                assert (refunded.amount_minor > 0) == (self.money == "back"), "it says what went back"
                return replace(self, ends_told=self.ends_told + 1)
            case _:
                return self
