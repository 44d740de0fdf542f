"""Money that is taken before its activation (PLN-1, RSK-2): confirmed, settled, waiting for a date, given back.

Invariant: payments gives it back when the activation failed or the payment was cancelled, and a purchase without its
service ends only on that word.
"""

from dataclasses import replace
from datetime import datetime

from caas_contracts.orders import PurchaseKind
from caas_contracts.payments import DeliveryDecision
from caas_contracts.purchase_life import PurchaseScheduled
from caas_orders.domain.catalogue import Offer
from caas_orders.domain.notification import NoticeKind
from caas_orders.domain.purchase import (
    DELIVERY_REFUSED,
    SETTLEMENT_FAILED,
    Change,
    Purchase,
    activate_service,
    cancel_activation,
    deactivated_again,
    failed,
    give_payment_up,
    payment_of,
    step_to,
    subject_of,
    undone,
)
from caas_orders.domain.status import MoneyOutcome, PurchaseStatus


def payment_confirmed(purchase: Purchase, decision: DeliveryDecision, offer: Offer, now: datetime) -> Change:
    """PLN-1, RSK-2: the price was taken; deliver now, on its date, after the settlement, or not at all."""
    if purchase.paid_ahead_at is not None:
        return Change(purchase)
    paid = replace(purchase, money=MoneyOutcome.CAPTURED, paid_ahead_at=now, updated_at=now)
    if purchase.status is PurchaseStatus.CANCELLING and purchase.activation_not_after is None:
        return give_payment_up(paid, now, reason=purchase.reason)
    if purchase.status is not PurchaseStatus.AUTHORIZING:
        return Change(purchase)
    match decision:
        case DeliveryDecision.ON_AUTHORIZATION:
            return _deliver(paid, offer, now)
        case DeliveryDecision.AFTER_SETTLEMENT:
            return Change(replace(paid, status=step_to(paid, PurchaseStatus.SETTLING)))
        case _:
            return give_payment_up(paid, now, reason=DELIVERY_REFUSED)


def payment_settled(purchase: Purchase, settled_minor: int, offer: Offer, now: datetime) -> Change:
    """RSK-2: so much more of the price has reached the bank; with all of it the service may be delivered."""
    if purchase.status is not PurchaseStatus.SETTLING:
        return Change(purchase)
    credited = replace(purchase, settled_minor=purchase.settled_minor + settled_minor, updated_at=now)
    return _deliver(credited, offer, now) if credited.settled_minor >= purchase.price.amount_minor else Change(credited)


def date_reached(purchase: Purchase, offer: Offer, now: datetime) -> Change:
    """PLN-1: its day has begun where the customer lives: the car is asked."""
    if purchase.status is not PurchaseStatus.SCHEDULED or (purchase.starts_at or now) > now:
        return Change(purchase)
    return _activate(purchase, offer, now)


def settlement_failed(purchase: Purchase, now: datetime) -> Change:
    """SVC-8: the money did not come. Still pending: given up and reversed. Delivered: the customer keeps it."""
    match purchase.status:
        case PurchaseStatus.SETTLING | PurchaseStatus.SCHEDULED:
            return give_payment_up(purchase, now, reason=SETTLEMENT_FAILED)
        case PurchaseStatus.ACTIVATING if purchase.paid_ahead_at is not None:
            status = step_to(purchase, PurchaseStatus.CANCELLING)
            stopped = replace(purchase, status=status, reason=SETTLEMENT_FAILED, updated_at=now)
            asked = () if purchase.activation_failure else (cancel_activation(stopped, now, SETTLEMENT_FAILED),)
            return Change(stopped, asked)
        case _:
            return Change(purchase)


def payment_refunded(purchase: Purchase, refunded_total_minor: int, reason: str, now: datetime) -> Change:
    """PLN-1: all that was taken ahead is back with the customer. A part of it changes nothing."""
    if purchase.paid_ahead_at is None or refunded_total_minor < purchase.price.amount_minor:
        return Change(purchase)
    match purchase.status:
        case PurchaseStatus.CANCELLING:
            change = undone(purchase, reason, MoneyOutcome.REFUNDED, now)
        case PurchaseStatus.ACTIVATING:
            change = failed(purchase, purchase.activation_failure or reason, MoneyOutcome.REFUNDED, now)
        case PurchaseStatus.SETTLING | PurchaseStatus.SCHEDULED:  # By a person's word: nobody may activate it now.
            given_up = give_payment_up(purchase, now, reason=reason)
            change = given_up.then(undone(given_up.purchase, reason, MoneyOutcome.REFUNDED, now))
        case _:
            return Change(purchase)
    return change.then(deactivated_again(change.purchase, now)) if purchase.activated_at else change


def _deliver(purchase: Purchase, offer: Offer, now: datetime) -> Change:
    if purchase.kind is not PurchaseKind.PLANNED or purchase.starts_at is None:
        return _activate(purchase, offer, now)
    scheduled = replace(purchase, status=step_to(purchase, PurchaseStatus.SCHEDULED), updated_at=now)
    event = PurchaseScheduled(
        **subject_of(scheduled, now), starts_at=purchase.starts_at, payment_id=payment_of(purchase)
    )
    return Change(scheduled, (event,), NoticeKind.SCHEDULED)


def _activate(purchase: Purchase, offer: Offer, now: datetime) -> Change:
    not_after = now + offer.activation_window
    status = step_to(purchase, PurchaseStatus.ACTIVATING)
    asked = replace(purchase, status=status, activation_not_after=not_after, updated_at=now)
    return Change(asked, (activate_service(asked, dict(offer.configuration), not_after, now),))
