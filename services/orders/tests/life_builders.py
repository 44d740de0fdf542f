"""What payments and ota say about purchases that are paid ahead, renewed or at their end, and such purchases."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.money import Money
from caas_contracts.orders import PlacePurchase, PurchaseKind
from caas_contracts.ota import DeactivationDelayed, ServiceDeactivated
from caas_contracts.payments import (
    Delivery,
    DeliveryDecision,
    PaymentAbandoned,
    PaymentActionRequired,
    PaymentConfirmed,
    PaymentFailed,
    PaymentPurpose,
    PaymentRefunded,
    PaymentSettled,
    RiskRating,
)
from caas_contracts.purchase_life import ChargeRenewal
from caas_orders.domain.purchase import Purchase, payment_of
from services.orders.tests.builders import place_purchase, registered, stored

LINK = "https://pay.caas.example/payment-actions/4c1f"
BEGINNING = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
"""When the business clock of these tests stands."""


async def clock_at(harness: Harness, instant: datetime) -> None:
    """Move business time to an instant, and fire what becomes due."""
    await harness.move_clock(instant - harness.clock.now())


def a_planned(starts_on: str = "2026-12-01", **changes: Any) -> PlacePurchase:
    return ordered(**{"kind": PurchaseKind.PLANNED, "starts_on": starts_on} | changes)


def a_recurring(period_months: int = 1, **changes: Any) -> PlacePurchase:
    return ordered(**{"kind": PurchaseKind.RECURRING, "duration_days": None, "period_months": period_months} | changes)


def ordered(
    *,
    starts_on: str | None = None,
    time_zone: str = "Europe/Madrid",
    period_months: int | None = None,
    **changes: Any,
) -> PlacePurchase:
    """An order with what only planned and recurring purchases have."""
    later = {"starts_on": starts_on, "time_zone": time_zone, "period_months": period_months}
    return place_purchase(**changes).model_copy(update=later)


async def placed(harness: Harness, command: PlacePurchase) -> Purchase:
    """A purchase of `veh-1` whose payment was asked for."""
    harness.clock.move(BEGINNING - harness.clock.now())
    await registered(harness)
    await harness.receive(command)
    return await stored(harness, command.purchase_id)


async def scheduled(harness: Harness, command: PlacePurchase | None = None) -> Purchase:
    """A planned purchase that is paid."""
    purchase = await placed(harness, command or a_planned())
    await harness.receive(payment_confirmed(purchase))
    return await stored(harness, purchase.purchase_id)


def payment_confirmed(
    purchase: Purchase, decision: DeliveryDecision = DeliveryDecision.ON_AUTHORIZATION
) -> PaymentConfirmed:
    return PaymentConfirmed(
        **_of_purchase(purchase),
        gateway_transaction_id="txn_1",
        activation_id=purchase.activation_id,
        delivery=Delivery(decision=decision, rating=RiskRating.MEDIUM, reasons=[], policy_version=1),
    )


def payment_settled(purchase: Purchase, settled_minor: int | None = None) -> PaymentSettled:
    gross = purchase.price if settled_minor is None else Money(amount_minor=settled_minor, currency="EUR")
    fee = Money(amount_minor=20, currency="EUR")
    return PaymentSettled(**_of_purchase(purchase), settled=gross, fee=fee, settlement_line_id="line-1")


def payment_refunded(purchase: Purchase, refunded_minor: int | None = None) -> PaymentRefunded:
    refunded = purchase.price if refunded_minor is None else Money(amount_minor=refunded_minor, currency="EUR")
    return PaymentRefunded(
        **_of_purchase(purchase),
        refund_id=new_id(),
        refunded=refunded,
        refunded_total=refunded,
        reason="verified_rejection",
    )


def renewal_confirmed(charge: ChargeRenewal) -> PaymentConfirmed:
    return PaymentConfirmed(**_of_renewal(charge), gateway_transaction_id="txn_2")


def renewal_declined(charge: ChargeRenewal, reason: str = "insufficient_funds") -> PaymentFailed:
    return PaymentFailed(**_of_renewal(charge), reason=reason, customer_may_retry=True)


def renewal_abandoned(charge: ChargeRenewal) -> PaymentAbandoned:
    return PaymentAbandoned(**_of_renewal(charge), reason="gateway_unreachable")


def renewal_needs_customer(charge: ChargeRenewal) -> PaymentActionRequired:
    expires_at = charge.requested_at + timedelta(hours=12)
    return PaymentActionRequired(**_of_renewal(charge), action_url=LINK, expires_at=expires_at)


def service_deactivated(purchase: Purchase, deactivation_id: UUID, at: datetime) -> ServiceDeactivated:
    return ServiceDeactivated(**_of_ota(purchase, at), deactivation_id=deactivation_id, reason="expired")


def deactivation_delayed(purchase: Purchase, deactivation_id: UUID, at: datetime) -> DeactivationDelayed:
    return DeactivationDelayed(**_of_ota(purchase, at), deactivation_id=deactivation_id, attempts=[])


def _of_purchase(purchase: Purchase) -> dict[str, Any]:
    return _of_payment(payment_of(purchase), purchase.purchase_id, purchase.customer_id, purchase.price)


def _of_renewal(charge: ChargeRenewal) -> dict[str, Any]:
    return _of_payment(charge.payment_id, charge.subject_id, charge.customer_id, charge.amount)


def _of_payment(payment_id: UUID, subject_id: UUID, customer_id: str, amount: Money) -> dict[str, Any]:
    return {
        "payment_id": payment_id,
        "purpose": PaymentPurpose.SERVICE,
        "customer_id": customer_id,
        "subject_id": subject_id,
        "amount": amount,
        "occurred_at": BEGINNING,
    }


def _of_ota(purchase: Purchase, at: datetime) -> dict[str, Any]:
    return {
        "activation_id": purchase.activation_id,
        "purchase_id": purchase.purchase_id,
        "payment_id": purchase.payment_id,
        "vehicle_id": purchase.vehicle_id,
        "service_code": purchase.service_code,
        "occurred_at": at,
    }
