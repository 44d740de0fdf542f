"""Promise 5: business deadlines fire once, by the business clock, and a failing one holds up no other."""

from collections.abc import Sequence
from datetime import timedelta

from caas_chassis.service import Service
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_chassis.timers import DueTimer
from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertRaised
from chassis.tests.running import migrate, query, value
from chassis.tests.toy_service import MIGRATIONS, an_activation


async def expired(toy: Harness) -> object:
    return await value(toy.runtime.settings.database_url, "SELECT count(*) FROM applied WHERE expired")


async def test_a_timer_fires_when_business_time_has_come(toy: Harness) -> None:
    await toy.receive(*(an_activation(f"V-{n}") for n in range(700)))
    await toy.move_clock(timedelta(minutes=59))
    assert await expired(toy) == 0
    await toy.move_clock(timedelta(minutes=2))
    assert await expired(toy) == 700


async def fail_for_some(due: Sequence[DueTimer], /, *, tx: Tx) -> None:
    for timer in due:
        if timer.key.startswith("bad"):
            raise RuntimeError("this timer breaks its handler")
        await tx.execute("INSERT INTO applied VALUES (gen_random_uuid(), $1)", timer.key)


async def test_a_failing_timer_holds_up_no_other_and_alerts(make_database: MakeDatabase) -> None:
    service = Service("ota", MIGRATIONS, {}, timers={"t": fail_for_some})
    async with Harness(service, await make_database("toy", migrate)) as toy:
        url = toy.runtime.settings.database_url
        async with toy.transaction() as tx:
            for key in ("bad", "good-1", "good-2"):
                tx.schedule("t", key, tx.now)
        for _ in range(6):
            await toy.runtime.timers.run_once()
            await query(url, "UPDATE chassis.timer SET retry_at = now()")
        assert await value(url, "SELECT count(*) FROM applied") == 2
        assert len(await toy.published(AlertRaised)) == 1
