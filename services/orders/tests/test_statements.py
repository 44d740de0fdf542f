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
    purchases,
    registrations,
    stock,
    vehicle_orders,
)

MODULES = (
    alerts,
    documents,
    invitations,
    notifications,
    partner_webhooks,
    purchases,
    registrations,
    stock,
    vehicle_orders,
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
    assert len(prepared) >= 27
    await connection.close()


async def test_every_table_is_explained(connection: asyncpg.Connection) -> None:
    silent = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND obj_description(oid) IS NULL"
    )
    assert silent == []
    await connection.close()


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
    ("activation_or_cancelled_payment", ("cancelling", True, None, False, True, True)),
    ("purchases_check", ("active", False, "captured", True, True, False)),
]


async def test_the_schema_refuses_what_must_never_be(connection: asyncpg.Connection) -> None:
    # SVC-4 to SVC-8: whatever the code does.
    now = await connection.fetchval("SELECT now()")
    await connection.execute(
        "INSERT INTO customers VALUES ('cus-1', 'Ana', 'a@example.com', 'es', NULL, now(), now());"
        "INSERT INTO vehicles VALUES ('veh-1', 'cus-1', 'caas-one', '{}', 'key', now(), now())"
    )
    for constraint, (status, occupies, money, *flags) in CASES:
        instants = (now if flag else None for flag in flags)
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await connection.execute(INSERT_PURCHASE, status, occupies, money, *instants)
        assert refused.value.constraint_name == constraint, (status, money)
    await connection.close()
