"""What billing says about a subscription, and subscriptions in the states that tests are about."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.money import Money
from caas_contracts.orders import PlacePurchase, PurchaseKind
from caas_contracts.subscriptions import (
    CollectionSettled,
    SubscriptionCancelledForNonpayment,
    SubscriptionPaid,
    SubscriptionPaymentFailed,
    SubscriptionPaymentNeedsCustomer,
)
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.registration import Language
from services.orders.tests.builders import NOW, place_purchase, registered, service_activated, stored

OWED = Money(amount_minor=1485, currency="EUR")
LINK = "https://pay.caas.example/payment-actions/9f2c1e7d"


def a_subscribing(service_code: str = "lane-keeping", **changes: Any) -> PlacePurchase:
    return place_purchase(service_code, duration_days=None, kind=PurchaseKind.SUBSCRIPTION, **changes)


async def subscribing(
    harness: Harness, service_code: str = "premium-audio", *, language: Language = Language.SPANISH
) -> Purchase:
    """A subscription whose car was asked; premium-audio needs no maintenance."""
    await registered(harness, language=language)
    command = a_subscribing(service_code)
    await harness.receive(command)
    return await stored(harness, command.purchase_id)


async def subscribed(harness: Harness, *, language: Language = Language.SPANISH) -> Purchase:
    """An active subscription."""
    purchase = await subscribing(harness, language=language)
    await harness.receive(service_activated(purchase))
    return await stored(harness, purchase.purchase_id)


def paid(purchase: Purchase, number: int = 1, *, late: bool = False) -> SubscriptionPaid:
    return SubscriptionPaid(**_invoice(purchase, number), payment_id=new_id(), attempt=1, late=late)


def payment_failed(
    purchase: Purchase, attempt: int = 1, *, new_method_needed: bool = False, is_last: bool = False
) -> SubscriptionPaymentFailed:
    return SubscriptionPaymentFailed(
        **_invoice(purchase, 1),
        payment_id=new_id(),
        attempt=attempt,
        reason="insufficient_funds",
        new_method_needed=new_method_needed,
        next_attempt_at=None if is_last else NOW + timedelta(days=3),
    )


def needs_customer(purchase: Purchase) -> SubscriptionPaymentNeedsCustomer:
    return SubscriptionPaymentNeedsCustomer(
        **_invoice(purchase, 1),
        payment_id=new_id(),
        attempt=1,
        action_url=LINK,
        expires_at=NOW + timedelta(days=1),
    )


def unpaid(purchase: Purchase) -> SubscriptionCancelledForNonpayment:
    return SubscriptionCancelledForNonpayment(
        **_subject(purchase), outstanding=OWED, cancelled_at=NOW + timedelta(days=10)
    )


def settled(purchase: Purchase) -> CollectionSettled:
    return CollectionSettled(**_invoice(purchase, 1), collection_id=new_id(), payment_id=new_id())


def _invoice(purchase: Purchase, number: int) -> dict[str, Any]:
    return {
        **_subject(purchase),
        "invoice_id": UUID(int=number),
        "invoice_number": f"M-2026-{number:06}",
        "period": "2026-10",
        "amount": OWED,
    }


def _subject(purchase: Purchase) -> dict[str, Any]:
    return {
        "subscription_id": purchase.purchase_id,
        "customer_id": purchase.customer_id,
        "vehicle_id": purchase.vehicle_id,
        "service_code": purchase.service_code,
        "occurred_at": NOW,
    }
