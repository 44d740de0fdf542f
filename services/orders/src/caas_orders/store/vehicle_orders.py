"""Vehicle orders as rows. Writers lock them in the order of their ids and write back what they read."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_orders.domain.order_status import VehicleOrderStatus
from caas_orders.domain.vehicle_order import VehicleOrder
from caas_orders.store.terms_columns import terms_of, terms_values

INSERT_ORDER: Final = """
INSERT INTO vehicle_orders (order_id, customer_id, model, options, dealership, total_minor, reservation_minor,
    currency, vat_rate_bp, catalogue_version, status, reservation_payment_id, requested_at, updated_at, vehicle_id,
    reason, problem, final_attempts, submission, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14, '', '', 0, 0, 1)
"""

LOCK_ORDERS: Final = """
SELECT * FROM vehicle_orders WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE
"""

READ_ORDERS: Final = "SELECT * FROM vehicle_orders WHERE order_id = ANY($1::uuid[])"

SAVE_ORDER: Final = """
UPDATE vehicle_orders SET status = $3, updated_at = $4, reason = $5, problem = $6, vehicle_id = $7,
    factory_order_id = $8, estimated_delivery_on = $9, estimated_at = $10, pay_before = $11, final_attempts = $12,
    final_payment_id = $13, paid_at = $14, submission = $15, plates = $16, booking_id = $17, delivery_on = $18,
    delivered_at = $19, version = version + 1
WHERE order_id = $1 AND version = $2
"""

# RES-3: what was declined is no order; it is read by its id alone, as the outcome of the attempt.
LIST_ORDERS: Final = """
SELECT * FROM vehicle_orders
WHERE customer_id = $1 AND ($2::uuid IS NULL OR order_id < $2) AND status <> 'declined'
ORDER BY order_id DESC LIMIT $3
"""


async def insert(order: VehicleOrder, *, tx: Tx) -> None:
    """Store a new order, whose id nobody else has."""
    await tx.execute(
        INSERT_ORDER,
        order.order_id,
        order.customer_id,
        *terms_values(order.terms),
        order.status,
        order.reservation_payment_id,
        order.requested_at,
        order.vehicle_id,
    )


async def lock(order_ids: Sequence[UUID], *, tx: Tx) -> dict[UUID, VehicleOrder]:
    """The orders, locked until the end of the transaction. Unknown ids are left out."""
    return {row["order_id"]: _order(row) for row in await tx.fetch(LOCK_ORDERS, order_ids)}


async def read(order_ids: Sequence[UUID], *, tx: Tx) -> dict[UUID, VehicleOrder]:
    """The orders, without locking them. Unknown ids are left out."""
    return {row["order_id"]: _order(row) for row in await tx.fetch(READ_ORDERS, order_ids)}


async def save(order: VehicleOrder, *, tx: Tx) -> None:
    """Write a changed order that this transaction has locked.

    Raises RuntimeError when it was changed by another since, which the lock excludes.
    """
    tag = await tx.execute(
        SAVE_ORDER,
        order.order_id,
        order.version,
        order.status,
        order.updated_at,
        order.reason,
        order.problem,
        order.vehicle_id,
        order.factory_order_id,
        order.estimated_delivery_on,
        order.estimated_at,
        order.pay_before,
        order.final_attempts,
        order.final_payment_id,
        order.paid_at,
        order.submission,
        order.plates,
        order.booking_id,
        order.delivery_on,
        order.delivered_at,
    )
    if tag != "UPDATE 1":
        raise RuntimeError(f"vehicle order {order.order_id} was not locked by this transaction")


async def of_customer(customer_id: str, *, before: UUID | None, limit: int, tx: Tx) -> list[VehicleOrder]:
    """A customer's orders, newest first, older than `before`."""
    return [_order(row) for row in await tx.fetch(LIST_ORDERS, customer_id, before, limit)]


def _order(row: Record) -> VehicleOrder:
    return VehicleOrder(
        order_id=row["order_id"],
        customer_id=row["customer_id"],
        terms=terms_of(row),
        status=VehicleOrderStatus(row["status"]),
        reservation_payment_id=row["reservation_payment_id"],
        requested_at=row["requested_at"],
        updated_at=row["updated_at"],
        reason=row["reason"],
        problem=row["problem"],
        vehicle_id=row["vehicle_id"],
        factory_order_id=row["factory_order_id"],
        estimated_delivery_on=row["estimated_delivery_on"],
        estimated_at=row["estimated_at"],
        pay_before=row["pay_before"],
        final_attempts=row["final_attempts"],
        final_payment_id=row["final_payment_id"],
        paid_at=row["paid_at"],
        submission=row["submission"],
        plates=row["plates"],
        booking_id=row["booking_id"],
        delivery_on=row["delivery_on"],
        delivered_at=row["delivered_at"],
        version=row["version"],
    )
