"""Group commit: what arrives together is committed together, and answered after that commit."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from caas_chassis.cause import Cause
from caas_chassis.group_commit import GroupCommit, Limits, NotCommitted, Overloaded
from caas_chassis.runtime import Runtime
from caas_chassis.settings import ServiceSettings
from caas_chassis.testing.harness import Harness
from caas_chassis.transaction import Tx
from chassis.tests.proxy import a_proxy
from chassis.tests.toy_service import a_service

INSERT = """
INSERT INTO chassis.inbox_seen (source, id) SELECT 'test', id FROM unnest($1::text[]) AS id
ON CONFLICT DO NOTHING RETURNING id
"""
STORED = "SELECT id FROM chassis.inbox_seen ORDER BY id"
LOCK = "LOCK TABLE chassis.inbox_seen IN ACCESS EXCLUSIVE MODE"


class Writing:
    """Stores names and says which were new; `groups` are the names of each transaction that began."""

    def __init__(self) -> None:
        self.groups: list[Sequence[str]] = []
        self.began = asyncio.Event()

    async def __call__(self, names: Sequence[str], /, *, tx: Tx) -> list[bool]:
        self.groups.append(names)
        self.began.set()
        new = {row["id"] for row in await tx.fetch(INSERT, names)}
        return [name in new for name in names]


def a_group(runtime: Runtime, writing: Writing, limits: Limits | None = None) -> GroupCommit[str, bool]:
    return GroupCommit("test", lambda: runtime.transaction(Cause.of_person("test")), writing, limits or Limits())


async def stored(toy: Harness) -> list[str]:
    async with toy.runtime.reading() as tx:
        return [row["id"] for row in await tx.fetch(STORED)]


async def test_those_who_come_during_a_commit_are_committed_together_afterwards(toy: Harness) -> None:
    writing = Writing()
    group = a_group(toy.runtime, writing, Limits(together=40))
    first = asyncio.create_task(group.submit("name-00"))
    await writing.began.wait()
    others = [group.submit(f"name-{number:02}") for number in range(1, 50)]
    assert all(await asyncio.gather(first, *others))
    assert [len(names) for names in writing.groups] == [1, 40, 9]
    assert len(await stored(toy)) == 50


async def test_an_answer_comes_after_the_commit(toy: Harness) -> None:
    group = a_group(toy.runtime, Writing())

    async def submit(number: int) -> bool:
        await group.submit(f"name-{number}")
        return f"name-{number}" in await stored(toy)

    assert all(await asyncio.gather(*[submit(number) for number in range(10)]))


async def test_what_breaks_a_group_fails_alone(toy: Harness) -> None:
    group = a_group(toy.runtime, Writing())
    results = await asyncio.gather(*[group.submit(name) for name in ("a", "b\x00", "c", "a")], return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["bool", "CharacterNotInRepertoireError", "bool", "bool"]
    assert (results[0], results[3]) == (True, False)
    assert await stored(toy) == ["a", "c"]


async def test_nobody_waits_longer_than_the_deadline_and_a_full_queue_says_so(toy: Harness) -> None:
    writing = Writing()
    group = a_group(toy.runtime, writing, Limits(together=1, waiting=2, deadline_s=2.0))
    async with toy.transaction() as tx:
        await tx.execute(LOCK)
        under_way = asyncio.create_task(group.submit("under way"))
        await writing.began.wait()
        waiting = [asyncio.create_task(group.submit(f"waits-{number}")) for number in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await group.submit("too many")
        # One deadline each, not one after the other: that would be three times two seconds.
        async with asyncio.timeout(5.5):
            results = await asyncio.gather(under_way, *waiting, return_exceptions=True)
        assert {type(result) for result in results} == {NotCommitted}
    async with asyncio.timeout(5.0):
        assert await group.submit("the database is back")


async def test_a_caller_who_leaves_disturbs_nobody(toy: Harness) -> None:
    writing = Writing()
    group = a_group(toy.runtime, writing)
    first = asyncio.create_task(group.submit("first"))
    await writing.began.wait()
    leaving, staying = asyncio.create_task(group.submit("leaving")), asyncio.create_task(group.submit("staying"))
    await asyncio.sleep(0)
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    assert all(await asyncio.gather(first, staying))
    assert await stored(toy) == ["first", "staying"]


async def test_a_commit_whose_answer_is_lost_is_not_known_and_may_be_repeated(toy: Harness) -> None:
    async with a_proxy(toy.runtime.settings.database_url) as proxy:
        runtime = Runtime(a_service(), ServiceSettings(database_url=proxy.url))
        group = a_group(runtime, Writing())
        assert await group.submit("warm")
        proxy.lose_next_commit_answer()
        with pytest.raises(NotCommitted):
            await group.submit("lost")
        assert proxy.cuts == 1
        assert await group.submit("lost") is False
        await runtime.database.close()
    assert await stored(toy) == ["lost", "warm"]
