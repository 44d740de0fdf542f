"""The schema is the last line of the fence, and every statement of the store fits it."""

import importlib
import pkgutil
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

import caas_payments.store
from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_chassis.transaction import Tx
from services.payments.tests.builders import (
    a_charge,
    a_failure,
    a_planned_charge,
    a_renewal,
    a_success,
    an_authorization,
)

OPEN_ATTEMPT = """
INSERT INTO attempts (payment_id, number, operation, amount_minor, state, proof_id, proof_kind, opened_at)
VALUES ($1, 99, $2, 1999, 'open', $3, $4, now())
"""
CAPTURE = """
INSERT INTO captures (payment_id, proof_id, amount_minor, captured_at) VALUES ($1, $2, 1999, now())
"""
PROOF_OF = "SELECT id FROM delivery_proofs WHERE payment_id = $1"


def statements() -> list[tuple[str, str]]:
    """Every SQL constant of the store by its name."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.iter_modules(caas_payments.store.__path__, "caas_payments.store.")
    ]
    return [
        (f"{module.__name__}.{name}", value)
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    ]


async def test_every_statement_can_be_prepared_on_the_migrated_schema(payments: Harness) -> None:
    found = statements()
    assert len(found) > 20
    async with payments.runtime.database.connection() as connection:
        for name, statement in found:
            try:
                await connection.prepare(statement)
            except asyncpg.PostgresError as error:
                pytest.fail(f"{name}: {error}")


async def test_every_table_says_what_it_is_for(payments: Harness) -> None:
    async with payments.transaction() as tx:
        silent = await tx.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            " AND obj_description(oid) IS NULL"
        )
    assert silent == []


async def refused(payments: Harness, statement: str, *arguments: object) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        async with payments.transaction() as tx:
            await tx.execute(statement, *arguments)


async def proof_id_of(tx: Tx, payment_id: UUID) -> object:
    return await tx.fetchval(PROOF_OF, payment_id)


async def test_the_database_refuses_a_capture_without_the_success_of_its_own_activation(
    payments: Harness,
) -> None:
    bare, rejected, delivered = an_authorization(), an_authorization(), an_authorization()
    await payments.receive(bare, rejected, delivered)
    await payments.receive(a_failure(rejected), a_success(delivered))
    async with payments.transaction() as tx:
        await tx.execute("UPDATE attempts SET state = 'succeeded', resolved_at = now()")
        rejection = await proof_id_of(tx, rejected.payment_id)
        success = await proof_id_of(tx, delivered.payment_id)
    for payment, proof in [
        (bare, None),
        (bare, new_id()),
        (bare, success),
        (rejected, rejection),
        (rejected, success),
    ]:
        await refused(payments, OPEN_ATTEMPT, payment.payment_id, "capture", proof, "success")
        await refused(payments, CAPTURE, payment.payment_id, proof)
    await refused(payments, OPEN_ATTEMPT, rejected.payment_id, "capture", rejection, "rejection")
    await refused(payments, OPEN_ATTEMPT, delivered.payment_id, "void", success, "success")
    await refused(payments, OPEN_ATTEMPT, bare.payment_id, "void", None, None)


async def test_the_database_refuses_a_second_verdict_and_a_second_open_attempt(payments: Harness) -> None:
    command = an_authorization()
    await payments.receive(command)
    await refused(payments, OPEN_ATTEMPT, command.payment_id, "authorize", None, None)
    await payments.receive(a_failure(command))
    await refused(
        payments,
        "INSERT INTO delivery_proofs (id, payment_id, activation_id, kind, reason, applied_at, evidence, recorded_at)"
        " VALUES ($1, $2, $3, 'success', 'applied', $4, 'signature', $4)",
        new_id(),
        command.payment_id,
        command.activation_id,
        datetime.now(UTC),
    )


async def test_the_database_refuses_to_sell_a_service(payments: Harness) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    await refused(payments, OPEN_ATTEMPT, command.payment_id, "sale", None, None)
    await refused(payments, "UPDATE payments SET status = 'CONFIRMED' WHERE id = $1", command.payment_id)
    await refused(payments, "UPDATE payments SET activation_id = NULL WHERE id = $1", command.payment_id)
    await refused(payments, "UPDATE payments SET vehicle_id = NULL WHERE id = $1", command.payment_id)
    await refused(payments, "UPDATE payments SET service_code = NULL WHERE id = $1", command.payment_id)
    await refused(payments, "UPDATE payments SET purpose = 'final' WHERE id = $1", command.payment_id)
    without_activation = "UPDATE payments SET purpose = 'final', activation_id = NULL, capture_before = NULL,"
    await refused(payments, f"{without_activation} activate_not_after = NULL WHERE id = $1", command.payment_id)


async def test_the_database_refuses_to_hold_what_is_sold(payments: Harness) -> None:
    sale, service = a_charge(), an_authorization()
    await payments.receive(sale, service)
    await payments.run_effects()
    await payments.receive(a_success(service))
    async with payments.transaction() as tx:
        await tx.execute("UPDATE attempts SET state = 'succeeded', resolved_at = now() WHERE state = 'open'")
        success = await proof_id_of(tx, service.payment_id)
    await refused(payments, OPEN_ATTEMPT, sale.payment_id, "authorize", None, None)
    for operation, proof, kind in [("capture", success, "success"), ("capture", None, None), ("void", None, None)]:
        await refused(payments, OPEN_ATTEMPT, sale.payment_id, operation, proof, kind)
    await refused(payments, CAPTURE, sale.payment_id, success)
    await refused(payments, "UPDATE payments SET activation_id = $2 WHERE id = $1", sale.payment_id, new_id())
    await refused(payments, "UPDATE payments SET purpose = 'service' WHERE id = $1", sale.payment_id)
    await refused(payments, "UPDATE payments SET status = 'VOIDED' WHERE id = $1", sale.payment_id)
    await refused(payments, "UPDATE payments SET capture_before = now() WHERE id = $1", sale.payment_id)


async def test_the_database_refuses_to_refund_more_than_was_captured(payments: Harness) -> None:
    command = an_authorization()
    await payments.receive(command)
    await refused(payments, "UPDATE payments SET refunding_minor = 1 WHERE id = $1", command.payment_id)


REFUND = """
INSERT INTO refunds (id, payment_id, amount_minor, reason, state, requested_at, taken_ahead, proof_id, proof_kind)
VALUES ($1, $2, 1, 'by_hand', 'requested', now(), $3, $4, $5)
"""


async def test_the_database_refuses_to_give_back_what_was_taken_ahead_without_its_own_verdict(
    payments: Harness,
) -> None:
    undecided, failed = a_planned_charge(), a_planned_charge()
    await payments.receive(undecided, failed)
    await payments.run_effects()
    await payments.receive(a_failure(failed))
    async with payments.transaction() as tx:
        ground = await proof_id_of(tx, failed.payment_id)
    for ahead, proof, kind in [(False, None, None), (True, None, None), (True, ground, "rejection")]:
        await refused(payments, REFUND, new_id(), undecided.payment_id, ahead, proof, kind)
    # On a ground all of it goes back once: a second refund has no row to be in.
    await refused(payments, REFUND, new_id(), failed.payment_id, True, ground, "rejection")
    await refused(payments, REFUND, new_id(), failed.payment_id, True, ground, "success")
    await refused(payments, "UPDATE payments SET taken_ahead = false WHERE id = $1", undecided.payment_id)


async def test_the_database_refuses_to_hold_or_capture_what_is_taken_ahead(payments: Harness) -> None:
    command = a_planned_charge()
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_success(command))
    async with payments.transaction() as tx:
        success = await proof_id_of(tx, command.payment_id)
    await refused(payments, OPEN_ATTEMPT, command.payment_id, "authorize", None, None)
    await refused(payments, OPEN_ATTEMPT, command.payment_id, "capture", success, "success")
    await refused(payments, OPEN_ATTEMPT, command.payment_id, "void", None, None)


async def test_the_database_refuses_a_renewal_of_what_did_not_succeed(payments: Harness) -> None:  # REC-1
    first, failed = an_authorization(), an_authorization()
    await payments.receive(first, failed)
    await payments.run_effects()
    await payments.receive(a_success(first), a_failure(failed))
    renewal = a_renewal(first)
    await payments.receive(renewal)
    change = "UPDATE payments SET renewed_activation_id = $2, renewed_kind = $3 WHERE id = $1"
    for activation_id, kind in [(failed.activation_id, "success"), (failed.activation_id, "rejection"),
                                (first.activation_id, None), (new_id(), "success"), (None, None)]:  # fmt: skip
        await refused(payments, change, renewal.payment_id, activation_id, kind)
    await refused(payments, change, first.payment_id, first.activation_id, "success")


async def test_what_a_decision_was_taken_from_is_never_changed(payments: Harness) -> None:  # RSK-2
    await payments.receive(an_authorization())
    with pytest.raises(asyncpg.PostgresError):
        async with payments.transaction() as tx:
            await tx.execute("UPDATE risk_inputs SET at_risk_minor = 0")
    async with payments.owner() as connection:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await connection.execute("DELETE FROM risk_inputs")
