"""Vehicles that exist and their assignments, as rows. Whoever changes a vehicle locks it first."""

from collections.abc import Sequence
from typing import Final

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_orders.domain.order_status import VehicleStatus
from caas_orders.domain.stock import Assignment, StockVehicle
from caas_orders.store.terms_columns import terms_of, terms_values

INSERT_VEHICLE: Final = """
INSERT INTO stock_vehicles (vehicle_id, model, options, dealership, total_minor, reservation_minor, currency,
    vat_rate_bp, catalogue_version, status, order_id, customer_id, updated_at, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1)
"""

LOCK_VEHICLES: Final = """
SELECT * FROM stock_vehicles WHERE vehicle_id = ANY($1::text[]) ORDER BY vehicle_id FOR UPDATE
"""

SAVE_VEHICLE: Final = """
UPDATE stock_vehicles SET status = $3, order_id = $4, customer_id = $5, updated_at = $6, version = version + 1
WHERE vehicle_id = $1 AND version = $2
"""

INSERT_ASSIGNMENT: Final = """
INSERT INTO vehicle_assignments (vehicle_id, status, order_id, customer_id, reason, since)
VALUES ($1, $2, $3, $4, $5, $6)
"""

LIST_ON_SALE: Final = """
SELECT * FROM stock_vehicles
WHERE status = 'available_stock' AND ($1::text IS NULL OR model = $1) AND ($2::text IS NULL OR vehicle_id > $2)
ORDER BY vehicle_id LIMIT $3
"""

LIST_ASSIGNMENTS: Final = """
SELECT vehicle_id, status, order_id, customer_id, reason, since FROM vehicle_assignments
WHERE vehicle_id = $1 ORDER BY assignment_id
"""


async def lock(vehicle_ids: Sequence[str], *, tx: Tx) -> dict[str, StockVehicle]:
    """The vehicles, locked until the end of the transaction. Unknown ids are left out."""
    return {row["vehicle_id"]: _vehicle(row) for row in await tx.fetch(LOCK_VEHICLES, vehicle_ids)}


async def insert(vehicle: StockVehicle, *, tx: Tx) -> None:
    """Store a vehicle that was not known. A concurrent one with the same number fails the transaction."""
    values = (vehicle.status, vehicle.order_id, vehicle.customer_id, vehicle.updated_at)
    await tx.execute(INSERT_VEHICLE, vehicle.vehicle_id, *terms_values(vehicle.terms), *values)


async def save(vehicle: StockVehicle, *, tx: Tx) -> None:
    """Write a changed vehicle that this transaction has locked.

    Raises RuntimeError when it was changed by another since, which the lock excludes.
    """
    holder = (vehicle.order_id, vehicle.customer_id)
    tag = await tx.execute(
        SAVE_VEHICLE, vehicle.vehicle_id, vehicle.version, vehicle.status, *holder, vehicle.updated_at
    )
    if tag != "UPDATE 1":
        raise RuntimeError(f"vehicle {vehicle.vehicle_id} was not locked by this transaction")


async def add_assignment(assignment: Assignment, *, tx: Tx) -> None:
    """Add an entry to a vehicle's history."""
    holder = (assignment.order_id, assignment.customer_id)
    await tx.execute(
        INSERT_ASSIGNMENT, assignment.vehicle_id, assignment.status, *holder, assignment.reason, assignment.since
    )


async def on_sale(*, model: str | None, after: str | None, limit: int, tx: Tx) -> list[StockVehicle]:
    """Vehicles that anybody may reserve now, by number, behind `after`."""
    return [_vehicle(row) for row in await tx.fetch(LIST_ON_SALE, model, after, limit)]


async def assignments(vehicle_id: str, *, tx: Tx) -> list[Assignment]:
    """Who had a vehicle, oldest first."""
    return [_assignment(row) for row in await tx.fetch(LIST_ASSIGNMENTS, vehicle_id)]


def _vehicle(row: Record) -> StockVehicle:
    return StockVehicle(
        vehicle_id=row["vehicle_id"],
        terms=terms_of(row),
        status=VehicleStatus(row["status"]),
        order_id=row["order_id"],
        customer_id=row["customer_id"],
        updated_at=row["updated_at"],
        version=row["version"],
    )


def _assignment(row: Record) -> Assignment:
    return Assignment(
        vehicle_id=row["vehicle_id"],
        status=VehicleStatus(row["status"]),
        order_id=row["order_id"],
        customer_id=row["customer_id"],
        reason=row["reason"],
        since=row["since"],
    )
