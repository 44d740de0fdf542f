"""Promise 5: calls to partners happen at least once with the same payload, outcomes are recorded once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from caas_chassis.effects import ALERT_AFTER_ATTEMPTS
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts.operations import AlertRaised
from chassis.tests.running import migrate, query, value
from chassis.tests.toy_service import Told, a_service, an_activation

type Call = Callable[[Told], Awaitable[str]]


class Partner:
    """Remembers whom it was told about; fails as often as asked, answers when let."""

    def __init__(self, failures: int = 0) -> None:
        self.told: list[Told] = []
        self.called = asyncio.Event()
        self.failures = failures
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, told: Told) -> str:
        self.told.append(told)
        self.called.set()
        await self.may_answer.wait()
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the partner's answer was not foreseen")
        return "ok"


@pytest.fixture
async def url(make_database: MakeDatabase) -> str:
    return await make_database("toy", migrate)


@asynccontextmanager
async def a_toy(url: str, partner: Call) -> AsyncIterator[Harness]:
    async with Harness(a_service(partner), url) as toy:
        yield toy


async def test_a_call_is_made_after_the_commit_and_its_outcome_recorded(url: str) -> None:
    async with a_toy(url, partner := Partner()) as toy:
        await toy.receive(an_activation(), an_activation("V-2"))
        assert not partner.told
        await toy.run_effects()
    assert (len(partner.told), await value(url, "SELECT min(told) FROM applied")) == (2, 1)
    assert await value(url, "SELECT count(*) FROM chassis.task") == 0


async def test_a_call_of_a_process_that_died_is_made_again_with_the_same_payload(url: str) -> None:
    dying, partner = Partner(), Partner()
    dying.may_answer.clear()
    async with a_toy(url, dying) as toy:
        await toy.receive(an_activation())
        worker = asyncio.create_task(toy.runtime.effects["tell"].run_once())
        await dying.called.wait()
        worker.cancel()  # It neither records nor extends its lease any more.
    async with a_toy(url, partner) as toy:
        await toy.run_effects()
        assert not partner.told  # The lease of the dead process still holds.
        await query(url, "UPDATE chassis.task SET due_at = now()")
        await toy.run_effects()
    assert (partner.told, await value(url, "SELECT told FROM applied")) == (dying.told, 1)


async def test_two_workers_share_the_tasks(url: str) -> None:
    one, other = Partner(), Partner()
    async with a_toy(url, one) as first, a_toy(url, other) as second:
        await first.receive(*(an_activation(f"V-{n}") for n in range(100)))
        await asyncio.gather(first.run_effects(), second.run_effects())
    assert len({told.activation_id for told in one.told + other.told}) == len(one.told) + len(other.told) == 100


async def test_a_long_call_keeps_its_lease(url: str) -> None:
    slow = Partner()
    slow.may_answer.clear()
    async with a_toy(url, slow) as toy:
        await toy.receive(an_activation())
        worker = toy.runtime.effects["tell"]
        await worker._claim(1)
        await query(url, "UPDATE chassis.task SET due_at = now()")
        worker._extended_at = 0.0
        await worker._extend_leases()
        assert await value(url, "SELECT due_at > now() + interval '3 s' FROM chassis.task")
        slow.may_answer.set()
        await toy.run_effects()


async def test_an_outcome_that_another_worker_recorded_is_not_recorded_again(url: str) -> None:
    slow = Partner()
    slow.may_answer.clear()
    async with a_toy(url, slow) as late, a_toy(url, Partner()) as quick:
        await late.receive(an_activation())
        await late.runtime.effects["tell"].run_once()
        await query(url, "UPDATE chassis.task SET due_at = now()")
        await quick.run_effects()
        slow.may_answer.set()
        await late.run_effects()
    assert await value(url, "SELECT told FROM applied") == 1


async def test_a_failing_call_is_repeated_and_then_recorded(url: str) -> None:
    async with a_toy(url, partner := Partner(failures=2)) as toy:
        await toy.receive(an_activation())
        for _ in range(3):
            await toy.skip_delays()
            await toy.run_effects()
    assert (len(partner.told), await value(url, "SELECT told FROM applied")) == (3, 1)


async def test_a_call_that_goes_on_failing_alerts_once(url: str) -> None:
    async with a_toy(url, Partner(failures=100)) as toy:
        await toy.receive(an_activation())
        for _ in range(ALERT_AFTER_ATTEMPTS + 2):
            await toy.skip_delays()
            await toy.run_effects()
        assert [alert.kind for alert in await toy.published(AlertRaised)] == ["task_failing"]
    assert await value(url, "SELECT last_error LIKE 'RuntimeError%' FROM chassis.task")


async def test_a_call_that_takes_too_long_is_given_up_and_repeated(url: str) -> None:
    slow = Partner()
    slow.may_answer.clear()
    async with a_toy(url, slow) as toy:
        await toy.receive(an_activation())
        await toy.run_effects()
        assert await value(url, "SELECT last_error FROM chassis.task") == "TimeoutError: "
        slow.may_answer.set()
        await toy.skip_delays()
        await toy.run_effects()
    assert await value(url, "SELECT told FROM applied") == 1


async def test_a_payload_that_cannot_be_read_holds_up_no_other(url: str) -> None:
    async with a_toy(url, partner := Partner()) as toy:
        await toy.receive(an_activation())
        await query(url, "UPDATE chassis.task SET payload = 'x'")
        await toy.receive(an_activation())
        await toy.run_effects()
    assert len(partner.told) == 1
    assert await value(url, "SELECT last_error LIKE 'ValidationError%' FROM chassis.task")


async def test_a_worker_that_is_stopped_records_the_call_in_hand(url: str) -> None:
    slow = Partner()
    slow.may_answer.clear()
    async with a_toy(url, slow) as toy:
        worker = toy.runtime.effects["tell"]
        await worker.start()
        await toy.receive(an_activation())
        await slow.called.wait()
        asyncio.get_running_loop().call_later(0.2, slow.may_answer.set)
        await worker.stop()
    assert await value(url, "SELECT told FROM applied") == 1
