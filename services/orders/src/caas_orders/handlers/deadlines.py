"""The business deadlines of purchases: each follows from the purchase as it is written, and is set with it."""

from datetime import timedelta
from typing import Final

from caas_chassis.cause import Cause
from caas_chassis.transaction import Tx
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.recurring import Recurrence, RecurrenceStatus
from caas_orders.domain.status import PurchaseStatus

ACTIVATION_TIMER: Final = "planned-activation"
RENEWAL_TIMER: Final = "renewal"
EXPIRY_TIMER: Final = "expiry"
REFUND_TIMER: Final = "withdrawal-refund"
REFUND_PAUSE: Final = timedelta(minutes=10)
"""Between two requests for one refund (DES-4): far longer than facts of ota need on their way to payments."""


def set_deadline(before: Purchase, after: Purchase, cause: Cause, *, tx: Tx) -> None:
    """PLN-1, SVC-9: the date of a planned purchase, the end of an active one. What recurs has a deadline of its own."""
    key = str(after.purchase_id)
    if after.status is before.status:
        return
    if after.status is PurchaseStatus.SCHEDULED and after.starts_at is not None:
        tx.schedule(ACTIVATION_TIMER, key, after.starts_at, cause=cause)
    elif before.status is PurchaseStatus.SCHEDULED:
        tx.unschedule(ACTIVATION_TIMER, key)
    if before.status is PurchaseStatus.ACTIVE:
        tx.unschedule(EXPIRY_TIMER, key)
    if after.status is PurchaseStatus.WITHDRAWING:
        tx.schedule(REFUND_TIMER, key, tx.now + REFUND_PAUSE, cause=cause)
    elif before.status is PurchaseStatus.WITHDRAWING:
        tx.unschedule(REFUND_TIMER, key)
    if after.status is PurchaseStatus.ACTIVE and after.ends_at is not None and after.period_months is None:
        tx.schedule(EXPIRY_TIMER, key, after.ends_at, cause=cause)


def set_recurrence_deadline(purchase: Purchase, recurrence: Recurrence, cause: Cause, *, tx: Tx) -> None:
    """What recurs ends only after its recurrence has: until then a payment may be under way (REC-1)."""
    key = str(purchase.purchase_id)
    match recurrence.status:
        case RecurrenceStatus.RUNNING:
            tx.schedule(RENEWAL_TIMER, key, recurrence.next_renewal_at, cause=cause)
        case RecurrenceStatus.RENEWING:
            pass
        case RecurrenceStatus.ENDED:
            tx.unschedule(RENEWAL_TIMER, key)
            if purchase.ends_at is not None:
                tx.schedule(EXPIRY_TIMER, key, purchase.ends_at, cause=cause)
