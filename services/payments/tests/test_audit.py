"""The audit log is append-only and its chain shows every change of what was written (PAY-4)."""

import contextlib

import asyncpg
import pytest

from caas_chassis.testing.harness import Harness
from caas_payments.store.audit import verify_audit_log
from services.payments.tests.builders import a_success, an_authorization


async def broken_places(payments: Harness) -> list[int]:
    async with payments.transaction() as tx:
        return [broken.sequence for broken in await verify_audit_log(tx)]


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
            async with payments.transaction() as tx:
                await tx.execute(statement)


async def test_a_whole_log_verifies(payments: Harness) -> None:
    assert await broken_places(payments) == []
    await write_some(payments)
    assert await broken_places(payments) == []


TAMPERING = [
    ("UPDATE audit_log SET target = 'SETTLED' WHERE sequence = 3", [3]),
    ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE sequence = 2", [2]),
    ("UPDATE audit_log SET cause_id = 'x' WHERE sequence = 6", [6]),
    ("DELETE FROM audit_log WHERE sequence = 4", [5]),
    ("DELETE FROM audit_log WHERE sequence = 6", [6]),
    ("UPDATE audit_log SET sequence = 7 WHERE sequence = 6", [7, 7, 8]),
    ("UPDATE audit_log SET hash = sha256('x') WHERE sequence = 4", [4, 5]),
]


class Undone(Exception):
    """Ends a transaction that must leave nothing behind."""


async def broken_places_after(payments: Harness, statement: str) -> list[int]:
    """What the verification finds after a change that got around the triggers; the change is undone."""
    places: list[int] = []
    with contextlib.suppress(Undone):
        async with payments.transaction() as tx:
            await tx.execute("ALTER TABLE audit_log DISABLE TRIGGER USER")
            await tx.execute(statement)
            places += [place.sequence for place in await verify_audit_log(tx)]
            raise Undone
    return places


async def test_whoever_gets_around_the_triggers_is_found_out(payments: Harness, subtests: pytest.Subtests) -> None:
    await write_some(payments)
    for statement, broken in TAMPERING:
        with subtests.test(statement):
            assert await broken_places_after(payments, statement) == broken
    assert await broken_places(payments) == []
