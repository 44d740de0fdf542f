"""Customers and vehicles as rows."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_orders.domain.placing import Buyer
from caas_orders.domain.registration import Customer, Language, Vehicle

UPSERT_CUSTOMER: Final = """
INSERT INTO customers AS c (customer_id, name, email, language, tax_id, registered_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $6)
ON CONFLICT (customer_id) DO UPDATE SET name = excluded.name, email = excluded.email,
    language = excluded.language, tax_id = excluded.tax_id, updated_at = excluded.updated_at
RETURNING (xmax = 0) AS created
"""

# Returns no row when nothing about the vehicle is new.
UPSERT_VEHICLE: Final = """
INSERT INTO vehicles AS v (vehicle_id, customer_id, model, equipment, public_key, registered_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $6)
ON CONFLICT (vehicle_id) DO UPDATE SET customer_id = excluded.customer_id, model = excluded.model,
    equipment = excluded.equipment, public_key = excluded.public_key, updated_at = excluded.updated_at
WHERE (v.customer_id, v.model, v.equipment, v.public_key)
    IS DISTINCT FROM (excluded.customer_id, excluded.model, excluded.equipment, excluded.public_key)
RETURNING vehicle_id
"""

READ_CUSTOMERS: Final = """
SELECT customer_id, name, email, language, tax_id FROM customers WHERE customer_id = ANY($1::text[])
"""

READ_SUBSCRIBERS: Final = """
SELECT p.purchase_id, c.customer_id, c.name, c.email, c.language, c.tax_id
FROM purchases p JOIN customers c USING (customer_id) WHERE p.purchase_id = ANY($1::uuid[])
"""

READ_BUYERS: Final = """
SELECT v.vehicle_id, v.customer_id, v.model, v.equipment, v.public_key, v.stolen_at, c.name, c.email, c.language,
    c.tax_id
FROM vehicles v JOIN customers c USING (customer_id) WHERE v.vehicle_id = ANY($1::text[])
"""

# Waits for a theft that is being reported, and reads it then; a report waits for the purchases that are placed.
LOCK_BUYERS: Final = """
SELECT v.vehicle_id, v.customer_id, v.model, v.equipment, v.public_key, v.stolen_at, c.name, c.email, c.language,
    c.tax_id
FROM vehicles v JOIN customers c USING (customer_id) WHERE v.vehicle_id = ANY($1::text[])
ORDER BY v.vehicle_id FOR KEY SHARE OF v
"""


async def put_customer(customer: Customer, *, tx: Tx) -> bool:
    """Store a customer's data; says whether the customer is new."""
    created = await tx.fetchval(
        UPSERT_CUSTOMER,
        customer.customer_id,
        customer.name,
        customer.email,
        customer.language,
        customer.tax_id,
        tx.now,
    )
    return bool(created)


async def put_vehicle(vehicle: Vehicle, *, tx: Tx) -> bool:
    """Store a vehicle whose customer exists; says whether anything about it is new."""
    changed = await tx.fetchval(
        UPSERT_VEHICLE,
        vehicle.vehicle_id,
        vehicle.customer_id,
        vehicle.model,
        sorted(vehicle.equipment),
        vehicle.public_key,
        tx.now,
    )
    return changed is not None


async def customers(customer_ids: Sequence[str], *, tx: Tx) -> dict[str, Customer]:
    """Customers by id. Unknown ids are left out."""
    rows = await tx.fetch(READ_CUSTOMERS, customer_ids)
    return {row["customer_id"]: _customer(row) for row in rows}


async def subscribers(purchase_ids: Sequence[UUID], *, tx: Tx) -> dict[UUID, Customer]:
    """Who made these purchases. Unknown ids are left out."""
    rows = await tx.fetch(READ_SUBSCRIBERS, purchase_ids)
    return {row["purchase_id"]: _customer(row) for row in rows}


async def buyers(vehicle_ids: Sequence[str], *, tx: Tx) -> dict[str, Buyer]:
    """Vehicles with their owners, by vehicle id. Unknown ids are left out."""
    rows = await tx.fetch(READ_BUYERS, vehicle_ids)
    return {row["vehicle_id"]: Buyer(_vehicle(row), _customer(row)) for row in rows}


async def lock_buyers(vehicle_ids: Sequence[str], *, tx: Tx) -> dict[str, Buyer]:
    """As `buyers`, for whoever places purchases: none of the vehicles is reported stolen meanwhile (THF)."""
    rows = await tx.fetch(LOCK_BUYERS, vehicle_ids)
    return {row["vehicle_id"]: Buyer(_vehicle(row), _customer(row)) for row in rows}


def _customer(row: Record) -> Customer:
    return Customer(
        customer_id=row["customer_id"],
        name=row["name"],
        email=row["email"],
        language=Language(row["language"]),
        tax_id=row["tax_id"],
    )


def _vehicle(row: Record) -> Vehicle:
    return Vehicle(
        vehicle_id=row["vehicle_id"],
        customer_id=row["customer_id"],
        model=row["model"],
        equipment=frozenset(row["equipment"]),
        public_key=row["public_key"],
        stolen_at=row["stolen_at"],
    )
