"""Joins what orders says of a vehicle order with what payments says of its money, in whichever order they come.

Every function that writes first takes the lock of its orders' rows, sorted, so the later of two concurrent
transactions sees what the earlier one wrote: each reservation and each vehicle is found due exactly once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from caas_billing.domain.sale import SoldVehicle, VehiclePayment, VehicleSale
from caas_billing.store.customers import customer_of
from caas_chassis.transaction import Tx
from caas_contracts.money import Money
from caas_contracts.payments import OrphanSaleFound, PaymentConfirmed
from caas_contracts.vehicle_orders import (
    VehicleOrderPaid,
    VehicleOrderPlaced,
    VehicleOrderReserved,
    VehicleRegisteredForTraffic,
)

LOCK_ORDERS: Final = """
INSERT INTO billable_vehicle_order AS known (order_id) SELECT * FROM unnest($1::uuid[])
ON CONFLICT (order_id) DO UPDATE SET order_id = excluded.order_id
"""

ADD_ORDERS: Final = """
UPDATE billable_vehicle_order known SET customer_id = new.customer_id, customer_name = new.customer_name,
    customer_email = new.customer_email, customer_tax_id = new.customer_tax_id,
    customer_language = new.customer_language, model = new.model, model_name = new.model_name,
    options = new.options, dealership = new.dealership, currency = new.currency, total_minor = new.total_minor,
    reservation_minor = new.reservation_minor, vat_rate_bp = new.vat_rate_bp
FROM unnest($1::billable_vehicle_order[]) AS new
WHERE known.order_id = new.order_id AND known.customer_id IS NULL
"""

ADD_RESERVED: Final = """
UPDATE billable_vehicle_order known SET reservation_payment_id = new.payment_id
FROM unnest($1::uuid[], $2::uuid[]) AS new(order_id, payment_id)
WHERE known.order_id = new.order_id AND known.reservation_payment_id IS NULL
"""

ADD_PAID: Final = """
UPDATE billable_vehicle_order known SET final_payment_id = new.payment_id
FROM unnest($1::uuid[], $2::uuid[]) AS new(order_id, payment_id)
WHERE known.order_id = new.order_id AND known.final_payment_id IS NULL
"""

ADD_REGISTERED: Final = """
UPDATE billable_vehicle_order known SET vin = new.vin, plates = new.plates, registered_at = new.registered_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[]) AS new(order_id, vin, plates, registered_at)
WHERE known.order_id = new.order_id AND known.plates IS NULL
"""

ADD_PAYMENTS: Final = """
INSERT INTO vehicle_payment (payment_id, order_id, paid_minor, currency, paid_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::timestamptz[])
ON CONFLICT (payment_id) DO NOTHING
"""

RESERVATIONS_DUE: Final = """
SELECT o.*, r.paid_minor AS reservation_paid, r.currency AS reservation_currency, r.paid_at AS reserved_at
FROM billable_vehicle_order o
JOIN vehicle_payment r ON r.payment_id = o.reservation_payment_id
LEFT JOIN invoice i ON i.subject_id = o.order_id AND i.kind = 'reservation'
WHERE o.order_id = ANY($1::uuid[]) AND o.customer_id IS NOT NULL AND i.invoice_id IS NULL
ORDER BY o.order_id
"""

VEHICLES_DUE: Final = """
SELECT o.*, r.paid_minor AS reservation_paid, r.currency AS reservation_currency, r.paid_at AS reserved_at,
    f.paid_minor AS final_paid, f.currency AS final_currency, f.paid_at AS final_paid_at
FROM billable_vehicle_order o
JOIN vehicle_payment r ON r.payment_id = o.reservation_payment_id
JOIN vehicle_payment f ON f.payment_id = o.final_payment_id
JOIN invoice ri ON ri.subject_id = o.order_id AND ri.kind = 'reservation'
LEFT JOIN invoice i ON i.subject_id = o.order_id AND i.kind = 'final'
WHERE o.order_id = ANY($1::uuid[]) AND o.plates IS NOT NULL AND i.invoice_id IS NULL
ORDER BY o.order_id
"""

LOCK_PAID: Final = """
SELECT payment_id, paid_minor, currency, refunded_minor FROM vehicle_payment
WHERE payment_id = ANY($1::uuid[]) ORDER BY payment_id FOR UPDATE
"""

ADD_REFUNDED: Final = """
UPDATE vehicle_payment SET refunded_minor = refunded_minor + refund.minor
FROM unnest($1::uuid[], $2::bigint[]) AS refund(payment_id, minor)
WHERE vehicle_payment.payment_id = refund.payment_id
"""


async def lock_orders(tx: Tx, order_ids: Sequence[UUID]) -> None:
    """Lock the rows of these orders until the commit; unknown orders get an empty one."""
    await tx.execute(LOCK_ORDERS, sorted(set(order_ids)))


async def add_orders(tx: Tx, placed: Sequence[VehicleOrderPlaced]) -> None:
    """Store what was ordered, of locked orders. What is known changes nothing."""
    await tx.execute(ADD_ORDERS, [_order_row(message) for message in placed])


async def add_reserved(tx: Tx, reserved: Sequence[VehicleOrderReserved]) -> None:
    """Store which payment is an order's reservation, of locked orders."""
    await tx.execute(ADD_RESERVED, [one.order_id for one in reserved], [one.payment_id for one in reserved])


async def add_paid(tx: Tx, paid: Sequence[VehicleOrderPaid]) -> None:
    """Store which payment is an order's final one, of locked orders."""
    await tx.execute(ADD_PAID, [one.order_id for one in paid], [one.payment_id for one in paid])


async def add_registered(tx: Tx, registered: Sequence[VehicleRegisteredForTraffic]) -> None:
    """Store the identification number and the plates, of locked orders."""
    await tx.execute(
        ADD_REGISTERED,
        [one.order_id for one in registered],
        [one.vin for one in registered],
        [one.plates for one in registered],
        [one.occurred_at for one in registered],
    )


async def add_payments(tx: Tx, taken: Sequence[PaymentConfirmed | OrphanSaleFound]) -> None:
    """Store what was paid, of locked orders."""
    amounts = [one.taken if isinstance(one, OrphanSaleFound) else one.amount for one in taken]
    await tx.execute(
        ADD_PAYMENTS,
        [one.payment_id for one in taken],
        [one.subject_id for one in taken],
        [amount.amount_minor for amount in amounts],
        [amount.currency for amount in amounts],
        [one.occurred_at for one in taken],
    )


async def reservations_due(tx: Tx, order_ids: Sequence[UUID]) -> list[VehicleSale]:
    """Those of the locked orders that are reserved and paid so, and have no invoice of it yet."""
    return [_sale(row) for row in await tx.fetch(RESERVATIONS_DUE, order_ids)]


async def vehicles_due(tx: Tx, order_ids: Sequence[UUID]) -> list[VehicleSale]:
    """Those of the locked orders that are paid, registered and invoiced for their reservation, but not finally."""
    return [_paid_sale(row) for row in await tx.fetch(VEHICLES_DUE, order_ids)]


async def lock_paid(tx: Tx, payment_ids: Sequence[UUID]) -> dict[UUID, tuple[Money, int]]:
    """Lock payments of vehicles; returns what was paid and, in minor units, what was refunded so far."""
    rows = await tx.fetch(LOCK_PAID, sorted(payment_ids))
    return {row["payment_id"]: (_money(row, "paid_minor", "currency"), row["refunded_minor"]) for row in rows}


async def add_refunded(tx: Tx, refunded_minor: Mapping[UUID, int]) -> None:
    """Count refunds of locked payments; the schema refuses more than was paid (PAY-8)."""
    await tx.execute(ADD_REFUNDED, list(refunded_minor), list(refunded_minor.values()))


def _order_row(placed: VehicleOrderPlaced) -> dict[str, Any]:
    return {
        "order_id": placed.order_id,
        "customer_id": placed.customer_id,
        "customer_name": placed.customer_name,
        "customer_email": placed.customer_email,
        "customer_tax_id": placed.customer_tax_id,
        "customer_language": placed.customer_language,
        "model": placed.model,
        "model_name": placed.model_name,
        "options": placed.options,
        "dealership": placed.dealership,
        "currency": placed.total.currency,
        "total_minor": placed.total.amount_minor,
        "reservation_minor": placed.reservation.amount_minor,
        "vat_rate_bp": placed.vat_rate_bp,
    }


def _sale(row: Record, **later: Any) -> VehicleSale:
    return VehicleSale(
        order_id=row["order_id"],
        customer=customer_of(row),
        vehicle=SoldVehicle(
            row["model"], row["model_name"], tuple(row["options"]), row["dealership"], row["vin"], row["plates"]
        ),
        vat_rate_bp=row["vat_rate_bp"],
        price=_money(row, "total_minor", "currency"),
        agreed_reservation=_money(row, "reservation_minor", "currency"),
        reservation=VehiclePayment(
            row["reservation_payment_id"],
            _money(row, "reservation_paid", "reservation_currency"),
            row["reserved_at"],
        ),
        **later,
    )


def _paid_sale(row: Record) -> VehicleSale:
    final = VehiclePayment(row["final_payment_id"], _money(row, "final_paid", "final_currency"), row["final_paid_at"])
    return _sale(row, final=final, registered_at=row["registered_at"])


def _money(row: Record, amount: str, currency: str) -> Money:
    return Money(amount_minor=row[amount], currency=row[currency])
