"""The audit log is append-only and its chain shows every change of what was written (PAY-4)."""

import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from caas_chassis.cause import Cause
from caas_chassis.roles import changeable
from caas_chassis.testing.harness import Harness
from caas_chassis.transaction import Tx
from caas_payments.store.audit import verify_audit_log
from services.payments.tests.builders import a_success, an_authorization


async def broken_places(payments: Harness) -> list[int]:
    async with payments.transaction() as tx:
        return [broken.sequence for broken in (await verify_audit_log(tx)).broken]


async def write_some(payments: Harness) -> None:
    """Six entries of two payments."""
    commands = [an_authorization(), an_authorization()]
    await payments.receive(*commands)
    await payments.run_effects()
    await payments.receive(*(a_success(command) for command in commands))


FORBIDDEN = [
    "UPDATE audit_log SET actor = 'nobody'",
    "DELETE FROM audit_log",
    "TRUNCATE audit_log",
    "UPDATE delivery_proofs SET kind = 'success'",
    "DELETE FROM delivery_proofs",
]


async def test_the_database_refuses_to_change_what_was_written(payments: Harness, subtests: pytest.Subtests) -> None:
    await write_some(payments)
    for statement in FORBIDDEN:
        with subtests.test(statement), pytest.raises(asyncpg.IntegrityConstraintViolationError, match="append"):
            async with payments.owner() as owner:
                await owner.execute(statement)
        with subtests.test(f"{statement}, as the service"), pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with payments.transaction() as tx:
                await tx.execute(statement)


BEYOND_THE_SERVICE = [
    "ALTER TABLE audit_log DISABLE TRIGGER ALL",
    "ALTER TABLE audit_log DROP COLUMN actor",
    "DROP TABLE audit_log CASCADE",
    "DROP TRIGGER audit_log_rows ON audit_log",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER helpful BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "CREATE RULE quiet AS ON INSERT TO audit_log DO INSTEAD NOTHING",
    "CREATE TABLE mine (id int)",
    "SET session_replication_role = replica",
    "SET ROLE postgres",
    "DELETE FROM chassis.migration",
    "DROP TABLE chassis.outbox CASCADE",
    "SELECT chassis.drop_outbox_partition('task')",
]


async def test_the_role_that_serves_cannot_get_around_the_protection(
    payments: Harness, subtests: pytest.Subtests
) -> None:
    await write_some(payments)
    refusals = (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError)
    for statement in BEYOND_THE_SERVICE:
        with subtests.test(statement), pytest.raises(refusals):
            async with payments.transaction() as tx:
                await tx.execute(statement)


async def test_one_role_for_both_is_served_with_a_warning(payments: Harness) -> None:
    async with payments.owner() as owner, payments.runtime.database.connection() as serving:
        tables = payments.runtime.service.append_only
        assert await changeable(owner, tables) == sorted(tables)
        assert await changeable(serving, tables) == []


async def test_a_whole_log_verifies(payments: Harness) -> None:
    assert await broken_places(payments) == []
    await write_some(payments)
    assert await broken_places(payments) == []


TAMPERING = [
    ("UPDATE audit_log SET target = 'SETTLED' WHERE sequence = 3", [3]),
    ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE sequence = 2", [2]),
    ("UPDATE audit_log SET cause_id = 'x' WHERE sequence = 6", [6]),
    ("DELETE FROM audit_log WHERE sequence = 4", [4]),
    ("DELETE FROM audit_log WHERE sequence = 6", [6]),
    ("UPDATE audit_log SET sequence = 7 WHERE sequence = 6", [6, 7, 7]),
    ("UPDATE audit_log SET hash = sha256('x') WHERE sequence = 4", [4, 5]),
]


class Undone(Exception):
    """Ends a transaction that must leave nothing behind."""


@contextlib.asynccontextmanager
async def as_owner(payments: Harness) -> AsyncIterator[Tx]:
    """A transaction of somebody who may do everything."""
    async with payments.owner() as owner, owner.transaction():
        yield Tx(owner, service="payments", now=payments.clock.now(), cause=Cause.of_person("somebody"))


async def broken_places_after(payments: Harness, statement: str) -> list[int]:
    """What the verification finds after a change that got around the triggers; the change is undone."""
    places: list[int] = []
    with contextlib.suppress(Undone):
        async with as_owner(payments) as tx:
            await tx.execute("ALTER TABLE audit_log DISABLE TRIGGER USER")
            await tx.execute(statement)
            places += [place.sequence for place in (await verify_audit_log(tx)).broken]
            raise Undone
    return places


async def test_whoever_gets_around_the_triggers_is_found_out(payments: Harness, subtests: pytest.Subtests) -> None:
    await write_some(payments)
    for statement, broken in TAMPERING:
        with subtests.test(statement):
            assert await broken_places_after(payments, statement) == broken
    assert await broken_places(payments) == []
