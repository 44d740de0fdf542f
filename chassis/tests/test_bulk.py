"""Types with a bulk handler: what it refuses is parked alone, what breaks it is found, what lacks something waits."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from caas_chassis.errors import NotYet, Refused
from caas_chassis.records import RawRecord
from caas_chassis.service import Service
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertRaised
from caas_contracts.ota import ActivateService
from caas_contracts.subscriptions import UsageReported
from chassis.tests.running import migrate
from chassis.tests.toy_service import MIGRATIONS, WELCOME, activate_services, an_activation

INSERT = """
INSERT INTO applied (activation_id, vehicle_id)
SELECT DISTINCT ON (id) id, vehicle FROM unnest($1::uuid[], $2::text[]) AS n(id, vehicle)
WHERE NOT EXISTS (SELECT FROM applied a WHERE a.activation_id = n.id)
"""
calls: list[int] = []


async def count_uses(messages: Sequence[UsageReported], /, *, tx: Tx) -> Mapping[int, Refused]:
    """The id is its key; subjects steer faults, as in the toy."""
    calls.append(len(messages))
    named = {index: message.subject_id for index, message in enumerate(messages) if message.subject_id not in WELCOME}
    if any(name.startswith("poison") for name in named.values()):
        raise RuntimeError("this subject breaks the handler")
    if any(name.startswith("away") for name in named.values()):
        raise asyncpg.DeadlockDetectedError("the database is busy")
    refused: dict[int, Refused] = {
        index: NotYet("unknown", name) if name.startswith("unknown") else Refused("unwanted", name)
        for index, name in named.items()
        if name.startswith(("unknown", "refuse"))
    }
    good = [message for index, message in enumerate(messages) if index not in refused]
    await tx.execute(INSERT, [one.usage_id for one in good], [one.subject_id for one in good])
    return refused


@pytest.fixture
async def bulky(make_database: MakeDatabase) -> AsyncIterator[Harness]:
    """A service with an ordinary type and one in bulk."""
    calls.clear()
    service = Service("ota", MIGRATIONS, {ActivateService: activate_services}, bulk={UsageReported: count_uses})
    async with Harness(service, await make_database("toy", migrate)) as harness:
        yield harness
    WELCOME.clear()


def a_use(subject_id: str = "V-1") -> UsageReported:
    return UsageReported(
        usage_id=uuid4(), subject_id=subject_id, occurred_at=datetime(2026, 10, 1, tzinfo=UTC), quantity="1", unit="km"
    )


def a_record(message: UsageReported, offset: int) -> RawRecord:
    """An event from outside."""
    headers = [("ce_id", b"1"), ("ce_source", b"vehicles"), ("ce_type", message.TYPE.encode())]
    return RawRecord(message.TOPIC.name, 0, offset, b"k", message.to_json(), headers)


def records_of(*subjects: str) -> list[RawRecord]:
    return [a_record(a_use(subject), offset) for offset, subject in enumerate(subjects)]


async def applied(bulky: Harness) -> int:
    async with bulky.transaction() as tx:
        return int(str(await tx.fetchval("SELECT count(*) FROM applied")))


async def test_a_batch_is_one_call_and_one_transaction_with_its_offsets(bulky: Harness) -> None:
    await bulky.receive_records(*records_of(*["V-1"] * 100))
    assert calls == [100]
    async with bulky.transaction() as tx:
        assert await tx.fetchval("SELECT count(DISTINCT xmin::text) FROM applied") == 1
        assert await tx.fetchval("SELECT next_offset FROM chassis.inbox_offset") == 100
        assert await tx.fetchval("SELECT count(*) FROM chassis.inbox_seen") == 0


async def test_messages_with_one_event_id_are_not_taken_for_copies(bulky: Harness) -> None:
    await bulky.receive_records(*records_of("V-1", "V-1"))
    assert await applied(bulky) == 2


async def test_what_is_refused_is_parked_and_the_rest_commits_at_once(bulky: Harness) -> None:
    await bulky.receive_records(*records_of(*["V-1"] * 50, "refuse-1", *["V-1"] * 49))
    assert calls == [100]
    assert await applied(bulky) == 99
    assert [(row["state"], row["reason"]) for row in await bulky.parked()] == [("parked", "refused")]
    assert len(await bulky.published(AlertRaised)) == 1


async def test_a_message_that_breaks_the_handler_is_found_by_halves_and_parked_to_be_retried(bulky: Harness) -> None:
    await bulky.receive_records(*records_of(*["V-1"] * 70, "poison-1", *["V-1"] * 57))
    assert await applied(bulky) == 127
    assert len(calls) <= 2 * 8 + 1
    assert [(row["state"], row["reason"]) for row in await bulky.parked()] == [("retrying", "failed")]
    WELCOME.add("poison-1")
    await bulky.skip_delays()
    await bulky.retry_parked()
    assert await applied(bulky) == 128
    assert not await bulky.parked()


async def test_what_lacks_something_is_tried_again_together_and_then_given_to_a_person(bulky: Harness) -> None:
    await bulky.receive_records(*records_of(*["unknown-1"] * 20, *["unknown-2"] * 20))
    assert not await bulky.published(AlertRaised)
    WELCOME.add("unknown-1")
    calls.clear()
    await bulky.skip_delays()
    await bulky.retry_parked()
    assert calls == [40]
    assert await applied(bulky) == 20
    for _ in range(8):
        await bulky.skip_delays()
        await bulky.retry_parked()
    assert {(row["state"], row["attempts"]) for row in await bulky.parked()} == {("parked", 6)}


async def test_a_poisoned_one_among_the_parked_does_not_hold_the_others_up(bulky: Harness) -> None:
    await bulky.receive_records(*records_of("poison-1", "unknown-1", "unknown-1"))
    WELCOME.add("unknown-1")
    for _ in range(3):
        await bulky.skip_delays()
        await bulky.retry_parked()
    assert await applied(bulky) == 2
    assert [row["reason"] for row in await bulky.parked()] == ["failed"]


async def test_a_busy_database_blames_no_message(bulky: Harness) -> None:
    with pytest.raises(asyncpg.DeadlockDetectedError):
        await bulky.receive_records(*records_of("V-1", "away-1"))
    assert not await bulky.parked()


async def test_types_in_bulk_and_ordinary_ones_share_a_batch(bulky: Harness) -> None:
    await bulky.receive_records(*records_of("V-1"), bulky.record(an_activation("V-2")))
    assert await applied(bulky) == 2


async def test_parts_are_applied_one_after_the_other_and_others_get_their_turn(bulky: Harness) -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(take_turns())
    await bulky.runtime.processor.process_in_parts(records_of(*["V-1"] * 1000), 300)
    others.cancel()
    assert calls == [300, 300, 300, 100]
    assert await applied(bulky) == 1000
    assert turns > 10


async def test_a_part_that_fails_is_tried_again_with_all_that_follow(bulky: Harness) -> None:
    records = records_of(*["V-1"] * 300, "away-1", *["V-1"] * 299)
    with pytest.raises(asyncpg.DeadlockDetectedError):
        await bulky.runtime.processor.process_in_parts(records, 100)
    assert await applied(bulky) == 300
    WELCOME.add("away-1")
    await bulky.runtime.processor.process_in_parts(records, 100)
    assert await applied(bulky) == 600
