"""What billing says about subscriptions: customers are told of each payment, and unpaid ones end (SUB-6, NOT-1).

Subscriptions that were not bought here are skipped, as invoices of other sellers are.
"""

from collections.abc import Callable, Mapping, Sequence

from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.subscriptions import (
    CollectionSettled,
    SubscriptionCancelledForNonpayment,
    SubscriptionInvoiceEvent,
    SubscriptionPaid,
    SubscriptionPaymentFailed,
    SubscriptionPaymentNeedsCustomer,
)
from caas_orders.domain.notification import NoticeKind
from caas_orders.domain.subscribing import subscription_unpaid
from caas_orders.gateway.letters import Fact, local_date, local_time
from caas_orders.handlers.amending import amend
from caas_orders.handlers.telling import LINK, Notice, tell
from caas_orders.store import purchases


async def tell_paid(received: Sequence[Received[SubscriptionPaid]], *, tx: Tx) -> None:
    """A monthly invoice is paid; one that was in collections is told of as such, whichever fact comes first."""
    await _tell(received, _paid_kind, _invoice_facts, tx=tx)


async def tell_settled(received: Sequence[Received[CollectionSettled]], *, tx: Tx) -> None:
    """An invoice that was given to collections is paid: nobody collects it any more."""
    await _tell(received, lambda _: NoticeKind.SUBSCRIPTION_PAID_LATE, _invoice_facts, tx=tx)


async def tell_failed(received: Sequence[Received[SubscriptionPaymentFailed]], *, tx: Tx) -> None:
    """SUB-6: an attempt failed: when the next one is, and whether another payment method is needed."""
    await _tell(received, _failed_kind, _failed_facts, tx=tx)


async def tell_needed(received: Sequence[Received[SubscriptionPaymentNeedsCustomer]], *, tx: Tx) -> None:
    """PAY-9: the bank wants to hear from the customer; the link is in the mail alone."""
    await _tell(received, lambda _: NoticeKind.SUBSCRIPTION_CONFIRMATION_NEEDED, _confirmation_facts, tx=tx)


async def end_unpaid(received: Sequence[Received[SubscriptionCancelledForNonpayment]], *, tx: Tx) -> None:
    """SUB-6: the last attempt failed: billing has ended the subscription and has the car deactivate it."""
    await amend(
        received,
        lambda event: event.subscription_id,
        lambda purchase, event: subscription_unpaid(purchase, event.cancelled_at, tx.now),
        tx=tx,
    )
    ended = await purchases.read([one.message.subscription_id for one in received], tx=tx)
    notices = [
        Notice(
            ended[one.message.subscription_id],
            NoticeKind.SUBSCRIPTION_UNPAID,
            one.cause,
            {"outstanding": one.message.outstanding, "cancelled_at": local_time(one.message.cancelled_at)},
        )
        for one in received
        if one.message.subscription_id in ended
    ]
    await tell(notices, tx=tx)


async def _tell[M: SubscriptionInvoiceEvent](
    received: Sequence[Received[M]],
    kind_of: Callable[[M], NoticeKind],
    facts_of: Callable[[M], Mapping[str, Fact]],
    *,
    tx: Tx,
) -> None:
    subscribed = await purchases.read([one.message.subscription_id for one in received], tx=tx)
    notices = [
        Notice(
            purchase,
            kind_of(one.message),
            one.cause,
            facts_of(one.message),
            occasion=_occasion(one.message),
            mailed_only=LINK,
        )
        for one in received
        if (purchase := subscribed.get(one.message.subscription_id)) is not None
    ]
    await tell(notices, tx=tx)


def _paid_kind(event: SubscriptionPaid) -> NoticeKind:
    return NoticeKind.SUBSCRIPTION_PAID_LATE if event.late else NoticeKind.SUBSCRIPTION_PAID


def _failed_kind(event: SubscriptionPaymentFailed) -> NoticeKind:
    if event.new_method_needed:
        return NoticeKind.SUBSCRIPTION_METHOD_NEEDED
    return NoticeKind.SUBSCRIPTION_PAYMENT_FAILED


def _occasion(event: SubscriptionInvoiceEvent) -> str:
    """An invoice is paid once; it may fail, or wait for its customer, at every attempt."""
    if isinstance(event, SubscriptionPaymentFailed | SubscriptionPaymentNeedsCustomer):
        return f"{event.invoice_number}:{event.attempt}"
    return event.invoice_number


def _invoice_facts(event: SubscriptionInvoiceEvent) -> dict[str, Fact]:
    year, month = event.period.split("-")
    return {"number": event.invoice_number, "period": f"{month}/{year}", "amount": event.amount}


def _failed_facts(event: SubscriptionPaymentFailed) -> dict[str, Fact]:
    next_attempt_on = "" if event.next_attempt_at is None else local_date(event.next_attempt_at)
    return {**_invoice_facts(event), "next_attempt_on": next_attempt_on}


def _confirmation_facts(event: SubscriptionPaymentNeedsCustomer) -> dict[str, Fact]:
    return {**_invoice_facts(event), LINK: event.action_url, "expires_at": local_time(event.expires_at)}
