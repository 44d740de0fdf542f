"""Promise 2: dense numbers, commit order is sequence order, the relay's reading order loses nothing."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caas_chassis import outbox, relay
from caas_chassis.cause import Cause
from caas_chassis.clock import BusinessClock
from caas_chassis.ids import new_id
from caas_chassis.planning import ParkReason
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts.streams import ResendStream
from chassis.tests.running import (
    Pair,
    a_name,
    a_pair,
    eventually_equal,
    migrate,
    publish,
    query,
    started,
    value,
)
from chassis.tests.toy_service import an_activation

TOPIC = "caas.ota.commands.v1"


def an_entry(key: str) -> outbox.Entry:
    identity: UUID = new_id()
    return outbox.Entry(identity, TOPIC, key, "t", b"{}", Cause.of_person("test"), BusinessClock().now())


async def publish_some(toy: Harness, keys: Sequence[str], *, fail: bool) -> None:
    try:
        async with toy.transaction() as tx:
            for key in keys:
                tx.publish_entry(an_entry(key))
            if fail:
                raise ZeroDivisionError
    except ZeroDivisionError:
        return


async def test_numbers_are_dense_under_concurrent_publishers_that_may_fail(toy: Harness) -> None:
    dice = random.Random(7)
    keys = ["a", "b", "c", "d"]
    work = [publish_some(toy, dice.choices(keys, k=3), fail=dice.random() < 0.3) for _ in range(150)]
    await asyncio.gather(*work)
    async with toy.runtime.reading() as tx:
        rows = await tx.fetch(
            "SELECT aggregateid, array_agg(sequence ORDER BY position) AS n FROM chassis.outbox GROUP BY 1"
        )
    assert {row["aggregateid"]: row["n"] == list(range(1, len(row["n"]) + 1)) for row in rows} == dict.fromkeys(
        keys, True
    )


async def test_positions_move_by_compare_and_set_only(toy: Harness) -> None:
    first, second = toy.record(an_activation()), toy.record(an_activation())
    await toy.receive_records(first, second)
    await toy.receive_records(second, first)
    async with toy.runtime.reading() as tx:
        assert await tx.fetchval("SELECT sequence FROM chassis.inbox_position") == 2


async def test_later_parts_of_a_gap_wait_and_the_whole_gap_is_asked_for(toy: Harness) -> None:
    records = [toy.record(an_activation()) for _ in range(9)]
    await toy.receive_records(records[0], records[4], records[7])
    assert [row["sequence"] for row in await toy.parked()] == [5, 8]
    request = (await toy.published(ResendStream))[-1]
    assert (request.from_sequence, request.to_sequence) == (2, 4)


async def test_a_gap_that_was_not_answered_is_asked_for_again(toy: Harness) -> None:
    records = [toy.record(an_activation()) for _ in range(3)]
    await toy.receive_records(records[2])
    assert await toy.runtime.processor.ask_for_missing() == 1
    assert len(await toy.published(ResendStream)) == 2


async def test_nothing_is_asked_for_behind_a_failed_message(toy: Harness) -> None:
    await toy.receive(an_activation("poison-1"), an_activation("poison-1"))
    assert await toy.runtime.processor.ask_for_missing() == 0


@pytest.mark.parametrize("seed", range(5))
async def test_records_in_any_order_are_applied_once_and_in_order(toy: Harness, seed: int) -> None:
    records = [toy.record(an_activation("V-1")) for _ in range(12)] * 2
    random.Random(seed).shuffle(records)
    for record in records:
        await toy.receive_records(record)
        await toy.retry_parked()
    async with toy.runtime.reading() as tx:
        assert await tx.fetchval("SELECT count(*) FROM applied") == 12
    assert not await toy.parked()


async def test_a_stream_never_stands_still_when_its_head_is_retried_meanwhile(toy: Harness) -> None:
    records = [toy.record(an_activation("V-1")) for _ in range(40)]
    await toy.receive_records(*records[1:20])

    async def retry() -> None:
        for _ in range(60):
            await toy.runtime.processor.retry_one()

    await asyncio.gather(toy.receive_records(records[0]), retry(), *(toy.receive_records(one) for one in records[20:]))
    await toy.retry_parked()
    assert not [row["sequence"] for row in await toy.parked() if row["reason"] in (ParkReason.WAITING,)]


async def lose(pair: Pair, vehicle: str, lost: int) -> None:
    """Publish three messages, of which the broker gets all but one."""
    await publish(pair.orders, [an_activation(vehicle) for _ in range(3)])
    rows = await query(pair.orders_url, "SELECT * FROM chassis.outbox ORDER BY sequence")
    await pair.orders.relay._sender.send([relay._outgoing(r, "orders") for r in rows if r["sequence"] != lost])
    await query(
        pair.orders_url,
        "UPDATE chassis.relay_cursor SET (horizon, position) ="
        " (SELECT max(horizon), max(position) FROM chassis.outbox)",
    )


async def test_a_lost_record_is_asked_for_sent_again_and_applied(make_database: MakeDatabase, broker: str) -> None:
    pair, vehicle = await a_pair(make_database, broker), a_name("V")
    await lose(pair, vehicle, lost=2)
    async with started(pair.ota, pair.orders):
        await eventually_equal(3, pair.ota_url, "SELECT count(*) FROM applied WHERE vehicle_id = $1", vehicle)
    assert await value(pair.ota_url, "SELECT count(*) FROM chassis.parked WHERE reason = 'gap'") == 1


# Every interleaving of three transactions that write to two streams, and of the relay's reading.


@dataclass
class World:
    """Open transactions and what the relay has read, on one database whose streams are new for each example."""

    connections: list[asyncpg.Connection]
    reader: asyncpg.Connection
    cursor: tuple[int, int]
    prefix: str
    open: dict[int, asyncpg.transaction.Transaction] = field(default_factory=dict)
    locks: dict[str, int] = field(default_factory=dict)
    read: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    pending: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))

    async def begin(self, who: int) -> None:
        """Open, with a transaction id: from now on it is the horizon."""
        if who not in self.open:
            self.open[who] = self.connections[who].transaction()
            await self.open[who].start()
            await self.connections[who].execute("SELECT pg_current_xact_id()")

    async def write(self, who: int, stream: str) -> None:
        """Write unless another one holds the stream: then it would wait, which is no interleaving of its own."""
        if self.locks.get(stream, who) == who:
            await self.begin(who)
            self.locks[stream] = who
            self.pending[who].append(stream)
            await outbox.write(self.connections[who], [an_entry(f"{self.prefix}{stream}")])

    async def end(self, who: int, *, commit: bool) -> None:
        if who not in self.open:
            return
        transaction = self.open.pop(who)
        await (transaction.commit() if commit else transaction.rollback())
        for stream in self.pending.pop(who, []):
            self.committed[stream] += commit
        self.locks = {stream: owner for stream, owner in self.locks.items() if owner != who}

    async def relay(self, limit: int = 2000) -> None:
        for row in await self.reader.fetch(relay.READ, *self.cursor, limit):
            self.cursor = (row["horizon"], row["position"])
            self.read[row["aggregateid"].removeprefix(self.prefix)].append(row["sequence"])

    async def finish(self) -> None:
        for who in list(self.open):
            await self.end(who, commit=True)
        await self.relay()

    async def step(self, what: str, who: int, stream: str) -> None:
        match what:
            case "begin":
                await self.begin(who)
            case "publish":
                await self.write(who, stream)
                await self.end(who, commit=True)
            case "write":
                await self.write(who, stream)
            case "commit" | "rollback":
                await self.end(who, commit=what == "commit")
            case _:
                await self.relay(limit=1 if stream == "a" else 2000)


@asynccontextmanager
async def a_world(url: str, prefix: str) -> AsyncIterator[World]:
    connections = [await asyncpg.connect(url, timeout=10, command_timeout=10) for _ in range(4)]
    last = await connections[3].fetchrow(
        "SELECT coalesce(max(horizon), 0) AS h, coalesce(max(position), 0) AS p FROM chassis.outbox"
    )
    assert last is not None
    try:
        yield World(connections[:3], connections[3], (last["h"], last["p"]), prefix)
    finally:
        for connection in connections:
            await connection.close(timeout=5)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "publish", "publish", "write", "commit", "rollback", "relay"]),
        st.integers(0, 2),
        st.sampled_from("ab"),
    ),
    min_size=6,
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_the_relay_reads_every_row_once_and_in_stream_order(
    outbox_url: str, steps: list[tuple[str, int, str]]
) -> None:
    async with a_world(outbox_url, f"{new_id()}/") as world:
        for what, who, stream in steps:
            await world.step(what, who, stream)
        await world.finish()
        assert world.read == {stream: list(range(1, n + 1)) for stream, n in world.committed.items() if n}


async def test_two_writers_of_a_stream_wait_for_an_older_transaction_and_stay_in_order(outbox_url: str) -> None:
    async with a_world(outbox_url, f"{new_id()}/") as world:
        await world.begin(2)  # The oldest, open all the time.
        await world.begin(1)  # Older than 0, but writes the stream after it.
        for who in (0, 1):
            await world.write(who, "a")
            await world.end(who, commit=True)
        await world.relay()
        assert not world.read
        await world.finish()
        assert world.read == {"a": [1, 2]}


@pytest.fixture
async def outbox_url(make_database: MakeDatabase) -> str:
    return await make_database("toy", migrate)
