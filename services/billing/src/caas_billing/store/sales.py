"""Joins services and the periods they renew with their payments, whichever is known first: each sale is completed once.

All facts write the row of their payment, so the later of two concurrent transactions sees what the earlier one wrote.
Rows are locked in the order of their payment ids.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from caas_billing.domain.sale import Sale, SoldService
from caas_billing.store.customers import customer_of
from caas_billing.store.invoices import period_of
from caas_chassis.transaction import Tx
from caas_contracts.money import Money
from caas_contracts.orders import PurchaseActivated, PurchaseKind, PurchasePlaced
from caas_contracts.payments import OrphanSaleFound, PaymentCaptured, PaymentConfirmed
from caas_contracts.purchase_life import PurchaseRenewed

ADD_PURCHASES: Final = """
INSERT INTO billable_purchase AS known (payment_id, purchase_id, customer_id, customer_name, customer_email,
    customer_tax_id, customer_language, vehicle_id, service_code, service_name, purchase_kind, duration_days,
    period_months, vat_rate_bp)
SELECT payment_id, purchase_id, customer_id, customer_name, customer_email, customer_tax_id, customer_language,
    vehicle_id, service_code, service_name, purchase_kind, duration_days, period_months, vat_rate_bp
FROM unnest($1::billable_purchase[])
ORDER BY payment_id
ON CONFLICT (payment_id) DO UPDATE SET purchase_id = excluded.purchase_id, customer_id = excluded.customer_id,
    customer_name = excluded.customer_name, customer_email = excluded.customer_email,
    customer_tax_id = excluded.customer_tax_id, customer_language = excluded.customer_language,
    vehicle_id = excluded.vehicle_id, service_code = excluded.service_code,
    service_name = excluded.service_name, purchase_kind = excluded.purchase_kind,
    duration_days = excluded.duration_days, period_months = excluded.period_months,
    vat_rate_bp = excluded.vat_rate_bp
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

# Money that was taken without a hold does not say that anything was delivered for it (PLN-1, REC-1).
ADD_TAKEN: Final = """
INSERT INTO billable_purchase AS known (payment_id, captured_minor, currency)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS taken(payment_id)
ORDER BY payment_id
ON CONFLICT (payment_id) DO UPDATE SET captured_minor = excluded.captured_minor, currency = excluded.currency
    WHERE known.captured_minor IS NULL
RETURNING known.*
"""

# What a capture has told of already is left alone: most purchases are only looked at here.
ADD_ACTIVATED: Final = """
WITH waiting AS MATERIALIZED (
    SELECT p.payment_id, told.activated_at, told.ends_at
    FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS told(purchase_id, activated_at, ends_at)
    JOIN billable_purchase p ON p.purchase_id = told.purchase_id AND p.period_number = 1
    WHERE p.supplied_at IS NULL OR (p.period_months IS NOT NULL AND p.period_ends_at IS NULL)
    ORDER BY p.payment_id FOR UPDATE OF p
)
UPDATE billable_purchase AS known SET
    supplied_at = coalesce(known.supplied_at, waiting.ends_at - known.duration_days * interval '24 hours',
        waiting.activated_at),
    period_ends_at = CASE WHEN known.period_months IS NOT NULL THEN waiting.ends_at END
FROM waiting WHERE known.payment_id = waiting.payment_id
RETURNING known.*
"""

FIND_PURCHASES: Final = "SELECT purchase_id FROM billable_purchase WHERE purchase_id = ANY($1::uuid[])"

ADD_RENEWALS: Final = """
INSERT INTO billable_purchase AS known (payment_id, purchase_id, customer_id, customer_name, customer_email,
    customer_tax_id, customer_language, vehicle_id, service_code, service_name, purchase_kind, period_months,
    vat_rate_bp, period_number, supplied_at, period_ends_at)
SELECT renewed.payment_id, p.purchase_id, p.customer_id, p.customer_name, p.customer_email, p.customer_tax_id,
    p.customer_language, p.vehicle_id, p.service_code, p.service_name, p.purchase_kind, p.period_months,
    p.vat_rate_bp, renewed.period_number, renewed.period_from, renewed.period_to
FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::timestamptz[], $5::timestamptz[])
    AS renewed(payment_id, purchase_id, period_number, period_from, period_to)
JOIN billable_purchase p ON p.purchase_id = renewed.purchase_id AND p.period_number = 1
ORDER BY renewed.payment_id
ON CONFLICT (payment_id) DO UPDATE SET purchase_id = excluded.purchase_id, customer_id = excluded.customer_id,
    customer_name = excluded.customer_name, customer_email = excluded.customer_email,
    customer_tax_id = excluded.customer_tax_id, customer_language = excluded.customer_language,
    vehicle_id = excluded.vehicle_id, service_code = excluded.service_code,
    service_name = excluded.service_name, purchase_kind = excluded.purchase_kind,
    period_months = excluded.period_months, vat_rate_bp = excluded.vat_rate_bp,
    period_number = excluded.period_number, supplied_at = excluded.supplied_at,
    period_ends_at = excluded.period_ends_at
    WHERE known.purchase_id IS NULL
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
    return _completed(rows)


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
    return _completed(rows)


async def add_taken(tx: Tx, taken: Sequence[PaymentConfirmed | OrphanSaleFound]) -> list[Sale]:
    """Store what was taken without a hold; returns the sales that this completes. Known money changes nothing."""
    new = {message.payment_id: message for message in taken}
    amounts = [one.taken if isinstance(one, OrphanSaleFound) else one.amount for one in new.values()]
    rows = await tx.fetch(
        ADD_TAKEN,
        list(new),
        [amount.amount_minor for amount in amounts],
        [amount.currency for amount in amounts],
    )
    return _completed(rows)


async def add_activated(tx: Tx, activated: Sequence[PurchaseActivated]) -> list[Sale]:
    """Store since when services run that were paid ahead, and when first periods end; returns what this completes."""
    new = {message.purchase_id: message for message in activated}.values()
    rows = await tx.fetch(
        ADD_ACTIVATED,
        [message.purchase_id for message in new],
        [message.occurred_at for message in new],
        [message.ends_at for message in new],
    )
    return _completed(rows)


async def unknown_purchases(tx: Tx, purchase_ids: Sequence[UUID]) -> list[UUID]:
    """Those of the purchases that nobody has told of."""
    known = {row["purchase_id"] for row in await tx.fetch(FIND_PURCHASES, purchase_ids)}
    return [purchase_id for purchase_id in purchase_ids if purchase_id not in known]


async def add_renewals(tx: Tx, renewed: Sequence[PurchaseRenewed]) -> list[Sale]:
    """Store further periods of known purchases; returns the sales that this completes."""
    new = {message.payment_id: message for message in renewed}.values()
    rows = await tx.fetch(
        ADD_RENEWALS,
        [message.payment_id for message in new],
        [message.purchase_id for message in new],
        [message.period_number for message in new],
        [message.period_from for message in new],
        [message.period_to for message in new],
    )
    return _completed(rows)


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


def _completed(rows: Sequence[Record]) -> list[Sale]:
    return [sale_of(row) for row in rows if _is_complete(row)]


def _is_complete(row: Record) -> bool:
    """Bought, paid and delivered; of a recurring service the end of the period is known too."""
    facts = [row["purchase_id"], row["captured_minor"], row["supplied_at"]]
    if row["period_months"] is not None:
        facts.append(row["period_ends_at"])
    return all(fact is not None for fact in facts)


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
            period_of(row),
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
        "period_months": placed.period_months,
        "vat_rate_bp": placed.vat_rate_bp,
    }
