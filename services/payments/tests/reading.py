"""Short questions about a payment's rows, for assertions."""

from uuid import UUID

from asyncpg import Record

from caas_chassis.testing.harness import Harness
from caas_payments.domain.payment import Payment
from caas_payments.store import audit
from caas_payments.store.payments import read_payment


async def payment_of(harness: Harness, payment_id: UUID) -> Payment:
    """The payment as it is stored."""
    async with harness.transaction() as tx:
        payment = await read_payment(tx, payment_id)
    assert payment is not None, f"payment {payment_id} does not exist"
    return payment


async def status_of(harness: Harness, payment_id: UUID) -> str:
    """The payment's status."""
    return (await payment_of(harness, payment_id)).status.value


async def journey_of(harness: Harness, payment_id: UUID) -> list[str]:
    """The audited transitions as `FROM>TO`, refusals as `FROM!wanted`."""
    async with harness.transaction() as tx:
        entries = await audit.read_audit_of(tx, payment_id)
    return [f"{e.source}{'>' if e.kind == 'transition' else '!'}{e.target}" for e in entries]


async def rows_of(harness: Harness, table: str, payment_id: UUID) -> list[Record]:
    """The rows of a table that belong to a payment."""
    async with harness.transaction() as tx:
        return await tx.fetch(f"SELECT * FROM {table} WHERE payment_id = $1", payment_id)
