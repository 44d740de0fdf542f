"""Reports of stolen vehicles, in the rows of the vehicles: who sells for one locks it, so nobody sells meanwhile."""

from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_orders.domain.theft import Theft

# Waits for everybody who is placing a purchase for the vehicle, and makes the next ones wait (THF).
LOCK_VEHICLE: Final = """
SELECT vehicle_id, customer_id, theft_report_id, stolen_at, theft_recorded_at
FROM vehicles WHERE vehicle_id = $1 FOR UPDATE
"""

RECORD_THEFT: Final = """
UPDATE vehicles SET theft_report_id = $2, stolen_at = $3, theft_recorded_at = $4, updated_at = $4
WHERE vehicle_id = $1 AND theft_report_id IS NULL
"""

RUNNING_PURCHASES: Final = "SELECT purchase_id FROM purchases WHERE vehicle_id = $1 AND occupies ORDER BY purchase_id"


async def lock(vehicle_id: str, *, tx: Tx) -> Theft | None:
    """Lock the vehicle, which exists, until the end of the transaction; its theft when one was reported before."""
    row = await tx.fetchrow(LOCK_VEHICLE, vehicle_id)
    return None if row is None or row["theft_report_id"] is None else _theft(row)


async def record(theft: Theft, *, tx: Tx) -> None:
    """Record the first report about a vehicle that this transaction has locked."""
    await tx.execute(RECORD_THEFT, theft.vehicle_id, theft.report_id, theft.reported_at, theft.recorded_at)


async def running_purchases(vehicle_id: str, *, tx: Tx) -> list[UUID]:
    """What is active in the vehicle or being bought for it, in the order of the ids."""
    return [row["purchase_id"] for row in await tx.fetch(RUNNING_PURCHASES, vehicle_id)]


def _theft(row: Record) -> Theft:
    return Theft(
        vehicle_id=row["vehicle_id"],
        customer_id=row["customer_id"],
        report_id=row["theft_report_id"],
        reported_at=row["stolen_at"],
        recorded_at=row["theft_recorded_at"],
    )
