"""Whatever somebody with all rights does to the audit log is found, and where (PAY-4, docs/decisions/0010)."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caas_chassis.cause import Cause
from caas_chassis.database import Connection
from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_chassis.transaction import Tx
from caas_contracts.audit import AuditAnchored
from caas_payments.domain.audit import (
    GENESIS,
    Anchor,
    AuditEntry,
    AuditKind,
    BrokenEntry,
    ChainCheck,
    SealedEntry,
    seal_all,
)
from caas_payments.handlers.anchoring import publish_anchor
from caas_payments.store.audit import append_audit, lock_audit_head, verify_audit_log
from services.payments.tests.builders import NOW

ENTRIES = 12
ANCHORS = (3, 7, 10)


def an_entry(number: int) -> AuditEntry:
    return AuditEntry(
        payment_id=new_id(),
        at=NOW + timedelta(seconds=number),
        kind=AuditKind.TRANSITION,
        source="PROCESSING",
        target="AUTHORIZED",
        reason=f"reason-{number}",
        cause_id=f"cause-{number}",
        correlation_id="story",
        actor="orders",
    )


async def write_log(payments: Harness) -> list[Anchor]:
    """Twelve entries, anchored after the third, the seventh and the tenth; returns what the anchors said."""
    for number in range(1, ENTRIES + 1):
        async with payments.transaction() as tx:
            await lock_audit_head(tx)
            assert await append_audit(tx, [an_entry(number)]) is None
        if number in ANCHORS:
            async with payments.transaction() as tx:
                assert await publish_anchor(tx=tx)
    told = await payments.published(AuditAnchored)
    assert [(one.sequence, one.entries) for one in told] == [(3, 3), (7, 4), (10, 3)]
    return [Anchor(one.sequence, bytes.fromhex(one.hash), "a witness") for one in told]


@contextlib.asynccontextmanager
async def tampered(payments: Harness, *statements: str) -> AsyncIterator[Tx]:
    """The log as somebody left it who switched off everything that protects it; undone at the end."""
    async with payments.owner() as owner:
        undone = owner.transaction()
        await undone.start()
        try:
            await owner.execute("SET LOCAL session_replication_role = replica")
            await owner.execute("ALTER TABLE audit_log DROP CONSTRAINT audit_log_pkey")
            for statement in statements:
                await owner.execute(statement)
            yield Tx(owner, service="payments", now=payments.clock.now(), cause=Cause.of_person("somebody"))
        finally:
            await undone.rollback()


async def found(tx: Tx, anchors: Sequence[Anchor] = ()) -> list[BrokenEntry]:
    return (await verify_audit_log(tx, anchors)).broken


CHANGES = {
    "payment_id": "gen_random_uuid()",
    "at": "at + interval '1 microsecond'",
    "kind": "'rejection'",
    "source": "source || ' '",
    "target": "'SETTLED'",
    "reason": "''",
    "cause_id": "upper(cause_id)",
    "correlation_id": "correlation_id || 'x'",
    "actor": "'operator:nobody'",
    "previous": "sha256('x')",
    "hash": "sha256('x')",
}
COPY = "INSERT INTO audit_log SELECT {number}, payment_id, at, kind, source, target, reason, cause_id, correlation_id,"
MOVE = "UPDATE audit_log SET sequence = sequence + 1 WHERE sequence >= {number}"
SWAP = "UPDATE audit_log SET sequence = CASE sequence WHEN 4 THEN 9 ELSE 4 END WHERE sequence IN (4, 9)"
SWAP_VALUES = """
UPDATE audit_log a SET payment_id = b.payment_id, at = b.at, reason = b.reason, cause_id = b.cause_id
FROM audit_log b WHERE (a.sequence, b.sequence) IN ((4, 9), (9, 4))
"""
INSERTED = COPY.format(number=6) + " 'nobody', (SELECT hash FROM audit_log WHERE sequence = 5), hash"
AS_IT_IS = " actor, previous, hash FROM audit_log WHERE sequence = 8"
PLACES: list[tuple[str, list[str], int]] = [
    ("the first row removed", ["DELETE FROM audit_log WHERE sequence = 1"], 1),
    ("a row in the middle removed", ["DELETE FROM audit_log WHERE sequence = 6"], 6),
    ("several rows removed", ["DELETE FROM audit_log WHERE sequence BETWEEN 4 AND 8"], 4),
    ("the last row removed", ["DELETE FROM audit_log WHERE sequence = 12"], 12),
    ("the last rows removed", ["DELETE FROM audit_log WHERE sequence > 9"], 10),
    ("every row removed", ["TRUNCATE audit_log"], 1),
    ("two rows swapped", [SWAP], 4),
    ("the values of two rows swapped", [SWAP_VALUES], 4),
    ("a row inserted, the others moved", [MOVE.format(number=6), INSERTED + " FROM audit_log WHERE sequence = 2"], 6),
    ("a row copied under its number", [COPY.format(number=8) + AS_IT_IS], 8),
    ("a row removed, the others moved up", [
        "DELETE FROM audit_log WHERE sequence = 6", "UPDATE audit_log SET sequence = sequence - 1 WHERE sequence > 6",
    ], 6),
    ("a row moved to the end", ["UPDATE audit_log SET sequence = 13 WHERE sequence = 5"], 5),
    ("the head's hash changed", ["UPDATE audit_head SET hash = sha256('x')"], 12),
    ("the head moved forward", ["UPDATE audit_head SET sequence = 20"], 13),
    ("the head moved back", ["UPDATE audit_head SET anchored_sequence = 0, sequence = 11"], 12),
]  # fmt: skip


async def test_what_breaks_the_chain_is_found_with_its_row(payments: Harness, subtests: pytest.Subtests) -> None:
    await write_log(payments)
    for what, statements, place in PLACES:
        with subtests.test(what):
            async with tampered(payments, *statements) as tx:
                assert (await found(tx))[0].sequence == place
    for column, value in CHANGES.items():
        for number in (1, 6, 12):
            with subtests.test(f"{column} of {number} changed"):
                statement = f"UPDATE audit_log SET {column} = {value} WHERE sequence = {number}"
                async with tampered(payments, statement) as tx:
                    assert (await found(tx))[0].sequence == number
    async with tampered(payments) as tx:
        assert await found(tx) == []


async def seal_anew(connection: Connection, first: int) -> None:
    """Seal everything from this number on, and the head, so that the chain holds."""
    head = await connection.fetchval("SELECT hash FROM audit_log WHERE sequence = $1", first - 1) or GENESIS
    for row in await connection.fetch("SELECT * FROM audit_log WHERE sequence >= $1 ORDER BY sequence", first):
        names = ("payment_id", "at", "kind", "source", "target", "reason", "cause_id", "correlation_id", "actor")
        (sealed,) = seal_all(row["sequence"] - 1, head, [AuditEntry(**{name: row[name] for name in names})])
        await connection.execute(
            "UPDATE audit_log SET previous = $2, hash = $3 WHERE sequence = $1", row["sequence"], head, sealed.hash
        )
        head = sealed.hash
    await connection.execute(
        "UPDATE audit_head SET sequence = (SELECT coalesce(max(sequence), 0) FROM audit_log), hash = $1,"
        " anchored_sequence = 0",
        head,
    )


RESEALED: list[tuple[str, list[str], int, tuple[int, int] | None]] = [
    ("row 1 changed", ["UPDATE audit_log SET actor = 'x' WHERE sequence = 1"], 1, (1, 3)),
    ("row 3 changed", ["UPDATE audit_log SET actor = 'x' WHERE sequence = 3"], 3, (1, 3)),
    ("row 4 changed", ["UPDATE audit_log SET actor = 'x' WHERE sequence = 4"], 4, (4, 7)),
    ("row 9 changed", ["UPDATE audit_log SET actor = 'x' WHERE sequence = 9"], 9, (8, 10)),
    ("row 6 removed", [
        "DELETE FROM audit_log WHERE sequence = 6", "UPDATE audit_log SET sequence = sequence - 1 WHERE sequence > 6",
    ], 6, (4, 7)),
    ("row 6 inserted", [MOVE.format(number=6), INSERTED + " FROM audit_log WHERE sequence = 2"], 6, (4, 7)),
    ("rows 5 and 6 swapped", [
        "UPDATE audit_log SET sequence = 11 - sequence WHERE sequence IN (5, 6)",
    ], 5, (4, 7)),
    ("the last rows removed", ["DELETE FROM audit_log WHERE sequence > 8"], 9, (8, 10)),
    ("everything removed", ["TRUNCATE audit_log"], 1, (1, 10)),
    ("rebuilt from nothing", ["UPDATE audit_log SET correlation_id = 'new'"], 1, (1, 3)),
    ("row 11 changed, behind the last anchor", ["UPDATE audit_log SET actor = 'x' WHERE sequence = 11"], 11, None),
]  # fmt: skip


async def test_a_chain_that_was_sealed_anew_contradicts_the_first_anchor_behind_the_change(
    payments: Harness, subtests: pytest.Subtests
) -> None:
    anchors = await write_log(payments)
    for what, statements, first, place in RESEALED:
        with subtests.test(what):
            async with tampered(payments, *statements) as tx:
                await seal_anew(tx.connection, first)
                assert await found(tx) == [], "without a witness nobody could know"
                broken = await found(tx, anchors)
                assert [(one.sequence, one.through) for one in broken] == ([place] if place else [])


async def test_a_whole_log_agrees_with_its_anchors_whatever_was_appended_since(payments: Harness) -> None:
    anchors = await write_log(payments)
    async with payments.transaction() as tx:
        check = await verify_audit_log(tx, anchors)
    assert (check.broken, check.entries, check.witnessed) == ([], ENTRIES, 10)


async def test_a_false_anchor_is_shown_as_a_contradiction_and_hides_no_true_one(payments: Harness) -> None:
    anchors = await write_log(payments)
    false = [Anchor(7, bytes(32), "a forger"), *anchors]
    async with payments.transaction() as tx:
        (broken,) = await found(tx, false)
    assert (broken.sequence, broken.through) == (4, 7)
    assert "a forger" in broken.problem


async def test_an_anchor_goes_out_with_the_thousandth_entry_without_waiting_for_the_timer(payments: Harness) -> None:
    async with payments.transaction() as tx:
        await lock_audit_head(tx)
        assert await append_audit(tx, [an_entry(number) for number in range(999)]) is None
        due = await append_audit(tx, [an_entry(1000)])
        assert due is not None
        assert (due.sequence, due.entries) == (1000, 1000)
        assert not await publish_anchor(tx=tx)


@dataclass(frozen=True)
class Story:
    """A log, the anchors of it, and what somebody made of it."""

    log: list[SealedEntry]
    anchors: list[Anchor]
    forged: list[SealedEntry]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Any log, anchored anywhere, in which rows were changed, removed, inserted or swapped, maybe sealed anew."""
    log = seal_all(0, GENESIS, [an_entry(number) for number in range(draw(st.integers(1, 12)))])
    anchors = [Anchor(one.sequence, one.hash, "w") for one in draw(st.lists(st.sampled_from(log), max_size=4))]
    forged = [one.entry for one in log]
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(forged) - 1)))
        match draw(st.sampled_from(["change", "remove", "insert", "swap"])):
            case "change" if forged:
                forged[place] = replace(forged[place], reason=draw(st.text(max_size=3)))
            case "remove" if forged:
                del forged[place]
            case "insert":
                forged.insert(place, an_entry(99))
            case "swap" if forged:
                other = draw(st.integers(0, len(forged) - 1))
                forged[place], forged[other] = forged[other], forged[place]
    if draw(st.booleans()):
        return Story(log, anchors, seal_all(0, GENESIS, forged))
    known = {one.entry: one for one in log}
    rows = [known.get(entry, SealedEntry(0, entry, GENESIS, GENESIS)) for entry in forged]
    return Story(log, anchors, [replace(row, sequence=at) for at, row in enumerate(rows, start=1)])


@given(stories())
def test_every_tampering_is_found_up_to_the_last_anchor_or_row_that_was_not_sealed_anew(story: Story) -> None:
    check = ChainCheck(story.anchors)
    check.read(story.forged)
    last = story.forged[-1] if story.forged else SealedEntry(0, an_entry(0), GENESIS, GENESIS)
    broken = check.finish(last.sequence, last.hash)
    unchanged = 0
    while unchanged < min(len(story.log), len(story.forged)) and story.log[unchanged] == story.forged[unchanged]:
        unchanged += 1
    last_anchor = max((anchor.sequence for anchor in story.anchors), default=0)
    resealed = story.forged == seal_all(0, GENESIS, [one.entry for one in story.forged])
    if unchanged >= last_anchor and resealed:
        assert broken == []  # Nothing happened, or only behind the last anchor: the window that remains.
    else:
        assert broken
        assert broken[0].sequence <= unchanged + 1 <= max(one.through for one in broken)


def test_a_row_that_was_replaced_and_sealed_by_itself_is_not_sealed_by_the_next() -> None:
    log = seal_all(0, GENESIS, [an_entry(number) for number in range(4)])
    log[1:2] = seal_all(1, log[0].hash, [an_entry(99)])
    check = ChainCheck()
    check.read(log)
    (broken,) = check.finish(4, log[3].hash)
    assert (broken.sequence, "does not seal the entry before it" in broken.problem) == (3, True)
