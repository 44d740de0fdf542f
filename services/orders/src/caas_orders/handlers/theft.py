"""Reporting a vehicle stolen (THF): recorded, and everything that is not delivered yet is stopped in the same step."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from caas_chassis.transaction import Tx
from caas_orders.domain.notification import NoticeKind
from caas_orders.domain.purchase import VEHICLE_STOLEN, Purchase
from caas_orders.domain.theft import Theft, recurs, stopped
from caas_orders.gateway.letters import Fact, local_second
from caas_orders.handlers.amending import amend_each
from caas_orders.handlers.renewing import end_recurrences
from caas_orders.handlers.telling import tell_of_vehicle
from caas_orders.store import purchases, registrations, thefts


@dataclass(frozen=True, slots=True)
class Report:
    """What was reported, about a vehicle that exists."""

    vehicle_id: str
    report_id: UUID
    reported_at: datetime


@dataclass(frozen=True, slots=True)
class Stolen:
    """The theft that is on record, whether this report was the first, and the purchases that it found running."""

    theft: Theft
    is_new: bool
    purchases: tuple[Purchase, ...]


async def report_stolen(report: Report, *, tx: Tx) -> Stolen:
    """THF-1, THF-2: a second report is the first, and changes nothing."""
    known = await thefts.lock(report.vehicle_id, tx=tx)
    running = await thefts.running_purchases(report.vehicle_id, tx=tx)
    if known is not None:
        return Stolen(known, False, tuple((await purchases.read(running, tx=tx)).values()))
    buyer = (await registrations.buyers([report.vehicle_id], tx=tx))[report.vehicle_id]
    theft = Theft(report.vehicle_id, buyer.customer.customer_id, report.report_id, report.reported_at, tx.now)
    await thefts.record(theft, tx=tx)
    tx.publish(theft.reported())
    facts: dict[str, Fact] = {"reported_at": local_second(report.reported_at), "report": str(report.report_id)}
    await tell_of_vehicle(buyer, NoticeKind.VEHICLE_STOLEN, facts, tx=tx)
    await _stop(running, tx)
    after = await purchases.read(running, tx=tx)
    return Stolen(theft, True, tuple(after[purchase_id] for purchase_id in running))


async def _stop(running: list[UUID], tx: Tx) -> None:
    locked = await purchases.lock(running, tx=tx)
    recurring = [purchase_id for purchase_id, purchase in locked.items() if recurs(purchase)]
    await end_recurrences(recurring, tx.cause, reason=VEHICLE_STOLEN, tx=tx)
    others = [(purchase_id, purchase_id, tx.cause) for purchase_id in running if purchase_id not in recurring]
    await amend_each(others, lambda purchase, _: stopped(purchase, tx.now), tx=tx)
