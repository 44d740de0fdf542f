"""A vehicle that was reported stolen (THF): what is delivered stays, and nothing else goes on.

Invariant: from the report on nothing is sold for the vehicle, and what was pending or recurring takes no more money.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from caas_contracts.orders import PurchaseKind
from caas_contracts.purchase_life import VehicleReportedStolen
from caas_orders.domain.purchase import VEHICLE_STOLEN, Change, Purchase
from caas_orders.domain.refusal import Refusal
from caas_orders.domain.status import PurchaseStatus
from caas_orders.domain.subscribing import cancel_subscription


@dataclass(frozen=True, slots=True)
class Theft:
    """A report of a theft; `reported_at` is its reporter's instant, `recorded_at` ours. The first one counts."""

    vehicle_id: str
    customer_id: str
    report_id: UUID
    reported_at: datetime
    recorded_at: datetime

    def reported(self) -> VehicleReportedStolen:
        """The fact for the other services."""
        return VehicleReportedStolen(
            vehicle_id=self.vehicle_id,
            customer_id=self.customer_id,
            report_id=self.report_id,
            reported_at=self.reported_at,
            occurred_at=self.recorded_at,
        )


def recurs(purchase: Purchase) -> bool:
    """Whether later periods are what there is to stop (REC-2); the running one is delivered (THF-1)."""
    return purchase.status is PurchaseStatus.ACTIVE and purchase.period_months is not None


def stopped(purchase: Purchase, now: datetime) -> Change:
    """THF-2: what is pending or planned is given up with its money, a subscription ends. THF-1: the rest stays.

    What ota was asked for already may succeed all the same, and is charged then (SVC-6, SVC-11): DES decides about it.
    """
    if purchase.cancelled_at is not None:
        return Change(purchase)
    if purchase.kind is PurchaseKind.SUBSCRIPTION:
        outcome = cancel_subscription(purchase, now)
    else:
        outcome = replace(purchase, reason=VEHICLE_STOLEN).cancel(now)
    return Change(purchase) if isinstance(outcome, Refusal) else outcome
