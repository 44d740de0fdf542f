"""Reads subscriptions, what they owe and what is in collections, for people; customers see only what is theirs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Final, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from asyncpg import Record

from caas_billing.domain.owed import Collection, OwedAttempt, OwedInvoice, SubscriptionView
from caas_billing.domain.receivable import AskedBy, ReceivableStatus
from caas_billing.domain.subscription import SubscriptionStatus
from caas_chassis.transaction import Tx
from caas_contracts.money import Money

LIST_SUBSCRIPTIONS: Final = """
SELECT s.*, t.status, t.next_period, t.ended_at, t.method_refused
FROM subscription s JOIN subscription_standing t USING (subscription_id)
WHERE ($1::text IS NULL OR s.customer_id = $1) AND ($2::uuid IS NULL OR s.subscription_id = $2)
    AND ($3::text IS NULL OR t.status = $3) AND ($4::uuid IS NULL OR s.subscription_id < $4)
ORDER BY s.subscription_id DESC LIMIT $5
"""

LIST_OWED: Final = """
SELECT r.*, i.number, c.collection_id IS NOT NULL AND c.settled_at IS NULL AS in_collections,
    a.action_url, a.expires_at
FROM receivable r JOIN invoice i USING (invoice_id) LEFT JOIN collection c USING (invoice_id)
LEFT JOIN charge_action a ON a.invoice_id = r.invoice_id AND a.attempt = r.attempts AND r.status = 'needs_customer'
WHERE r.subscription_id = ANY($1::uuid[]) AND ($2::boolean OR r.status <> 'paid')
ORDER BY r.period DESC, r.invoice_id
"""

LIST_ATTEMPTS: Final = """
SELECT a.*, o.outcome, o.reason, o.known_at
FROM charge_attempt a LEFT JOIN LATERAL (
    SELECT * FROM charge_outcome o WHERE o.invoice_id = a.invoice_id AND o.attempt = a.attempt
    ORDER BY o.known_at DESC LIMIT 1
) o ON true
WHERE a.invoice_id = ANY($1::uuid[]) ORDER BY a.invoice_id, a.attempt
"""

FIND_OUTCOME: Final = """
SELECT r.subscription_id, r.status, o.outcome, o.reason, c.action_url, c.expires_at
FROM charge_attempt a JOIN receivable r USING (invoice_id)
LEFT JOIN charge_outcome o ON o.invoice_id = a.invoice_id AND o.attempt = a.attempt
LEFT JOIN charge_action c ON c.invoice_id = a.invoice_id AND c.attempt = a.attempt
WHERE a.payment_id = $1 ORDER BY o.known_at DESC NULLS LAST LIMIT 1
"""

LIST_COLLECTIONS: Final = """
SELECT r.*, c.collection_id, c.opened_at, c.settled_at, c.settled_payment_id, i.number,
    s.customer_id, s.customer_name, s.customer_email, s.customer_tax_id, s.vehicle_id,
    s.service_code, (SELECT o.reason FROM charge_outcome o WHERE o.invoice_id = c.invoice_id
        AND o.outcome IN ('failed', 'not_asked', 'abandoned')
        ORDER BY o.known_at DESC, o.attempt DESC LIMIT 1) AS last_reason
FROM collection c JOIN receivable r USING (invoice_id) JOIN invoice i USING (invoice_id)
JOIN subscription s USING (subscription_id)
WHERE ($1::timestamptz IS NULL OR c.opened_at >= $1 OR c.settled_at >= $1) AND ($2::boolean OR c.settled_at IS NULL)
    AND ($3::uuid IS NULL OR (c.opened_at, c.collection_id) > (
        SELECT opened_at, collection_id FROM collection WHERE collection_id = $3))
ORDER BY c.opened_at, c.collection_id LIMIT $4
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionFilter:
    """Which subscriptions are read; None leaves a limit out, but `limit` always holds."""

    customer_id: str | None = None
    subscription_id: UUID | None = None
    status: SubscriptionStatus | None = None
    before: UUID | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionFilter:
    """Which collections are read: those opened or settled since, and after the last one of the page before."""

    since: datetime | None = None
    with_settled: bool = True
    after: UUID | None = None
    limit: int = 500

    def following(self, last: Collection) -> Self:
        """The page after the one that ended with this collection."""
        return replace(self, after=last.collection_id)


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """What is known of one attempt: its outcome, or where the customer is awaited."""

    subscription_id: UUID
    status: ReceivableStatus
    outcome: str | None
    reason: str | None
    action_url: str | None


async def list_subscriptions(
    tx: Tx, wanted: SubscriptionFilter, zone: ZoneInfo, *, with_history: bool = False
) -> list[SubscriptionView]:
    """Subscriptions, newest first, with what is unpaid of them or, `with_history`, all their invoices and attempts."""
    rows = await tx.fetch(
        LIST_SUBSCRIPTIONS, wanted.customer_id, wanted.subscription_id, wanted.status, wanted.before, wanted.limit
    )
    owed = await tx.fetch(LIST_OWED, [row["subscription_id"] for row in rows], with_history)
    attempts = await tx.fetch(LIST_ATTEMPTS, [row["invoice_id"] for row in owed])
    return [_subscription(row, owed, attempts, zone) for row in rows]


async def find_outcome(tx: Tx, payment_id: UUID) -> AttemptOutcome | None:
    """What is known of the attempt that this payment is."""
    row = await tx.fetchrow(FIND_OUTCOME, payment_id)
    if row is None:
        return None
    status = ReceivableStatus(row["status"])
    return AttemptOutcome(row["subscription_id"], status, row["outcome"], row["reason"], row["action_url"])


async def list_collections(tx: Tx, wanted: CollectionFilter) -> list[Collection]:
    """What went to collections, the oldest first."""
    rows = await tx.fetch(LIST_COLLECTIONS, wanted.since, wanted.with_settled, wanted.after, wanted.limit)
    return [_collection(row) for row in rows]


def _subscription(row: Record, owed: Sequence[Record], attempts: Sequence[Record], zone: ZoneInfo) -> SubscriptionView:
    period = row["next_period"]
    ends = None if period is None else (period + timedelta(days=32)).replace(day=1)
    return SubscriptionView(
        subscription_id=row["subscription_id"],
        customer_id=row["customer_id"],
        vehicle_id=row["vehicle_id"],
        service_code=row["service_code"],
        service_name=row["service_name"],
        plan_code=row["plan_code"],
        plan_version=row["plan_version"],
        status=SubscriptionStatus(row["status"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        next_period=None if period is None else period.strftime("%Y-%m"),
        next_billing_at=None if ends is None else datetime.combine(ends, time(), zone),
        new_method_needed=row["method_refused"],
        invoices=[_invoice(one, attempts) for one in owed if one["subscription_id"] == row["subscription_id"]],
    )


def _invoice(row: Record, attempts: Sequence[Record]) -> OwedInvoice:
    return OwedInvoice(
        invoice_id=row["invoice_id"],
        number=row["number"],
        period=row["period"].strftime("%Y-%m"),
        amount=_money(row),
        due_on=row["due_on"],
        status=ReceivableStatus(row["status"]),
        next_attempt_at=row["next_attempt_at"],
        in_collections=row["in_collections"],
        action_url=row["action_url"],
        action_expires_at=row["expires_at"],
        attempts=[
            OwedAttempt(
                attempt=one["attempt"],
                payment_id=one["payment_id"],
                asked_by=AskedBy(one["asked_by"]),
                asked_at=one["asked_at"],
                outcome=one["outcome"],
                reason=one["reason"],
                known_at=one["known_at"],
            )
            for one in attempts
            if one["invoice_id"] == row["invoice_id"]
        ],
    )


def _collection(row: Record) -> Collection:
    return Collection(
        collection_id=row["collection_id"],
        invoice_id=row["invoice_id"],
        invoice_number=row["number"],
        subscription_id=row["subscription_id"],
        customer_id=row["customer_id"],
        customer_name=row["customer_name"],
        customer_email=row["customer_email"],
        customer_tax_id=row["customer_tax_id"],
        vehicle_id=row["vehicle_id"],
        service_code=row["service_code"],
        period=row["period"].strftime("%Y-%m"),
        due_on=row["due_on"],
        amount=_money(row),
        attempts=row["attempts"],
        last_reason=row["last_reason"] or "",
        opened_at=row["opened_at"],
        settled_at=row["settled_at"],
        settled_payment_id=row["settled_payment_id"],
    )


def _money(row: Record) -> Money:
    return Money(amount_minor=row["amount_minor"], currency=row["currency"])
