"""Every SQL statement fits the migrated schema, and the schema keeps the invariants by itself."""

from collections.abc import Iterator

import asyncpg
import pytest

from caas_orders.store import (
    alerts,
    documents,
    invitations,
    notifications,
    partner_webhooks,
    published_plans,
    purchases,
    recurrences,
    registrations,
    stock,
    thefts,
    vehicle_orders,
    withdrawals,
)

MODULES = (
    alerts,
    documents,
    invitations,
    notifications,
    partner_webhooks,
    published_plans,
    purchases,
    recurrences,
    registrations,
    stock,
    thefts,
    vehicle_orders,
    withdrawals,
)


def statements() -> Iterator[tuple[str, str]]:
    for module in MODULES:
        for name, value in vars(module).items():
            if name.isupper() and isinstance(value, str):
                yield f"{module.__name__}.{name}", value


@pytest.fixture
async def connection(database_url: str) -> asyncpg.Connection:
    return await asyncpg.connect(database_url, timeout=10)


async def test_every_statement_is_valid_on_the_migrated_schema(connection: asyncpg.Connection) -> None:
    prepared = [await connection.prepare(sql, timeout=10) for _, sql in statements()]
    assert len(prepared) >= 31
    await connection.close()


async def test_every_table_is_explained(connection: asyncpg.Connection) -> None:
    silent = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND obj_description(oid) IS NULL"
    )
    assert silent == []
    await connection.close()


INSERT_VEHICLE = """
INSERT INTO customers VALUES ('cus-1', 'Ana', 'a@example.com', 'es', NULL, now(), now());
INSERT INTO vehicles VALUES ('veh-1', 'cus-1', 'caas-one', '{}', 'key', now(), now())
"""
INSERT_PURCHASE = """
INSERT INTO purchases (purchase_id, customer_id, vehicle_id, service_code, kind, price_minor, currency, vat_rate_bp,
    catalogue_version, payment_method, consent_at, awaited, payment_id, activation_id, status, occupies, requested_at,
    updated_at, reason, activation_failure, version, money, activated_at, activation_not_after, payment_cancelled_at)
VALUES (gen_random_uuid(), 'cus-1', 'veh-1', 'premium-audio', 'permanent', 100, 'EUR', 2100, 1, 'tok', now(), false,
    gen_random_uuid(), gen_random_uuid(), $1, $2, now(), now(), '', '', 1, $3, $4::timestamptz, $5::timestamptz,
    $6::timestamptz)
"""


CASES = [
    ("active_is_delivered_and_settled", ("active", True, "captured", False, True, False)),
    ("active_is_delivered_and_settled", ("active", True, None, True, True, False)),
    ("active_is_delivered_and_settled", ("active", True, "voided", True, True, False)),
    ("ended_without_service_is_free", ("failed", False, "captured", False, True, False)),
    ("ended_without_service_is_free", ("cancelled", False, None, False, True, False)),
    ("waiting_is_paid_ahead", ("scheduled", True, "captured", False, False, False)),
    ("waiting_is_paid_ahead", ("settling", True, "captured", False, False, False)),
    ("active_is_delivered_and_settled", ("expired", False, "refunded", True, True, False)),
    ("activation_or_cancelled_payment", ("cancelling", True, None, False, True, True)),
    ("occupies_while_it_runs", ("active", False, "captured", True, True, False)),
]


async def test_the_schema_refuses_what_must_never_be(connection: asyncpg.Connection) -> None:
    # SVC-4 to SVC-8: whatever the code does.
    now = await connection.fetchval("SELECT now()")
    await connection.execute(INSERT_VEHICLE)
    for constraint, (status, occupies, money, *flags) in CASES:
        instants = (now if flag else None for flag in flags)
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await connection.execute(INSERT_PURCHASE, status, occupies, money, *instants)
        assert refused.value.constraint_name == constraint, (status, money)
    await connection.close()


INSERT_SUBSCRIPTION = """
INSERT INTO purchases (purchase_id, customer_id, vehicle_id, service_code, price_minor, currency, vat_rate_bp,
    catalogue_version, payment_method, consent_at, awaited, activation_id, occupies, requested_at, updated_at, reason,
    activation_failure, version, activated_at, kind, payment_id, plan_code, plan_version, status, money, ends_at)
SELECT gen_random_uuid(), 'cus-1', 'veh-1', 'premium-audio', 0, 'EUR', 2100, 1, 'tok', now(), false, gen_random_uuid(),
    $5 = 'active', now(), now(), '', '', 1, now(), $1, CASE WHEN $2 THEN gen_random_uuid() END, $3, $4, $5, $6,
    CASE WHEN $7 THEN now() END
FROM (SELECT $1::text, $2::boolean, $3::text, $4::integer, $5::text, $6::text, $7::boolean) AS given
"""

APART = "only_subscriptions_have_a_plan_and_no_payment"
PLAN, NO_PLAN = ("premium-audio-month", 1), (None, None)
SUBSCRIPTION_CASES = [
    (APART, ("subscription", True, *PLAN, "active", "billed_monthly", False)),
    (APART, ("subscription", False, *NO_PLAN, "active", "billed_monthly", False)),
    (APART, ("permanent", True, *PLAN, "active", "captured", False)),
    (APART, ("permanent", False, *NO_PLAN, "active", "captured", False)),
    ("only_subscriptions_are_billed_monthly", ("subscription", False, *PLAN, "active", "captured", False)),
    ("only_subscriptions_are_billed_monthly", ("permanent", True, *NO_PLAN, "active", "billed_monthly", False)),
    ("only_subscriptions_end", ("permanent", True, *NO_PLAN, "ended", "captured", True)),
    ("only_subscriptions_end", ("subscription", False, *PLAN, "ended", "billed_monthly", False)),
]  # fmt: skip


async def test_the_schema_keeps_subscriptions_and_bought_services_apart(connection: asyncpg.Connection) -> None:
    await connection.execute(INSERT_VEHICLE)  # SUB-1
    for constraint, values in SUBSCRIPTION_CASES:
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await connection.execute(INSERT_SUBSCRIPTION, *values)
        assert refused.value.constraint_name == constraint, values
    await connection.execute(INSERT_SUBSCRIPTION, "subscription", False, *PLAN, "ended", "billed_monthly", True)
    await connection.close()


async def test_a_published_rate_plan_never_changes(connection: asyncpg.Connection) -> None:
    await connection.execute("INSERT INTO published_rate_plan VALUES ('plan', 1, '{}', now())")  # SUB-3
    for change in ("UPDATE published_rate_plan SET plan = '[]'", "DELETE FROM published_rate_plan"):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await connection.execute(change)
    await connection.close()
