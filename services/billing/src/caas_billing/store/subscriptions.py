"""Keeps subscriptions: their terms, written once, and where they stand.

Whoever changes a standing shares its shard's lock with those who store usage, so no period is closed meanwhile, and
then locks its row, in the order of ids.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from caas_billing.domain.subscription import Standing, SubscriptionStatus, Terms
from caas_billing.store.customers import customer_of
from caas_billing.store.shards import lock_shared, shard_of
from caas_chassis.transaction import Tx

LOCK_NAMES: Final = """
SELECT count(pg_advisory_xact_lock(hashtextextended(id::text, 0))::text) FROM unnest($1::uuid[]) AS id
"""

ADD_TERMS: Final = "INSERT INTO subscription SELECT * FROM unnest($1::subscription[]) ON CONFLICT DO NOTHING"

ADD_STANDINGS: Final = """
INSERT INTO subscription_standing SELECT * FROM unnest($1::subscription_standing[]) ON CONFLICT DO NOTHING
"""

ADD_CANCELLATIONS: Final = """
INSERT INTO subscription_cancellation SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) ON CONFLICT DO NOTHING
"""

FIND_CANCELLATIONS: Final = """
SELECT subscription_id, cancelled_at FROM subscription_cancellation WHERE subscription_id = ANY($1::uuid[])
"""

LOCK_STANDINGS: Final = """
SELECT * FROM subscription_standing WHERE subscription_id = ANY($1::uuid[]) ORDER BY subscription_id FOR UPDATE
"""

LOCK_FREE_STANDINGS: Final = """
SELECT * FROM subscription_standing WHERE subscription_id = ANY($1::uuid[]) ORDER BY subscription_id
FOR UPDATE SKIP LOCKED
"""

SAVE_STANDINGS: Final = """
UPDATE subscription_standing known SET status = new.status, next_period = new.next_period, ended_at = new.ended_at,
    payment_method = new.payment_method, method_refused = new.method_refused, changed_at = new.changed_at
FROM unnest($1::subscription_standing[]) AS new
WHERE known.subscription_id = new.subscription_id
"""

FIND_TERMS: Final = "SELECT * FROM subscription WHERE subscription_id = ANY($1::uuid[])"


async def lock_names(tx: Tx, subscription_ids: Iterable[UUID]) -> None:
    """Keep others from starting or cancelling these subscriptions until commit, known or not."""
    await tx.execute(LOCK_NAMES, sorted(set(subscription_ids)))


async def add_subscriptions(tx: Tx, new: Sequence[tuple[Terms, Standing]]) -> None:
    """Store new subscriptions. Known ones change nothing."""
    await tx.execute(ADD_TERMS, [_terms_row(terms) for terms, _ in new])
    await tx.execute(ADD_STANDINGS, [_standing_row(standing) for _, standing in new])


async def add_cancellations(tx: Tx, cancelled: Mapping[UUID, datetime]) -> None:
    """Store when subscriptions were given up; the first that is heard of one stays."""
    await tx.execute(ADD_CANCELLATIONS, list(cancelled), list(cancelled.values()))


async def find_cancellations(tx: Tx, subscription_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """When those of these subscriptions were given up that were."""
    rows = await tx.fetch(FIND_CANCELLATIONS, list(subscription_ids))
    return {row["subscription_id"]: row["cancelled_at"] for row in rows}


async def lock_standings(
    tx: Tx, subscription_ids: Collection[UUID], *, free_only: bool = False
) -> dict[UUID, Standing]:
    """Lock where these subscriptions stand, and keep their periods from being closed, until commit.

    With `free_only` those that somebody else has locked are left out instead of waited for.
    """
    await lock_shared(tx, {shard_of(each) for each in subscription_ids})
    statement = LOCK_FREE_STANDINGS if free_only else LOCK_STANDINGS
    rows = await tx.fetch(statement, sorted(set(subscription_ids)))
    return {row["subscription_id"]: standing_of(row) for row in rows}


async def save_standings(tx: Tx, standings: Sequence[Standing]) -> None:
    """Write where locked subscriptions stand now."""
    if standings:
        await tx.execute(SAVE_STANDINGS, [_standing_row(standing) for standing in standings])


async def find_terms(tx: Tx, subscription_ids: Collection[UUID]) -> dict[UUID, Terms]:
    """What was agreed of these subscriptions."""
    rows = await tx.fetch(FIND_TERMS, list(subscription_ids))
    return {row["subscription_id"]: terms_of(row) for row in rows}


def standing_of(row: Record) -> Standing:
    """The standing in a row of `subscription_standing`."""
    return Standing(
        subscription_id=row["subscription_id"],
        status=SubscriptionStatus(row["status"]),
        next_period=row["next_period"],
        ended_at=row["ended_at"],
        payment_method=row["payment_method"],
        method_refused=row["method_refused"],
        changed_at=row["changed_at"],
    )


def terms_of(row: Record) -> Terms:
    """The terms in a row of `subscription`."""
    return Terms(
        subscription_id=row["subscription_id"],
        customer=customer_of(row),
        vehicle_id=row["vehicle_id"],
        service_code=row["service_code"],
        service_name=row["service_name"],
        plan_code=row["plan_code"],
        plan_version=row["plan_version"],
        currency=row["currency"],
        vat_rate_bp=row["vat_rate_bp"],
        activation_id=row["activation_id"],
        started_at=row["started_at"],
    )


def _terms_row(terms: Terms) -> dict[str, Any]:
    customer = terms.customer
    return {
        "subscription_id": terms.subscription_id,
        "customer_id": customer.customer_id,
        "customer_name": customer.name,
        "customer_email": customer.email,
        "customer_tax_id": customer.tax_id,
        "customer_language": customer.language,
        "vehicle_id": terms.vehicle_id,
        "service_code": terms.service_code,
        "service_name": terms.service_name,
        "plan_code": terms.plan_code,
        "plan_version": terms.plan_version,
        "currency": terms.currency,
        "vat_rate_bp": terms.vat_rate_bp,
        "activation_id": terms.activation_id,
        "started_at": terms.started_at,
    }


def _standing_row(standing: Standing) -> dict[str, Any]:
    return {
        "subscription_id": standing.subscription_id,
        "shard": shard_of(standing.subscription_id),
        "status": standing.status.value,
        "next_period": standing.next_period,
        "ended_at": standing.ended_at,
        "payment_method": standing.payment_method,
        "method_refused": standing.method_refused,
        "changed_at": standing.changed_at,
    }
