"""Joins purchases and captures, whichever arrives first: each completes a sale exactly once.

Both facts write the same row, so the later of two concurrent transactions sees what the earlier one wrote.
Rows are locked in the order of their payment ids.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from caas_billing.domain.sale import Sale, SoldService
from caas_billing.store.customers import customer_of
from caas_chassis.transaction import Tx
from caas_contracts.money import Money
from caas_contracts.orders import PurchaseKind, PurchasePlaced
from caas_contracts.payments import PaymentCaptured

ADD_PURCHASES: Final = """
INSERT INTO billable_purchase AS known (payment_id, purchase_id, customer_id, customer_name, customer_email,
    customer_tax_id, customer_language, vehicle_id, service_code, service_name, purchase_kind, duration_days,
    vat_rate_bp)
SELECT payment_id, purchase_id, customer_id, customer_name, customer_email, customer_tax_id, customer_language,
    vehicle_id, service_code, service_name, purchase_kind, duration_days, vat_rate_bp
FROM unnest($1::billable_purchase[])
ORDER BY payment_id
ON CONFLICT (payment_id) DO UPDATE SET purchase_id = excluded.purchase_id, customer_id = excluded.customer_id,
    customer_name = excluded.customer_name, customer_email = excluded.customer_email,
    customer_tax_id = excluded.customer_tax_id, customer_language = excluded.customer_language,
    vehicle_id = excluded.vehicle_id, service_code = excluded.service_code,
    service_name = excluded.service_name, purchase_kind = excluded.purchase_kind,
    duration_days = excluded.duration_days, vat_rate_bp = excluded.vat_rate_bp
    WHERE known.purchase_id IS NULL
RETURNING known.*
"""

ADD_CAPTURES: Final = """
INSERT INTO billable_purchase AS known (payment_id, captured_minor, currency, supplied_at)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[]) AS captured(payment_id)
ORDER BY payment_id
ON CONFLICT (payment_id) DO UPDATE SET captured_minor = excluded.captured_minor, currency = excluded.currency,
    supplied_at = excluded.supplied_at
    WHERE known.captured_minor IS NULL
RETURNING known.*
"""

LOCK_CAPTURES: Final = """
SELECT payment_id, captured_minor, currency, refunded_minor FROM billable_purchase
WHERE payment_id = ANY($1::uuid[]) AND captured_minor IS NOT NULL
ORDER BY payment_id FOR UPDATE
"""

ADD_REFUNDED: Final = """
UPDATE billable_purchase SET refunded_minor = refunded_minor + refund.minor
FROM unnest($1::uuid[], $2::bigint[]) AS refund(payment_id, minor)
WHERE billable_purchase.payment_id = refund.payment_id
"""


async def add_purchases(tx: Tx, placed: Sequence[PurchasePlaced]) -> list[Sale]:
    """Store what was bought; returns the sales that this completes. Known purchases change nothing.

    A subscription is no sale: it has no payment, and its use is invoiced monthly (SUB-4).
    """
    new_by_payment = {message.payment_id: message for message in placed if message.payment_id is not None}
    if not new_by_payment:
        return []
    new = new_by_payment.values()
    rows = await tx.fetch(ADD_PURCHASES, [_purchase_row(message) for message in new])
    return [sale_of(row) for row in rows if row["captured_minor"] is not None]


async def add_captures(tx: Tx, captured: Sequence[PaymentCaptured]) -> list[Sale]:
    """Store what was paid; returns the sales that this completes. Known captures change nothing."""
    new = {message.payment_id: message for message in captured}.values()
    rows = await tx.fetch(
        ADD_CAPTURES,
        [message.payment_id for message in new],
        [message.captured.amount_minor for message in new],
        [message.captured.currency for message in new],
        [message.activated_at or message.occurred_at for message in new],
    )
    return [sale_of(row) for row in rows if row["purchase_id"] is not None]


async def lock_captured(tx: Tx, payment_ids: Sequence[UUID]) -> dict[UUID, tuple[Money, int]]:
    """Lock captured payments; returns what was captured and, in minor units, what was refunded so far."""
    rows = await tx.fetch(LOCK_CAPTURES, sorted(payment_ids))
    return {
        row["payment_id"]: (
            Money(amount_minor=row["captured_minor"], currency=row["currency"]),
            row["refunded_minor"],
        )
        for row in rows
    }


async def add_refunded(tx: Tx, refunded_minor: Mapping[UUID, int]) -> None:
    """Count refunds of locked payments; the schema refuses more than was captured (PAY-8)."""
    await tx.execute(ADD_REFUNDED, list(refunded_minor), list(refunded_minor.values()))


def sale_of(row: Record) -> Sale:
    """The sale in a row that names its columns as `billable_purchase` does."""
    return Sale(
        payment_id=row["payment_id"],
        purchase_id=row["purchase_id"],
        customer=customer_of(row),
        service=SoldService(
            row["service_code"],
            row["service_name"],
            row["vehicle_id"],
            PurchaseKind(row["purchase_kind"]),
            row["duration_days"],
        ),
        vat_rate_bp=row["vat_rate_bp"],
        captured=Money(amount_minor=row["captured_minor"], currency=row["currency"]),
        supplied_at=row["supplied_at"],
    )


def _purchase_row(placed: PurchasePlaced) -> dict[str, Any]:
    return {
        "payment_id": placed.payment_id,
        "purchase_id": placed.purchase_id,
        "customer_id": placed.customer_id,
        "customer_name": placed.customer_name,
        "customer_email": placed.customer_email,
        "customer_tax_id": placed.customer_tax_id,
        "customer_language": placed.customer_language,
        "vehicle_id": placed.vehicle_id,
        "service_code": placed.service_code,
        "service_name": placed.service_name,
        "purchase_kind": placed.kind.value,
        "duration_days": placed.duration_days,
        "vat_rate_bp": placed.vat_rate_bp,
    }
