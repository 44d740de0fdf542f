"""The end of services that were bought for a time (SVC-9), and cars that are out of reach then (OTA-4)."""

from dataclasses import replace
from datetime import datetime

from caas_contracts.purchase_life import PurchaseExpired
from caas_orders.domain.notification import NoticeKind
from caas_orders.domain.purchase import Change, Purchase, step_to, subject_of, taken_out
from caas_orders.domain.status import PurchaseStatus

EXPIRED = "expired"


def end_reached(purchase: Purchase, now: datetime) -> Change:
    """SVC-9: the service ends where it was said to end, and the car is told."""
    if purchase.status is not PurchaseStatus.ACTIVE or purchase.ends_at is None or purchase.ends_at > now:
        return Change(purchase)
    ended = replace(purchase, status=step_to(purchase, PurchaseStatus.EXPIRED), updated_at=now)
    event = PurchaseExpired(**subject_of(ended, now), ended_at=purchase.ends_at)
    return Change(ended, (event,), NoticeKind.EXPIRED).then(taken_out(ended, EXPIRED, now))


def deactivation_delayed(purchase: Purchase, at: datetime, now: datetime) -> Change:
    """The car is out of reach; ota tries again until it is done (OTA-4)."""
    if purchase.deactivated_at is not None or purchase.deactivation_delayed_at is not None:
        return Change(purchase)
    return Change(replace(purchase, deactivation_delayed_at=at, updated_at=now))
