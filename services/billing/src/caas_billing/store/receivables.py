"""Keeps what monthly invoices still have to bring, their attempts and outcomes, and what went to collections.

Everything here is written under the lock of the subscription's standing, so the facts about one invoice, the schedule
and its customer take turns.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from caas_billing.domain.dunning import CustomerAction, Outcome
from caas_billing.domain.receivable import AskedBy, Attempt, ChargeOutcome, Receivable, ReceivableStatus
from caas_chassis.transaction import Tx
from caas_contracts.money import Money

FIND_OWNERS: Final = "SELECT invoice_id, subscription_id FROM receivable WHERE invoice_id = ANY($1::uuid[])"

FIND_PAYMENTS: Final = "SELECT payment_id, invoice_id FROM charge_attempt WHERE payment_id = ANY($1::uuid[])"

LOCK_RECEIVABLES: Final = """
SELECT r.*, i.number, c.collection_id
FROM receivable r JOIN invoice i USING (invoice_id) LEFT JOIN collection c USING (invoice_id)
WHERE r.subscription_id = ANY($1::uuid[]) AND (r.status <> 'paid' OR r.invoice_id = ANY($2::uuid[]))
ORDER BY r.invoice_id FOR UPDATE OF r
"""

FIND_ATTEMPTS: Final = """
SELECT a.*, array(SELECT outcome FROM charge_outcome o WHERE o.invoice_id = a.invoice_id AND o.attempt = a.attempt)
    AS outcomes
FROM charge_attempt a WHERE a.payment_id = ANY($1::uuid[])
"""

SAVE_RECEIVABLES: Final = """
UPDATE receivable known SET status = new.status, attempts = new.attempts, failures = new.failures,
    first_failed_at = new.first_failed_at, next_attempt_at = new.next_attempt_at, changed_at = new.changed_at
FROM unnest($1::receivable[]) AS new
WHERE known.invoice_id = new.invoice_id
"""

ADD_ATTEMPTS: Final = "INSERT INTO charge_attempt SELECT * FROM unnest($1::charge_attempt[])"
ADD_OUTCOMES: Final = "INSERT INTO charge_outcome SELECT * FROM unnest($1::charge_outcome[])"
ADD_ACTIONS: Final = "INSERT INTO charge_action SELECT * FROM unnest($1::charge_action[])"
ADD_COLLECTIONS: Final = """
INSERT INTO collection (collection_id, invoice_id, opened_at)
SELECT *, $3::timestamptz FROM unnest($1::uuid[], $2::uuid[])
"""
SETTLE_COLLECTIONS: Final = """
UPDATE collection SET settled_at = $3, settled_payment_id = paid.payment_id
FROM unnest($1::uuid[], $2::uuid[]) AS paid(invoice_id, payment_id)
WHERE collection.invoice_id = paid.invoice_id AND settled_at IS NULL
"""
ADD_SERVICE_ENDS: Final = """
INSERT INTO service_end (deactivation_id, subscription_id, asked_at)
SELECT *, $3::timestamptz FROM unnest($1::uuid[], $2::uuid[])
"""
END_SERVICES: Final = """
UPDATE service_end SET done_at = $2 WHERE deactivation_id = ANY($1::uuid[]) AND done_at IS NULL
"""
DELAY_SERVICE_ENDS: Final = """
UPDATE service_end SET delayed_at = $2 WHERE deactivation_id = ANY($1::uuid[]) AND done_at IS NULL
RETURNING deactivation_id, subscription_id
"""


async def find_owners(tx: Tx, invoice_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """The subscriptions of these monthly invoices; what is no monthly invoice is left out."""
    return {row["invoice_id"]: row["subscription_id"] for row in await tx.fetch(FIND_OWNERS, list(invoice_ids))}


async def find_payments(tx: Tx, payment_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """The invoices that these payments are attempts at."""
    return {row["payment_id"]: row["invoice_id"] for row in await tx.fetch(FIND_PAYMENTS, list(payment_ids))}


async def lock_receivables(
    tx: Tx, subscription_ids: Collection[UUID], invoice_ids: Collection[UUID]
) -> dict[UUID, Receivable]:
    """What is unpaid of subscriptions whose standings are locked, and these invoices, locked too."""
    rows = await tx.fetch(LOCK_RECEIVABLES, list(subscription_ids), list(invoice_ids))
    return {row["invoice_id"]: _receivable(row) for row in rows}


async def find_attempts(tx: Tx, payment_ids: Collection[UUID]) -> dict[UUID, Attempt]:
    """Attempts with what is known of them, by payment; read them after locking their receivables."""
    return {row["payment_id"]: _attempt(row) for row in await tx.fetch(FIND_ATTEMPTS, list(payment_ids))}


async def save_receivables(tx: Tx, receivables: Sequence[Receivable]) -> None:
    """Write locked receivables as they are now."""
    if receivables:
        await tx.execute(SAVE_RECEIVABLES, [_receivable_row(one) for one in receivables])


async def add_attempts(tx: Tx, attempts: Sequence[Attempt]) -> None:
    """Write attempts, in the transaction that asks for their payments (PAY-3)."""
    if attempts:
        await tx.execute(ADD_ATTEMPTS, [_attempt_row(one) for one in attempts])


async def add_outcomes(tx: Tx, outcomes: Sequence[Outcome], known_at: datetime) -> None:
    """Write what became of attempts. The schema refuses a second payment of one invoice."""
    rows = [
        {
            "invoice_id": one.invoice_id,
            "attempt": one.attempt,
            "outcome": one.outcome.value,
            "reason": one.reason,
            "known_at": known_at,
        }
        for one in outcomes
    ]
    if rows:
        await tx.execute(ADD_OUTCOMES, rows)


async def add_actions(tx: Tx, actions: Sequence[CustomerAction], asked_at: datetime) -> None:
    """Keep the links with which customers answer their banks (PAY-9)."""
    rows = [
        {
            "invoice_id": one.invoice_id,
            "attempt": one.attempt,
            "action_url": one.action_url,
            "expires_at": one.expires_at,
            "asked_at": asked_at,
        }
        for one in actions
    ]
    if rows:
        await tx.execute(ADD_ACTIONS, rows)


async def open_collections(tx: Tx, collections: Sequence[tuple[UUID, UUID]], opened_at: datetime) -> None:
    """Give unpaid invoices to collections: (collection, invoice)."""
    if collections:
        await tx.execute(ADD_COLLECTIONS, *_columns(collections), opened_at)


async def settle_collections(tx: Tx, paid: Sequence[tuple[UUID, UUID]], settled_at: datetime) -> None:
    """Take invoices out of collections that were paid after all: (invoice, payment)."""
    if paid:
        await tx.execute(SETTLE_COLLECTIONS, *_columns(paid), settled_at)


async def add_service_ends(tx: Tx, ends: Sequence[tuple[UUID, UUID]], asked_at: datetime) -> None:
    """Follow deactivations until the cars have done them (OTA-4): (deactivation, subscription)."""
    if ends:
        await tx.execute(ADD_SERVICE_ENDS, *_columns(ends), asked_at)


async def end_services(tx: Tx, deactivation_ids: Sequence[UUID], done_at: datetime) -> None:
    """The cars have done these deactivations; those of others are not ours to follow."""
    await tx.execute(END_SERVICES, deactivation_ids, done_at)


async def delay_service_ends(tx: Tx, deactivation_ids: Sequence[UUID], delayed_at: datetime) -> dict[UUID, UUID]:
    """These deactivations take longer; returns the subscriptions of those that are ours and not done."""
    rows = await tx.fetch(DELAY_SERVICE_ENDS, deactivation_ids, delayed_at)
    return {row["deactivation_id"]: row["subscription_id"] for row in rows}


def _columns(pairs: Sequence[tuple[UUID, UUID]]) -> tuple[list[UUID], list[UUID]]:
    return [first for first, _ in pairs], [second for _, second in pairs]


def _receivable(row: Record) -> Receivable:
    return Receivable(
        invoice_id=row["invoice_id"],
        invoice_number=row["number"],
        subscription_id=row["subscription_id"],
        period=row["period"],
        amount=Money(amount_minor=row["amount_minor"], currency=row["currency"]),
        due_on=row["due_on"],
        status=ReceivableStatus(row["status"]),
        attempts=row["attempts"],
        failures=row["failures"],
        first_failed_at=row["first_failed_at"],
        next_attempt_at=row["next_attempt_at"],
        changed_at=row["changed_at"],
        collection_id=row["collection_id"],
    )


def _receivable_row(one: Receivable) -> dict[str, Any]:
    return {
        "invoice_id": one.invoice_id,
        "status": one.status.value,
        "attempts": one.attempts,
        "failures": one.failures,
        "first_failed_at": one.first_failed_at,
        "next_attempt_at": one.next_attempt_at,
        "changed_at": one.changed_at,
    }


def _attempt(row: Record) -> Attempt:
    return Attempt(
        invoice_id=row["invoice_id"],
        attempt=row["attempt"],
        payment_id=row["payment_id"],
        payment_method=row["payment_method"],
        asked_by=AskedBy(row["asked_by"]),
        asked_at=row["asked_at"],
        outcomes=frozenset(ChargeOutcome(outcome) for outcome in row["outcomes"]),
    )


def _attempt_row(one: Attempt) -> dict[str, Any]:
    return {
        "invoice_id": one.invoice_id,
        "attempt": one.attempt,
        "payment_id": one.payment_id,
        "payment_method": one.payment_method,
        "asked_by": one.asked_by.value,
        "asked_at": one.asked_at,
    }
