"""Purchases as rows. Writers lock them in the order of their ids and write back what they read."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_contracts.money import Money
from caas_contracts.orders import PurchaseKind
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.status import OCCUPYING, MoneyOutcome, PurchaseStatus

# Sorted like the unique index that two writers could meet on, so that they cannot deadlock.
INSERT_PURCHASES: Final = """
INSERT INTO purchases (purchase_id, customer_id, vehicle_id, service_code, kind, duration_days, price_minor,
    currency, vat_rate_bp, catalogue_version, payment_method, consent_at, awaited, payment_id, activation_id,
    status, requested_at, updated_at, activation_not_after, plan_code, plan_version, starts_at, time_zone,
    period_months, occupies, reason, activation_failure, version)
SELECT purchase_id, customer_id, vehicle_id, service_code, kind, duration_days, price_minor,
    currency, vat_rate_bp, catalogue_version, payment_method, consent_at, awaited, payment_id, activation_id,
    status, requested_at, updated_at, activation_not_after, plan_code, plan_version, starts_at, time_zone,
    period_months, true, '', '', 1
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::bigint[],
    $8::text[], $9::integer[], $10::integer[], $11::text[], $12::timestamptz[], $13::boolean[],
    $14::uuid[], $15::uuid[], $16::text[], $17::timestamptz[], $18::timestamptz[], $19::timestamptz[], $20::text[],
    $21::integer[], $22::timestamptz[], $23::text[], $24::integer[])
    AS n(purchase_id, customer_id, vehicle_id, service_code, kind, duration_days, price_minor, currency,
    vat_rate_bp, catalogue_version, payment_method, consent_at, awaited, payment_id, activation_id, status,
    requested_at, updated_at, activation_not_after, plan_code, plan_version, starts_at, time_zone, period_months)
ORDER BY vehicle_id, service_code, purchase_id
ON CONFLICT DO NOTHING
RETURNING purchase_id
"""

LOCK_PURCHASES: Final = """
SELECT purchase_id, customer_id, vehicle_id, service_code, kind, duration_days, price_minor, currency,
    vat_rate_bp, catalogue_version, payment_method, consent_at, awaited, payment_id, activation_id, status,
    requested_at, updated_at, reason, money, activation_not_after, payment_cancelled_at, cancelled_at,
    activated_at, activation_failure, deactivation_id, ends_at, plan_code, plan_version,
    starts_at, time_zone, period_months, deactivated_at, deactivation_delayed_at, paid_ahead_at, settled_minor,
    withdrawal_id, version
FROM purchases WHERE purchase_id = ANY($1::uuid[]) ORDER BY purchase_id FOR UPDATE
"""

READ_PURCHASES: Final = """
SELECT purchase_id, customer_id, vehicle_id, service_code, kind, duration_days, price_minor, currency,
    vat_rate_bp, catalogue_version, payment_method, consent_at, awaited, payment_id, activation_id, status,
    requested_at, updated_at, reason, money, activation_not_after, payment_cancelled_at, cancelled_at,
    activated_at, activation_failure, deactivation_id, ends_at, plan_code, plan_version,
    starts_at, time_zone, period_months, deactivated_at, deactivation_delayed_at, paid_ahead_at, settled_minor,
    withdrawal_id, version
FROM purchases WHERE purchase_id = ANY($1::uuid[])
"""

SAVE_PURCHASES: Final = """
UPDATE purchases AS p SET status = n.status, occupies = n.occupies, updated_at = n.updated_at,
    reason = n.reason, money = n.money, activation_not_after = n.activation_not_after,
    payment_cancelled_at = n.payment_cancelled_at, cancelled_at = n.cancelled_at,
    activated_at = n.activated_at, activation_failure = n.activation_failure,
    deactivation_id = n.deactivation_id, ends_at = n.ends_at, plan_version = n.plan_version,
    deactivated_at = n.deactivated_at, deactivation_delayed_at = n.deactivation_delayed_at,
    withdrawal_id = n.withdrawal_id, paid_ahead_at = n.paid_ahead_at, settled_minor = n.settled_minor,
    version = p.version + 1
FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::boolean[], $5::timestamptz[], $6::text[], $7::text[],
    $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::text[], $13::uuid[],
    $14::timestamptz[], $15::integer[], $16::timestamptz[], $17::timestamptz[], $18::timestamptz[], $19::bigint[],
    $20::uuid[])
    AS n(purchase_id, version, status, occupies, updated_at, reason, money, activation_not_after,
    payment_cancelled_at, cancelled_at, activated_at, activation_failure, deactivation_id, ends_at, plan_version,
    deactivated_at, deactivation_delayed_at, paid_ahead_at, settled_minor, withdrawal_id)
WHERE p.purchase_id = n.purchase_id AND p.version = n.version
"""

LIST_PURCHASES: Final = """
SELECT purchase_id, customer_id, vehicle_id, service_code, kind, duration_days, price_minor, currency,
    vat_rate_bp, catalogue_version, payment_method, consent_at, awaited, payment_id, activation_id, status,
    requested_at, updated_at, reason, money, activation_not_after, payment_cancelled_at, cancelled_at,
    activated_at, activation_failure, deactivation_id, ends_at, plan_code, plan_version,
    starts_at, time_zone, period_months, deactivated_at, deactivation_delayed_at, paid_ahead_at, settled_minor,
    withdrawal_id, version
FROM purchases
WHERE customer_id = $1 AND ($2::uuid IS NULL OR purchase_id < $2) AND ($4::text IS NULL OR kind = $4)
ORDER BY purchase_id DESC LIMIT $3
"""

# RSK-2: a settlement says nothing new about any other purchase.
AWAITING_SETTLEMENT: Final = """
SELECT purchase_id FROM purchases WHERE purchase_id = ANY($1::uuid[]) AND status = 'settling'
"""

OCCUPIED_SERVICES: Final = "SELECT service_code, status FROM purchases WHERE vehicle_id = $1 AND occupies"


async def insert(purchases: Sequence[Purchase], *, tx: Tx) -> frozenset[UUID]:
    """Store new purchases; returns those that are in. The others exist, or their service is bought."""
    rows = [_inserted(purchase) for purchase in purchases]
    inserted = await tx.fetch(INSERT_PURCHASES, *zip(*rows, strict=True))
    return frozenset(row["purchase_id"] for row in inserted)


async def lock(purchase_ids: Sequence[UUID], *, tx: Tx) -> dict[UUID, Purchase]:
    """The purchases, locked until the end of the transaction. Unknown ids are left out."""
    rows = await tx.fetch(LOCK_PURCHASES, purchase_ids)
    return {row["purchase_id"]: _purchase(row) for row in rows}


async def read(purchase_ids: Sequence[UUID], *, tx: Tx) -> dict[UUID, Purchase]:
    """The purchases, without locking them. Unknown ids are left out."""
    rows = await tx.fetch(READ_PURCHASES, purchase_ids)
    return {row["purchase_id"]: _purchase(row) for row in rows}


async def save(purchases: Sequence[Purchase], *, tx: Tx) -> None:
    """Write changed purchases that this transaction has locked.

    Raises RuntimeError when one was changed by another since, which the lock excludes.
    """
    tag = await tx.execute(SAVE_PURCHASES, *zip(*[_saved(purchase) for purchase in purchases], strict=True))
    if tag != f"UPDATE {len(purchases)}":
        raise RuntimeError(f"{tag} instead of {len(purchases)} purchases: one was not locked by this transaction")


async def awaiting_settlement(purchase_ids: Sequence[UUID], *, tx: Tx) -> frozenset[UUID]:
    """Which of these purchases wait for their money to reach the bank."""
    return frozenset(row["purchase_id"] for row in await tx.fetch(AWAITING_SETTLEMENT, purchase_ids))


async def of_customer(
    customer_id: str, *, before: UUID | None, limit: int, kind: PurchaseKind | None = None, tx: Tx
) -> list[Purchase]:
    """A customer's purchases, of this kind if one is named, newest first, older than `before`."""
    return [_purchase(row) for row in await tx.fetch(LIST_PURCHASES, customer_id, before, limit, kind)]


async def occupied_services(vehicle_id: str, *, tx: Tx) -> Mapping[str, PurchaseStatus]:
    """The services that are active in a vehicle or being bought for it (SVC-1)."""
    rows = await tx.fetch(OCCUPIED_SERVICES, vehicle_id)
    return {row["service_code"]: PurchaseStatus(row["status"]) for row in rows}


def _inserted(purchase: Purchase) -> tuple[object, ...]:
    return (
        purchase.purchase_id,
        purchase.customer_id,
        purchase.vehicle_id,
        purchase.service_code,
        purchase.kind,
        purchase.duration_days,
        purchase.price.amount_minor,
        purchase.price.currency,
        purchase.vat_rate_bp,
        purchase.catalogue_version,
        purchase.payment_method,
        purchase.consent_at,
        purchase.awaited,
        purchase.payment_id,
        purchase.activation_id,
        purchase.status,
        purchase.requested_at,
        purchase.updated_at,
        purchase.activation_not_after,
        purchase.plan_code,
        purchase.plan_version,
        purchase.starts_at,
        purchase.time_zone,
        purchase.period_months,
    )


def _saved(purchase: Purchase) -> tuple[object, ...]:
    return (
        purchase.purchase_id,
        purchase.version,
        purchase.status,
        purchase.status in OCCUPYING,
        purchase.updated_at,
        purchase.reason,
        purchase.money,
        purchase.activation_not_after,
        purchase.payment_cancelled_at,
        purchase.cancelled_at,
        purchase.activated_at,
        purchase.activation_failure,
        purchase.deactivation_id,
        purchase.ends_at,
        purchase.plan_version,
        purchase.deactivated_at,
        purchase.deactivation_delayed_at,
        purchase.paid_ahead_at,
        purchase.settled_minor,
        purchase.withdrawal_id,
    )


def _purchase(row: Record) -> Purchase:
    return Purchase(
        purchase_id=row["purchase_id"],
        customer_id=row["customer_id"],
        vehicle_id=row["vehicle_id"],
        service_code=row["service_code"],
        kind=PurchaseKind(row["kind"]),
        duration_days=row["duration_days"],
        price=Money(amount_minor=row["price_minor"], currency=row["currency"]),
        vat_rate_bp=row["vat_rate_bp"],
        catalogue_version=row["catalogue_version"],
        payment_method=row["payment_method"],
        consent_at=row["consent_at"],
        awaited=row["awaited"],
        payment_id=row["payment_id"],
        activation_id=row["activation_id"],
        status=PurchaseStatus(row["status"]),
        requested_at=row["requested_at"],
        updated_at=row["updated_at"],
        reason=row["reason"],
        money=None if row["money"] is None else MoneyOutcome(row["money"]),
        activation_not_after=row["activation_not_after"],
        payment_cancelled_at=row["payment_cancelled_at"],
        cancelled_at=row["cancelled_at"],
        activated_at=row["activated_at"],
        activation_failure=row["activation_failure"],
        deactivation_id=row["deactivation_id"],
        ends_at=row["ends_at"],
        plan_code=row["plan_code"],
        plan_version=row["plan_version"],
        starts_at=row["starts_at"],
        time_zone=row["time_zone"],
        period_months=row["period_months"],
        deactivated_at=row["deactivated_at"],
        deactivation_delayed_at=row["deactivation_delayed_at"],
        paid_ahead_at=row["paid_ahead_at"],
        settled_minor=row["settled_minor"],
        withdrawal_id=row["withdrawal_id"],
        version=row["version"],
    )
