"""A subscription, seen as a purchase: active at once without a payment, ended by its customer or unpaid (SUB-1).

What is used and owed is billing's. Invariant: a subscription that was started is ended at most once, and the
service of one that was given up leaves the car again, whether the cancellation or the car was faster.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from caas_contracts.orders import PurchaseActivated
from caas_contracts.subscriptions import RatePlan, SubscriptionCancelled, SubscriptionStarted
from caas_orders.domain.catalogue import Offer
from caas_orders.domain.notification import NoticeKind
from caas_orders.domain.purchase import (
    Change,
    Purchase,
    activate_service,
    cancel_activation,
    cancelled,
    deactivated_again,
    failed,
    step_to,
    subject_of,
    taken_out,
)
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.registration import Customer
from caas_orders.domain.status import ENDED_WITHOUT_SERVICE, IN_PROGRESS, MoneyOutcome, PurchaseStatus

CUSTOMER_CANCELLED: Final = "customer_cancelled"
NOT_PAID: Final = "not_paid"


def begin_subscription(purchase: Purchase, offer: Offer, now: datetime) -> Change:
    """SUB-1: the car is asked at once; nothing is paid. Behind the maintenance gate where there is one (SVC-2)."""
    if purchase.status is not PurchaseStatus.REQUESTED:
        return Change(purchase)
    not_after = now + offer.activation_window
    status = step_to(purchase, PurchaseStatus.ACTIVATING)
    asked = replace(purchase, status=status, activation_not_after=not_after, updated_at=now)
    return Change(asked, (activate_service(asked, dict(offer.configuration), not_after, now),))


def subscription_applied(
    purchase: Purchase, applied_at: datetime, *, late: bool, offer: Offer, subscriber: Customer, now: datetime
) -> Change:
    """The car applied the service: the subscription begins then, or is undone when it was given up or too late."""
    if purchase.status is PurchaseStatus.ACTIVATING and not late:
        return _started(purchase, applied_at, offer, subscriber, now)
    if purchase.status is PurchaseStatus.CANCELLING and not late:  # SVC-11: no day of it is billed.
        change = cancelled(replace(purchase, activated_at=applied_at), MoneyOutcome.NEVER_HELD, now)
        return change.then(taken_out(change.purchase, CUSTOMER_CANCELLED, now))
    if purchase.status in ENDED_WITHOUT_SERVICE or (late and purchase.status in IN_PROGRESS):
        return deactivated_again(purchase, now)  # SVC-10
    return Change(purchase)


def subscription_not_applied(purchase: Purchase, reason: str, now: datetime) -> Change:
    """Proven not applied: it ends, and nothing is charged (SVC-5, SVC-11)."""
    if purchase.status is PurchaseStatus.CANCELLING:
        return cancelled(purchase, MoneyOutcome.NEVER_HELD, now)
    if purchase.status is PurchaseStatus.ACTIVATING:
        return failed(purchase, reason, MoneyOutcome.NEVER_HELD, now)
    return Change(purchase)


def cancel_subscription(purchase: Purchase, now: datetime) -> Change | Refusal:
    """SUB-7: any time; asked again, the same answer. While the car has not answered, as any purchase (SVC-11)."""
    if purchase.cancelled_at is not None:
        return Change(purchase)
    match purchase.status:
        case PurchaseStatus.REQUESTED:
            return cancelled(replace(purchase, cancelled_at=now), MoneyOutcome.NEVER_HELD, now)
        case PurchaseStatus.ACTIVATING:
            status = step_to(purchase, PurchaseStatus.CANCELLING)
            given_up = replace(purchase, status=status, cancelled_at=now, updated_at=now)
            return Change(given_up, (cancel_activation(given_up, now),))
        case PurchaseStatus.ACTIVE:
            return _ended_by_customer(purchase, now)
        case _:
            why = "it ended because it was not paid" if purchase.reason == NOT_PAID else f"it is {purchase.status}"
            return Refusal(RefusalCode.ALREADY_ENDED, f"there is nothing to cancel: {why}")


def subscription_unpaid(purchase: Purchase, cancelled_at: datetime, now: datetime) -> Change:
    """SUB-6: billing has ended it and has the service taken out. One that had ended already stays as it is."""
    if purchase.status is not PurchaseStatus.ACTIVE:
        return Change(purchase)
    status = step_to(purchase, PurchaseStatus.ENDED)
    return Change(replace(purchase, status=status, reason=NOT_PAID, ends_at=cancelled_at, updated_at=now))


def _started(purchase: Purchase, applied_at: datetime, offer: Offer, subscriber: Customer, now: datetime) -> Change:
    plan = _plan_of(purchase, applied_at, offer)
    active = replace(
        purchase,
        status=step_to(purchase, PurchaseStatus.ACTIVE),
        activated_at=applied_at,
        money=MoneyOutcome.BILLED_MONTHLY,
        plan_version=plan.version,
        updated_at=now,
    )
    started = SubscriptionStarted(
        subscription_id=purchase.purchase_id,
        customer_id=subscriber.customer_id,
        customer_name=subscriber.name,
        customer_email=subscriber.email,
        customer_tax_id=subscriber.tax_id,
        customer_language=subscriber.language,
        vehicle_id=purchase.vehicle_id,
        service_code=purchase.service_code,
        service_name=offer.names[subscriber.language],
        plan=plan,
        vat_rate_bp=purchase.vat_rate_bp,
        payment_method=purchase.payment_method,
        activation_id=purchase.activation_id,
        started_at=applied_at,
        occurred_at=now,
    )
    facts = (PurchaseActivated(**subject_of(active, now), charged=False), started)
    return Change(active, facts, NoticeKind.SUBSCRIPTION_STARTED)


def _plan_of(purchase: Purchase, applied_at: datetime, offer: Offer) -> RatePlan:
    """SUB-3: the version in force when it begins, never an older one than was agreed to."""
    at_least = purchase.plan_version or 0
    plan = None if offer.plan is None else offer.plan.in_force_at(applied_at, at_least=at_least)
    if plan is None or plan.plan_code != purchase.plan_code:
        raise AssertionError(
            f"the catalogue has lost plan {purchase.plan_code}, which {purchase.purchase_id} agreed to"
        )
    return plan


def _ended_by_customer(purchase: Purchase, now: datetime) -> Change:
    # The car's clock may be ahead of ours; a subscription does not end before it began.
    ended_at = max(now, purchase.activated_at or now)
    ended = replace(
        purchase,
        status=step_to(purchase, PurchaseStatus.ENDED),
        reason="cancelled_by_customer",
        cancelled_at=ended_at,
        ends_at=ended_at,
        updated_at=now,
    )
    fact = SubscriptionCancelled(
        subscription_id=purchase.purchase_id,
        customer_id=purchase.customer_id,
        vehicle_id=purchase.vehicle_id,
        service_code=purchase.service_code,
        cancelled_at=ended_at,
        occurred_at=now,
    )
    return Change(ended, (fact,), NoticeKind.SUBSCRIPTION_CANCELLED).then(taken_out(ended, CUSTOMER_CANCELLED, now))
