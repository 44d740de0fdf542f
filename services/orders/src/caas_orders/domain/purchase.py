"""One purchase of one service for one vehicle: what each fact makes of it, and what is asked next (SVC-3 on).

Facts of payments and of ota overtake each other, so every verb accepts every state. Two invariants hold in
all orders: activation is asked of ota or the payment is cancelled, never both; and a purchase becomes ACTIVE
only when both the vehicle's success and the fate of the money are known.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypedDict
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from caas_contracts.message import Message
from caas_contracts.money import Money
from caas_contracts.operations import AlertKind
from caas_contracts.orders import (
    PurchaseActivated,
    PurchaseBlocked,
    PurchaseCancelled,
    PurchaseDeclined,
    PurchaseFailed,
    PurchaseKind,
)
from caas_contracts.ota import ActivateService, CancelActivation, ConfigurationValue, DeactivateService
from caas_contracts.payments import AuthorizePayment, CancelPayment, PaymentPurpose
from caas_contracts.purchase_life import ChargePlannedService
from caas_orders.domain.catalogue import Offer
from caas_orders.domain.civil_time import months_after
from caas_orders.domain.notification import NoticeKind
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.status import (
    ENDED_WITHOUT_SERVICE,
    IN_PROGRESS,
    TRANSITIONS,
    MoneyOutcome,
    PurchaseStatus,
)

CANCELLED_BY_CUSTOMER = "cancelled_by_customer"
VEHICLE_STOLEN = "vehicle_stolen"
DELIVERY_REFUSED = "delivery_refused"
GATEWAY_UNREACHABLE = "gateway_unreachable"
SETTLEMENT_FAILED = "settlement_failed"


class Subject(TypedDict):
    """The fields every fact about a purchase carries."""

    purchase_id: UUID
    customer_id: str
    vehicle_id: str
    service_code: str
    price: Money
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Purchase:
    """A purchase as stored. Amounts include VAT; instants are UTC, business time."""

    purchase_id: UUID
    customer_id: str
    vehicle_id: str
    service_code: str
    kind: PurchaseKind
    duration_days: int | None
    price: Money
    vat_rate_bp: int
    catalogue_version: int
    payment_method: str
    consent_at: datetime  # DES-8: when the customer consented to immediate performance
    awaited: bool  # an HTTP request may be waiting for the outcome
    payment_id: UUID | None  # None for subscriptions: nothing is paid for the purchase itself (SUB-1)
    activation_id: UUID
    status: PurchaseStatus
    requested_at: datetime
    updated_at: datetime
    reason: str = ""
    money: MoneyOutcome | None = None
    activation_not_after: datetime | None = None  # set when ota was asked; the car refuses the command later
    payment_cancelled_at: datetime | None = None  # set when payments was asked to give the payment up
    cancelled_at: datetime | None = None  # when the customer gave the purchase up
    activated_at: datetime | None = None  # the vehicle's own instant
    activation_failure: str = ""
    deactivation_id: UUID | None = None  # set when a late success was ordered to be undone
    ends_at: datetime | None = None  # when the service ends, or a subscription has ended
    plan_code: str | None = None  # of subscriptions (SUB-3)
    plan_version: int | None = None  # the version agreed to; since it is active, the one in force when it began
    starts_at: datetime | None = None  # of planned purchases: when the car is asked (PLN-1)
    time_zone: str = "Europe/Madrid"  # the customer's calendar (PLN-1, REC-4)
    period_months: int | None = None  # of recurring purchases: how long a period is (REC-1)
    deactivated_at: datetime | None = None  # when the car had taken the service out again (OTA-4)
    deactivation_delayed_at: datetime | None = None  # the car is out of reach; ota follows it (SVC-9)
    paid_ahead_at: datetime | None = None  # its money was taken before its activation (PLN-1, RSK-2)
    settled_minor: int = 0  # what has reached the bank, while delivery waits for it (RSK-2)
    withdrawal_id: UUID | None = None  # since the customer has withdrawn, in both steps (DES-7)
    version: int = 1

    @property
    def charged(self) -> bool | None:
        """Whether money was taken for it; None while that is not known."""
        return None if self.money is None else self.money is MoneyOutcome.CAPTURED

    @property
    def ended(self) -> bool:
        """Whether the outcome is known, good or bad."""
        return self.status not in IN_PROGRESS

    @property
    def answered(self) -> bool:
        """Whether whoever waits for it is told now: a planned purchase is paid long before it ends (PLN-1)."""
        return self.ended or self.status is PurchaseStatus.SCHEDULED

    def maintenance_current(self, now: datetime) -> "Change":
        """SVC-2: the gate is open; the amount may be held."""
        if self.status is not PurchaseStatus.REQUESTED:
            return Change(self)
        moved = replace(self, status=step_to(self, PurchaseStatus.AUTHORIZING), updated_at=now)
        return Change(moved, (moved.request_payment(now),))

    def maintenance_refused(self, reason: str, now: datetime) -> "Change":
        """SVC-2: not current, or nobody answers: blocked before any payment."""
        if self.status is not PurchaseStatus.REQUESTED:
            return Change(self)
        moved = ended_as(self, PurchaseStatus.BLOCKED, reason, MoneyOutcome.NEVER_HELD, now)
        blocked = PurchaseBlocked(**subject_of(moved, now), reason=reason)
        return Change(moved, (blocked,), NoticeKind.BLOCKED_MAINTENANCE)

    def payment_authorized(
        self, *, deliver: bool, activate_not_after: datetime, offer: Offer, now: datetime
    ) -> "Change":
        """SVC-3: the amount is held; activate when the delivery decision allows it (RSK-2)."""
        if self.status is PurchaseStatus.CANCELLING and self.activation_not_after is None:
            return give_payment_up(self, now, reason=self.reason)
        if self.status is not PurchaseStatus.AUTHORIZING:
            return Change(self)
        if not deliver or activate_not_after <= now:
            return give_payment_up(self, now, reason=DELIVERY_REFUSED)
        not_after = min(activate_not_after, now + offer.activation_window)  # SVC-10
        moved = replace(
            self,
            status=step_to(self, PurchaseStatus.ACTIVATING),
            activation_not_after=not_after,
            updated_at=now,
        )
        return Change(moved, (activate_service(moved, dict(offer.configuration), not_after, now),))

    def payment_failed(self, reason: str, now: datetime) -> "Change":
        """SVC-7: declined; nothing held, nothing activated."""
        if self.status is PurchaseStatus.CANCELLING:
            return undone(self, reason, MoneyOutcome.NEVER_HELD, now)
        if self.status is not PurchaseStatus.AUTHORIZING:
            return Change(self)
        return _declined(self, reason, MoneyOutcome.NEVER_HELD, now)

    def payment_abandoned(self, now: datetime) -> "Change":
        """The gateway could not be reached and nothing was held: no decline, the customer may try again."""
        if self.status is PurchaseStatus.CANCELLING:
            return undone(self, GATEWAY_UNREACHABLE, MoneyOutcome.NEVER_HELD, now)
        if self.status is not PurchaseStatus.AUTHORIZING:
            return Change(self)
        return failed(self, GATEWAY_UNREACHABLE, MoneyOutcome.NEVER_HELD, now)

    def service_activated(self, applied_at: datetime, *, late: bool, now: datetime) -> "Change":
        """The vehicle applied the service. Late, or after the end: it is deactivated again (SVC-10)."""
        if self.status in IN_PROGRESS and not late:
            return settle(self, applied_at, self.money, self.reason, now)
        if self.status in ENDED_WITHOUT_SERVICE or (late and self.status in IN_PROGRESS):
            return deactivated_again(self, now)
        return Change(self)

    def payment_captured(self, activated_at: datetime | None, now: datetime) -> "Change":
        """SVC-4: the hold was captured, on the proof of the activation, which may say when it was applied."""
        if self.status in ENDED_WITHOUT_SERVICE:
            detail = f"the payment was captured although the purchase is {self.status}: refund it"
            return Change(self, alert=(AlertKind.OUTCOME_UNKNOWN, detail))
        if self.status not in IN_PROGRESS:
            return Change(self)
        return settle(self, self.activated_at or activated_at, MoneyOutcome.CAPTURED, self.reason, now)

    def capture_failed(self, reason: str, now: datetime) -> "Change":
        """SVC-8: delivered but not paid: the customer keeps the service, the loss is written off."""
        if self.status not in IN_PROGRESS:
            return Change(self)
        return settle(self, self.activated_at, MoneyOutcome.WRITTEN_OFF, reason, now)

    def activation_failed(self, reason: str, now: datetime) -> "Change":
        """SVC-5: proven not applied. The purchase ends when payments has released the hold."""
        if self.status is PurchaseStatus.ACTIVE or self.activation_failure:
            return Change(self)
        return Change(replace(self, activation_failure=reason, updated_at=now))

    def payment_voided(self, reason: str, now: datetime) -> "Change":
        """The hold is released: nothing was charged and never will be (SVC-5, SVC-11)."""
        if self.status is PurchaseStatus.CANCELLING:
            change = undone(self, reason, MoneyOutcome.VOIDED, now)
        elif self.status in (PurchaseStatus.AUTHORIZING, PurchaseStatus.ACTIVATING):
            change = failed(self, self.activation_failure or reason, MoneyOutcome.VOIDED, now)
        else:
            return Change(self)
        return change.then(deactivated_again(change.purchase, now)) if self.activated_at else change

    def cancel(self, now: datetime) -> "Change | Refusal":
        """SVC-11: the customer gives the purchase up. A success that is on its way wins."""
        if self.status is PurchaseStatus.CANCELLED or self.cancelled_at is not None:
            return Change(self)
        if self.ended and self.status is not PurchaseStatus.ACTIVE:
            return Refusal(RefusalCode.ALREADY_ENDED, f"the purchase is {self.status}; there is nothing to cancel")
        if self.status is PurchaseStatus.ACTIVE or self.activated_at or (self.money and not self.paid_ahead_at):
            return Refusal(RefusalCode.ALREADY_ACTIVE, "the service is active: it can be withdrawn from, not cancelled")
        if self.status is PurchaseStatus.REQUESTED:
            return cancelled(replace(self, cancelled_at=now), MoneyOutcome.NEVER_HELD, now)
        if self.status is PurchaseStatus.CANCELLING:
            return Change(replace(self, cancelled_at=now, updated_at=now))
        if self.activation_not_after is None:
            return give_payment_up(replace(self, cancelled_at=now), now, reason=self.reason)
        status = step_to(self, PurchaseStatus.CANCELLING)
        cancelling = replace(self, status=status, cancelled_at=now, updated_at=now)
        return Change(cancelling, () if self.activation_failure else (cancel_activation(cancelling, now),))

    def request_payment(self, now: datetime) -> AuthorizePayment | ChargePlannedService:
        """The request to hold the price, or to take it ahead (PLN-1); one intent, one key (PAY-7)."""
        kind = ChargePlannedService if self.kind is PurchaseKind.PLANNED else AuthorizePayment
        return kind(
            payment_id=payment_of(self),
            idempotency_key=f"purchase:{self.purchase_id}",
            purpose=PaymentPurpose.SERVICE,
            customer_id=self.customer_id,
            subject_id=self.purchase_id,
            activation_id=self.activation_id,
            vehicle_id=self.vehicle_id,
            service_code=self.service_code,
            amount=self.price,
            payment_method=self.payment_method,
            requested_at=now,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What a fact made of a purchase: the new value, what to publish, and whom to tell."""

    purchase: Purchase
    messages: tuple[Message, ...] = ()
    notice: NoticeKind | None = None
    alert: tuple[AlertKind, str] | None = None

    def then(self, later: "Change") -> "Change":
        """This change followed by another of the same purchase."""
        return Change(
            later.purchase,
            self.messages + later.messages,
            later.notice or self.notice,
            later.alert or self.alert,
        )


def payment_of(purchase: Purchase) -> UUID:
    """The payment of a bought service. Raises AssertionError for a subscription, which has none (SUB-1)."""
    if purchase.payment_id is None:
        raise AssertionError(f"purchase {purchase.purchase_id} is a {purchase.kind}: it has no payment")
    return purchase.payment_id


def settle(
    purchase: Purchase, activated_at: datetime | None, money: MoneyOutcome | None, reason: str, now: datetime
) -> Change:
    """ACTIVE, as soon as both the activation and the fate of its money are known (SVC-4, SVC-8)."""
    if activated_at is None or money is None:
        known = replace(purchase, activated_at=activated_at, money=money, reason=reason, updated_at=now)
        return Change(known)
    moved = replace(
        purchase,
        status=step_to(purchase, PurchaseStatus.ACTIVE),
        activated_at=activated_at,
        money=money,
        reason=reason,
        ends_at=_end_of(purchase, activated_at),
        updated_at=now,
    )
    charged = money is MoneyOutcome.CAPTURED
    event = PurchaseActivated(**subject_of(moved, now), charged=charged, ends_at=moved.ends_at)
    return Change(moved, (event,), NoticeKind.ACTIVATED)


def first_instant(purchase: Purchase, activated_at: datetime) -> datetime:
    """When what was bought begins. A car whose clock is behind begins no planned service on the day before."""
    return max(activated_at, purchase.starts_at or activated_at)


def _end_of(purchase: Purchase, activated_at: datetime) -> datetime | None:
    """When it ends, or its first period (REC-1); None for ever."""
    begins_at = first_instant(purchase, activated_at)
    if purchase.period_months is not None:
        return months_after(begins_at, purchase.period_months, ZoneInfo(purchase.time_zone))
    return None if purchase.duration_days is None else begins_at + timedelta(days=purchase.duration_days)


def undone(purchase: Purchase, reason: str, money: MoneyOutcome, now: datetime) -> Change:
    """The end of CANCELLING: by the customer's wish, because delivery was refused (RSK-2), or unpaid (SVC-8)."""
    if purchase.cancelled_at is not None:
        is_stolen = purchase.reason == VEHICLE_STOLEN  # THF-2
        return cancelled(purchase, money, now, VEHICLE_STOLEN if is_stolen else CANCELLED_BY_CUSTOMER)
    if purchase.reason == SETTLEMENT_FAILED:
        return replace(cancelled(purchase, money, now, SETTLEMENT_FAILED), notice=NoticeKind.PAYMENT_NOT_SETTLED)
    return _declined(purchase, purchase.reason or reason, money, now)


def cancelled(purchase: Purchase, money: MoneyOutcome, now: datetime, reason: str = CANCELLED_BY_CUSTOMER) -> Change:
    """Given up in time (SVC-11): nothing was charged, or it went back."""
    moved = ended_as(purchase, PurchaseStatus.CANCELLED, reason, money, now)
    event = PurchaseCancelled(**subject_of(moved, now), refunded=_refunded(moved))
    return Change(moved, (event,), NoticeKind.CANCELLED)


def _declined(purchase: Purchase, reason: str, money: MoneyOutcome, now: datetime) -> Change:
    moved = ended_as(purchase, PurchaseStatus.DECLINED, reason, money, now)
    return Change(moved, (PurchaseDeclined(**subject_of(moved, now), reason=reason),), NoticeKind.DECLINED)


def failed(purchase: Purchase, reason: str, money: MoneyOutcome, now: datetime) -> Change:
    """Not active, and nothing is charged or it went back (SVC-5, PLN-1)."""
    moved = ended_as(purchase, PurchaseStatus.FAILED, reason, money, now)
    refunded = _refunded(moved)
    event = PurchaseFailed(**subject_of(moved, now), reason=reason, refunded=refunded)
    return Change(moved, (event,), NoticeKind.FAILED_REFUNDED if refunded else NoticeKind.FAILED_NOT_CHARGED)


def _refunded(purchase: Purchase) -> Money | None:
    return purchase.price if purchase.money is MoneyOutcome.REFUNDED else None


def deactivated_again(purchase: Purchase, now: datetime) -> Change:
    """SVC-10: a success that nobody will pay is undone, once."""
    if purchase.deactivation_id is not None:
        return Change(purchase)
    detail = f"{purchase.service_code} was applied by {purchase.vehicle_id} too late; it is deactivated again"
    return replace(taken_out(purchase, "late_success", now), alert=(AlertKind.LATE_SUCCESS, detail))


def taken_out(purchase: Purchase, reason: str, now: datetime) -> Change:
    """OTA-4: out of the car, once; ota follows it until it is done. The id follows from the activation's."""
    deactivation_id = uuid5(purchase.activation_id, reason)
    command = DeactivateService(
        deactivation_id=deactivation_id,
        activation_id=purchase.activation_id,
        vehicle_id=purchase.vehicle_id,
        service_code=purchase.service_code,
        reason=reason,
        requested_at=now,
    )
    return Change(replace(purchase, deactivation_id=deactivation_id, updated_at=now), (command,))


def give_payment_up(purchase: Purchase, now: datetime, *, reason: str) -> Change:
    """Only while ota was never asked: payments may release the hold at once (charge fence)."""
    if purchase.activation_not_after is not None:
        raise AssertionError(f"purchase {purchase.purchase_id}: ota was asked, its payment stays")
    cancel = CancelPayment(
        payment_id=payment_of(purchase),
        activation_id=purchase.activation_id,
        reason=CANCELLED_BY_CUSTOMER if purchase.cancelled_at else reason,
        requested_at=now,
    )
    known = purchase.status is PurchaseStatus.CANCELLING
    cancelling = replace(
        purchase,
        status=purchase.status if known else step_to(purchase, PurchaseStatus.CANCELLING),
        reason=reason,
        payment_cancelled_at=purchase.payment_cancelled_at or now,
        updated_at=now,
    )
    return Change(cancelling, (cancel,))


def activate_service(
    purchase: Purchase, configuration: dict[str, ConfigurationValue], not_after: datetime, now: datetime
) -> ActivateService:
    """The request to ota; the car refuses it after `not_after`."""
    return ActivateService(
        activation_id=purchase.activation_id,
        purchase_id=purchase.purchase_id,
        payment_id=purchase.payment_id,
        vehicle_id=purchase.vehicle_id,
        service_code=purchase.service_code,
        configuration=configuration,
        not_after=not_after,
        requested_at=now,
    )


def cancel_activation(purchase: Purchase, now: datetime, reason: str = CANCELLED_BY_CUSTOMER) -> CancelActivation:
    """The request to stop what is not applied yet (SVC-11)."""
    return CancelActivation(
        activation_id=purchase.activation_id,
        vehicle_id=purchase.vehicle_id,
        reason=reason,
        requested_at=now,
    )


def subject_of(purchase: Purchase, now: datetime) -> Subject:
    """What every fact about this purchase says."""
    return Subject(
        purchase_id=purchase.purchase_id,
        customer_id=purchase.customer_id,
        vehicle_id=purchase.vehicle_id,
        service_code=purchase.service_code,
        price=purchase.price,
        occurred_at=now,
    )


def ended_as(purchase: Purchase, status: PurchaseStatus, reason: str, money: MoneyOutcome, now: datetime) -> Purchase:
    """The purchase at an end without the service."""
    return replace(purchase, status=step_to(purchase, status), reason=reason, money=money, updated_at=now)


def step_to(purchase: Purchase, status: PurchaseStatus) -> PurchaseStatus:
    """The next status, when the table of transitions has the step."""
    if status not in TRANSITIONS[purchase.status]:
        raise AssertionError(f"purchase {purchase.purchase_id}: no step from {purchase.status} to {status}")
    return status
