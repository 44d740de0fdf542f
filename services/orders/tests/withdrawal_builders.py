"""Purchases to withdraw from, and what payments and ota say about it."""

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from caas_chassis.testing.harness import Harness
from caas_contracts.money import Money
from caas_contracts.ota import ServiceDeactivated
from caas_contracts.payments import PaymentPurpose, PaymentRefunded
from caas_contracts.purchase_life import RefundDelayed
from caas_orders.domain.purchase import Purchase, payment_of
from caas_orders.domain.refusal import Refusal
from caas_orders.domain.registration import Language
from caas_orders.domain.withdrawing import Withdrawal, refund_id_of
from caas_orders.handlers.withdrawing import Standing, confirm, declare
from services.orders.tests.builders import (
    NOW,
    payment_authorized,
    payment_captured,
    place_purchase,
    registered,
    service_activated,
    settlement_failed,
    stored,
)

MADRID = ZoneInfo("Europe/Madrid")


async def active(
    harness: Harness,
    *,
    duration_days: int | None = 30,
    is_written_off: bool = False,
    language: Language = Language.SPANISH,
) -> Purchase:
    """A purchase of `cus-1` whose service is in the car, paid unless its capture was lost."""
    await harness.move_clock(NOW - harness.clock.now())
    await registered(harness, language=language)
    command = place_purchase(duration_days=duration_days)
    await harness.receive(command)
    purchase = await stored(harness, command.purchase_id)
    money = settlement_failed(purchase) if is_written_off else payment_captured(purchase)
    for fact in (payment_authorized(purchase), service_activated(purchase), money):
        await harness.receive(fact)
    return await stored(harness, purchase.purchase_id)


async def declared(harness: Harness, purchase: Purchase) -> Withdrawal:
    """The first step, which must be possible."""
    async with harness.transaction("customer:cus-1") as tx:
        outcome = await declare(purchase.purchase_id, MADRID, tx=tx)
    assert isinstance(outcome, Standing), outcome
    assert outcome.withdrawal is not None
    return outcome.withdrawal


async def try_to_confirm(harness: Harness, withdrawal: Withdrawal) -> Standing | Refusal:
    """The second step."""
    async with harness.transaction("customer:cus-1") as tx:
        return await confirm(withdrawal.purchase_id, withdrawal.withdrawal_id, MADRID, tx=tx)


async def withdrawn(harness: Harness, purchase: Purchase) -> Standing:
    """Both steps, which must be possible."""
    outcome = await try_to_confirm(harness, await declared(harness, purchase))
    assert isinstance(outcome, Standing), outcome
    return outcome


def payment_refunded(
    purchase: Purchase, *, refund_id: UUID | None = None, refunded: Money | None = None, total: Money | None = None
) -> PaymentRefunded:
    return PaymentRefunded(
        payment_id=payment_of(purchase),
        purpose=PaymentPurpose.SERVICE,
        customer_id=purchase.customer_id,
        subject_id=purchase.purchase_id,
        amount=purchase.price,
        occurred_at=NOW,
        refund_id=refund_id or refund_id_of(purchase.purchase_id),
        refunded=refunded or purchase.price,
        refunded_total=total or refunded or purchase.price,
        reason="withdrawal",
    )


def refund_delayed(purchase: Purchase) -> RefundDelayed:
    return RefundDelayed(
        payment_id=payment_of(purchase),
        purpose=PaymentPurpose.SERVICE,
        customer_id=purchase.customer_id,
        subject_id=purchase.purchase_id,
        amount=purchase.price,
        occurred_at=NOW,
        refund_id=refund_id_of(purchase.purchase_id),
        outstanding=purchase.price,
        reason="gateway_unreachable",
    )


def service_deactivated(purchase: Purchase, at: datetime = NOW) -> ServiceDeactivated:
    assert purchase.deactivation_id is not None
    return ServiceDeactivated(
        activation_id=purchase.activation_id,
        purchase_id=purchase.purchase_id,
        payment_id=purchase.payment_id,
        vehicle_id=purchase.vehicle_id,
        service_code=purchase.service_code,
        occurred_at=at,
        deactivation_id=purchase.deactivation_id,
        reason="withdrawal",
    )
