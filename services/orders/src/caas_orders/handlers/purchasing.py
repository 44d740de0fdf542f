"""What the facts of payments, ota and the maintenance system make of purchases (SVC-2 to SVC-11)."""

from collections.abc import Callable, Sequence
from uuid import UUID

import structlog

from caas_chassis.effects import Done
from caas_chassis.errors import Refused
from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.orders import CancelPurchase, PurchaseKind
from caas_contracts.ota import ActivationFailed, ServiceActivated
from caas_contracts.payments import (
    DeliveryDecision,
    PaymentAbandoned,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentEvent,
    PaymentFailed,
    PaymentSettlementFailed,
    PaymentVoided,
    SettlementStage,
)
from caas_orders.domain.catalogue import current_catalogue
from caas_orders.domain.paying_ahead import settlement_failed
from caas_orders.domain.purchase import Change, Purchase
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.status import PurchaseStatus
from caas_orders.domain.subscribing import (
    begin_subscription,
    cancel_subscription,
    subscription_applied,
    subscription_not_applied,
)
from caas_orders.domain.withdrawing import withdrawal_followed
from caas_orders.gateway import Current, MaintenanceAnswer, MaintenanceQuestion
from caas_orders.handlers.amending import Caused, amend, amend_each, write
from caas_orders.handlers.renewing import end_recurrences
from caas_orders.store import purchases, registrations

_log = structlog.get_logger(__name__)


async def activate_authorized(received: Sequence[Received[PaymentAuthorized]], *, tx: Tx) -> None:
    """SVC-3: the hold stands; the car is asked, unless delivery was refused or the customer has cancelled."""
    offers = current_catalogue().offers

    def authorize(purchase: Purchase, event: PaymentAuthorized) -> Change:
        return purchase.payment_authorized(
            deliver=event.delivery.decision is DeliveryDecision.ON_AUTHORIZATION,
            activate_not_after=event.activate_not_after,
            offer=offers[purchase.service_code],
            now=tx.now,
        )

    await _amend_paid(received, authorize, tx=tx)


async def decline_failed(received: Sequence[Received[PaymentFailed]], *, tx: Tx) -> None:
    """SVC-7: declined; nothing is activated."""
    await _amend_paid(received, lambda purchase, event: purchase.payment_failed(event.reason, tx.now), tx=tx)


async def fail_abandoned(received: Sequence[Received[PaymentAbandoned]], *, tx: Tx) -> None:
    """The gateway could not be reached; nothing is held, the customer may try again."""
    await _amend_paid(received, lambda purchase, _: purchase.payment_abandoned(tx.now), tx=tx)


async def finish_captured(received: Sequence[Received[PaymentCaptured]], *, tx: Tx) -> None:
    """SVC-4: activated and paid."""
    await _amend_paid(received, lambda purchase, event: purchase.payment_captured(event.activated_at, tx.now), tx=tx)


async def take_unsettled(received: Sequence[Received[PaymentSettlementFailed]], *, tx: Tx) -> None:
    """SVC-8: delivered: the customer keeps it, and a later loss changes no purchase. Still pending: it is given up."""

    def lose(purchase: Purchase, event: PaymentSettlementFailed) -> Change:
        if event.stage is SettlementStage.CAPTURE:
            return purchase.capture_failed(event.reason, tx.now)
        return settlement_failed(purchase, tx.now)

    await _amend_paid(received, lose, tx=tx)


async def end_voided(received: Sequence[Received[PaymentVoided]], *, tx: Tx) -> None:
    """SVC-5, SVC-11: the hold is released; the purchase has failed or is cancelled, and nothing was charged."""
    await _amend_paid(received, lambda purchase, event: purchase.payment_voided(event.reason, tx.now), tx=tx)


async def note_activated(received: Sequence[Received[ServiceActivated]], *, tx: Tx) -> None:
    """The service is in the car; one that comes too late is taken out again (SVC-10)."""
    subscribed = [one.message.purchase_id for one in received if one.message.payment_id is None]
    subscribers = await registrations.subscribers(subscribed, tx=tx) if subscribed else {}
    offers = current_catalogue().offers

    def activate(purchase: Purchase, event: ServiceActivated) -> Change:
        if purchase.kind is not PurchaseKind.SUBSCRIPTION:
            return purchase.service_activated(event.evidence.applied_at, late=event.late, now=tx.now)
        return subscription_applied(
            purchase,
            event.evidence.applied_at,
            late=event.late,
            offer=offers[purchase.service_code],
            subscriber=subscribers[purchase.purchase_id],
            now=tx.now,
        )

    await amend(received, lambda event: event.purchase_id, activate, tx=tx)


async def note_failed(received: Sequence[Received[ActivationFailed]], *, tx: Tx) -> None:
    """SVC-5: the reason is kept until payments says that the hold is released; a subscription has none."""

    def fail(purchase: Purchase, event: ActivationFailed) -> Change:
        if purchase.kind is PurchaseKind.SUBSCRIPTION:
            return subscription_not_applied(purchase, event.reason, tx.now)
        return purchase.activation_failed(event.reason, tx.now)

    await amend(received, lambda event: event.purchase_id, fail, tx=tx)


async def cancel_purchase(message: CancelPurchase, *, tx: Tx) -> None:
    """SVC-11 for other systems. Too late to cancel is a normal answer: the purchase's own events tell it."""
    outcome = await cancel(message.purchase_id, message.customer_id, tx=tx)
    if isinstance(outcome, Refusal):
        if outcome.code is RefusalCode.PURCHASE_NOT_FOUND:
            raise Refused(outcome.code, outcome.detail)
        _log.info("cancellation_too_late", purchase_id=str(message.purchase_id), code=outcome.code)


async def cancel(purchase_id: UUID, customer_id: str, *, tx: Tx) -> Purchase | Refusal:
    """SVC-11, SUB-7, REC-2: give a pending purchase, a subscription or later periods up, or say why it is too late.

    Somebody else's purchase is unknown.
    """
    locked = await purchases.lock([purchase_id], tx=tx)
    purchase = locked.get(purchase_id)
    if purchase is None or purchase.customer_id != customer_id:
        return Refusal(RefusalCode.PURCHASE_NOT_FOUND, f"there is no purchase {purchase_id}")
    if purchase.status is PurchaseStatus.ACTIVE and purchase.period_months is not None:  # REC-2
        return (await end_recurrences([purchase_id], tx.cause, tx=tx))[purchase_id]
    is_subscription = purchase.kind is PurchaseKind.SUBSCRIPTION
    change = cancel_subscription(purchase, tx.now) if is_subscription else purchase.cancel(tx.now)
    if isinstance(change, Refusal):
        return change
    change = withdrawal_followed(purchase, change, tx.now)
    await write(locked, [Caused(change, tx.cause)], tx=tx)
    return change.purchase


async def record_maintenance(done: Sequence[Done[MaintenanceQuestion, MaintenanceAnswer]], *, tx: Tx) -> None:
    """SVC-2: current maintenance opens the gate; anything else blocks the purchase before any payment."""
    facts = [(one.payload.purchase_id, one.result, one.cause) for one in done]
    await amend_each(facts, lambda purchase, answer: _gate(purchase, answer, tx), tx=tx)


def _gate(purchase: Purchase, answer: MaintenanceAnswer, tx: Tx) -> Change:
    if not isinstance(answer, Current):
        return purchase.maintenance_refused(answer.reason, tx.now)
    if purchase.kind is PurchaseKind.SUBSCRIPTION:
        return begin_subscription(purchase, current_catalogue().offers[purchase.service_code], tx.now)
    return purchase.maintenance_current(tx.now)


async def _amend_paid[M: PaymentEvent](
    received: Sequence[Received[M]], verb: Callable[[Purchase, M], Change], *, tx: Tx
) -> None:
    """A payment of a service pays for a purchase, or for a later period of it, which is no matter of this module.

    The subjects of other payments are no purchase of ours.
    """

    def tell(purchase: Purchase, event: M) -> Change:
        return verb(purchase, event) if event.payment_id == purchase.payment_id else Change(purchase)

    await amend(received, lambda event: event.subject_id, tell, tx=tx)
