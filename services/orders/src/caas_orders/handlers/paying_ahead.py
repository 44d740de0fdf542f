"""Money that was taken before its activation: what payments says of it, and dates that are reached (PLN-1, RSK-2)."""

from collections.abc import Sequence
from uuid import UUID

from caas_chassis.handling import Received
from caas_chassis.timers import DueTimer
from caas_chassis.transaction import Tx
from caas_contracts.payments import (
    DeliveryDecision,
    PaymentConfirmed,
    PaymentPurpose,
    PaymentRefunded,
    PaymentSettled,
)
from caas_orders.domain.catalogue import current_catalogue
from caas_orders.domain.paying_ahead import date_reached, payment_confirmed, payment_refunded, payment_settled
from caas_orders.domain.purchase import Change, Purchase
from caas_orders.handlers.amending import amend, amend_each
from caas_orders.handlers.withdrawing import finish_refunded
from caas_orders.store import purchases


async def confirm_paid_ahead(received: Sequence[Received[PaymentConfirmed]], *, tx: Tx) -> None:
    """PLN-1, RSK-2: the price of a service was taken ahead; deliver now, on its date, or after the settlement."""
    offers = current_catalogue().offers

    def confirm(purchase: Purchase, event: PaymentConfirmed) -> Change:
        if event.payment_id != purchase.payment_id:
            return Change(purchase)
        decision = DeliveryDecision.ON_AUTHORIZATION if event.delivery is None else event.delivery.decision
        return payment_confirmed(purchase, decision, offers[purchase.service_code], tx.now)

    await amend(received, lambda event: event.subject_id, confirm, tx=tx)


async def deliver_settled(received: Sequence[Received[PaymentSettled]], *, tx: Tx) -> None:
    """RSK-2: the money has reached the bank: what waited for it is delivered."""
    offers = current_catalogue().offers

    def settle(purchase: Purchase, event: PaymentSettled) -> Change:
        if event.payment_id != purchase.payment_id:
            return Change(purchase)
        return payment_settled(purchase, event.settled.amount_minor, offers[purchase.service_code], tx.now)

    of_services = [one for one in received if one.message.purpose is PaymentPurpose.SERVICE]
    subjects = [one.message.subject_id for one in of_services]
    waiting = await purchases.awaiting_settlement(subjects, tx=tx) if subjects else frozenset()
    await amend([one for one in of_services if one.message.subject_id in waiting], _subject, settle, tx=tx)


async def end_refunded(received: Sequence[Received[PaymentRefunded]], *, tx: Tx) -> None:
    """PLN-1, SVC-5: what was taken ahead is back: the purchase has failed or is cancelled. DES-4: or withdrawn from."""

    def refund(purchase: Purchase, event: PaymentRefunded) -> Change:
        if event.payment_id != purchase.payment_id:
            return Change(purchase)
        return payment_refunded(purchase, event.refunded_total.amount_minor, event.reason, tx.now)

    of_services = [one for one in received if one.message.purpose is PaymentPurpose.SERVICE]
    await amend(of_services, _subject, refund, tx=tx)
    await finish_refunded(of_services, tx=tx)


async def activate_due(due: Sequence[DueTimer], *, tx: Tx) -> None:
    """PLN-1: their dates have come: the cars are asked, in the order in which the timers were due (OTA-6)."""
    offers = current_catalogue().offers
    facts = [(UUID(timer.key), timer, timer.cause) for timer in due]
    await amend_each(facts, lambda purchase, _: date_reached(purchase, offers[purchase.service_code], tx.now), tx=tx)


def _subject(event: PaymentSettled | PaymentRefunded) -> UUID:
    return event.subject_id
