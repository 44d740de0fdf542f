"""Promise 1: deduplication, state, outbox, tasks and timers commit together, once."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from caas_chassis.database import TRANSIENT
from caas_chassis.errors import MessageTooLarge
from caas_chassis.planning import ParkReason
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertKind
from caas_contracts.ota import ActivationFailed
from chassis.tests.proxy import a_proxy
from chassis.tests.running import migrate, value
from chassis.tests.toy_service import Told, a_service, an_activation

WRITTEN = """
SELECT (SELECT count(*) FROM applied) + (SELECT count(*) FROM chassis.outbox) + (SELECT count(*) FROM chassis.task)
    + (SELECT count(*) FROM chassis.timer) + (SELECT count(*) FROM chassis.inbox_position WHERE sequence > 0)
"""


async def written(toy: Harness) -> object:
    async with toy.runtime.reading() as tx:
        return await tx.fetchval(WRITTEN)


async def fail_at_the_end(toy: Harness) -> None:
    command = an_activation()
    async with toy.transaction() as tx:
        tx.publish(command)
        tx.enqueue("tell", Told(activation_id=command.activation_id), key="k")
        tx.schedule("expire", "k", tx.now)
        raise ZeroDivisionError


async def undone_in_a_savepoint(tx: Tx) -> None:
    async with tx.savepoint():
        tx.publish(an_activation("V-undone"))
        tx.schedule("expire", "k", tx.now)
        raise ZeroDivisionError


async def test_state_outbox_task_timer_and_position_are_written_together(toy: Harness) -> None:
    await toy.receive(an_activation())
    assert await written(toy) == 5


async def test_a_transaction_that_fails_at_its_end_leaves_nothing(toy: Harness) -> None:
    with pytest.raises(ZeroDivisionError):
        await fail_at_the_end(toy)
    assert await written(toy) == 0


async def test_a_savepoint_takes_back_what_was_buffered_in_it(toy: Harness) -> None:
    async with toy.transaction() as tx:
        tx.publish(an_activation("V-kept"))
        with pytest.raises(ZeroDivisionError):
            await undone_in_a_savepoint(tx)
    assert await written(toy) == 1


async def test_a_repeated_message_has_no_second_effect(toy: Harness) -> None:
    command = an_activation()
    await toy.receive(command)
    await toy.receive_again(command)
    assert await written(toy) == 5


async def test_a_message_twice_in_one_batch_is_applied_once(toy: Harness) -> None:
    record = toy.record(an_activation())
    await toy.receive_records(record, record)
    assert await written(toy) == 5


async def test_two_consumers_with_the_same_record_apply_it_once(toy: Harness) -> None:
    records = [toy.record(an_activation(f"V-{n}")) for n in range(20)]
    await asyncio.gather(*(toy.receive_records(*records) for _ in range(4)))
    assert len(await toy.published(ActivationFailed)) == 20


async def test_a_commit_whose_answer_is_lost_has_no_second_effect(make_database: MakeDatabase) -> None:
    url = await make_database("toy", migrate)
    async with a_proxy(url) as proxy, Harness(a_service(), proxy.url) as toy:
        command = an_activation()
        proxy.lose_next_commit_answer()
        with pytest.raises(TRANSIENT):
            await toy.receive(command)
        assert (proxy.cuts, await value(url, "SELECT count(*) FROM applied")) == (1, 1)
        await toy.receive_again(command)
        assert await value(url, "SELECT count(*) FROM chassis.outbox") == 1


async def test_an_outcome_whose_commit_answer_is_lost_is_recorded_once(make_database: MakeDatabase) -> None:
    url = await make_database("toy", migrate)
    async with a_proxy(url) as proxy, Harness(a_service(), proxy.url) as toy:
        await toy.receive(an_activation())
        proxy.lose_next_commit_answer()
        with pytest.raises(TRANSIENT):
            await toy.run_effects()
        await toy.run_effects()
        assert (proxy.cuts, await value(url, "SELECT told FROM applied")) == (1, 1)


async def test_a_value_that_no_column_can_hold_is_the_messages_fault(toy: Harness) -> None:
    await toy.receive(an_activation("wide-1"), an_activation("V-1"))
    assert [row["reason"] for row in await toy.parked()] == [ParkReason.FAILED]


async def test_a_message_over_256_kib_fails_its_transaction(toy: Harness) -> None:
    configuration: dict[str, object] = {f"key.{n}": "x" * 60_000 for n in range(5)}
    with pytest.raises(MessageTooLarge, match="262144 are allowed"):
        async with toy.transaction() as tx:
            tx.publish(an_activation(configuration=configuration))
    assert await written(toy) == 0


async def test_an_alert_takes_any_subject(toy: Harness) -> None:
    async with toy.transaction() as tx:
        tx.alert(AlertKind.TASK_FAILING, "señor / ¿quién? " * 20, "look at it")
        tx.alert(AlertKind.TASK_FAILING, "", "look at it")
    assert await written(toy) == 2


async def test_a_timer_set_again_replaces_the_first(toy: Harness) -> None:
    async with toy.transaction() as tx:
        tx.schedule("expire", "k", tx.now)
    async with toy.transaction() as tx:
        tx.schedule("expire", "k", tx.now + timedelta(days=1))
        tx.schedule("expire", "other", tx.now)
        tx.unschedule("expire", "other")
    assert await written(toy) == 1


async def test_a_reading_transaction_cannot_write(toy: Harness) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with toy.runtime.reading() as tx:
            await tx.execute("DELETE FROM applied")
