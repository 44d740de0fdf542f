"""Promise 8: any order of starting, SIGTERM finishes what is in hand, readiness tells the truth."""

import asyncio
import json
from pathlib import Path

import pytest

from caas_chassis.cause import Cause
from caas_chassis.logwatch import LogWatch
from caas_chassis.runtime import Runtime
from caas_chassis.settings import ServiceSettings
from caas_chassis.testing.plugin import MakeDatabase, StartKafka, StartPostgres
from caas_chassis.topicadmin import all_topics, create_topics
from caas_contracts.topics import OTA_COMMANDS
from chassis.tests.processes import a_toy_process, wait_until_ready
from chassis.tests.running import (
    a_name,
    a_pair,
    a_runtime,
    eventually,
    eventually_equal,
    migrate,
    publish,
    send_record,
    started,
    value,
)
from chassis.tests.toy_service import a_service, an_activation


@pytest.mark.timeout(240)
async def test_it_starts_before_postgres_kafka_and_topics_and_survives_their_restart(
    start_postgres: StartPostgres, start_kafka: StartKafka, tmp_path: Path
) -> None:
    postgres, kafka = start_postgres(), start_kafka()
    url, bootstrap = postgres.create_database("toy"), kafka.bootstrap_servers
    await asyncio.to_thread(postgres.stop)
    await asyncio.to_thread(kafka.stop)
    with a_toy_process(tmp_path, url, bootstrap) as toy:
        toy.start()
        await asyncio.sleep(3.0)
        assert not toy.ready()
        await asyncio.to_thread(postgres.start, end_with_parent=True)
        await asyncio.to_thread(kafka.start, end_with_parent=True)
        await asyncio.sleep(1.0)
        await create_topics(bootstrap, all_topics())
        await asyncio.to_thread(wait_until_ready, toy)
        await send(bootstrap, "V-1")
        await eventually_equal(1, url, "SELECT count(*) FROM applied", within_s=60)
        await asyncio.to_thread(postgres.kill)
        await asyncio.to_thread(kafka.kill)
        await asyncio.to_thread(postgres.start, end_with_parent=True)
        await asyncio.to_thread(kafka.start, end_with_parent=True)
        await send(bootstrap, "V-2")
        await eventually_equal(2, url, "SELECT sum(told) FROM applied", within_s=90)
        assert toy.terminate()


async def send(bootstrap: str, vehicle: str) -> None:
    headers = [("ce_id", vehicle.encode()), ("ce_source", b"test"), ("ce_type", b"caas.ota.ActivateService.v1")]
    await send_record(bootstrap, OTA_COMMANDS.name, an_activation(vehicle).to_json(), headers)


async def test_sigterm_finishes_what_is_in_hand(make_database: MakeDatabase, broker: str, tmp_path: Path) -> None:
    url = await make_database("toy", migrate)
    with a_toy_process(tmp_path, url, broker) as toy:
        toy.start()
        await asyncio.to_thread(wait_until_ready, toy)
        assert await asyncio.to_thread(toy.terminate)
        lines = [json.loads(line) for line in toy.log().splitlines() if line]
    assert "started" in {line["event"] for line in lines}
    assert "loop_cancelled" not in {line["event"] for line in lines}


async def test_nothing_is_lost_or_doubled_while_consumers_come_and_go(make_database: MakeDatabase, broker: str) -> None:
    pair, name = await a_pair(make_database, broker), a_name("V")
    async with started(pair.orders):
        for round_ in range(3):
            async with started(Runtime(a_service(), pair.ota.settings)):
                await publish(pair.orders, [an_activation(f"{name}-{n % 20}") for n in range(200)])
                await asyncio.sleep(0.3 * round_)
        async with started(pair.ota):
            await eventually_equal(
                600, pair.ota_url, "SELECT count(*) FROM applied WHERE vehicle_id LIKE $1", f"{name}%"
            )
    assert await value(pair.ota_url, "SELECT count(*) FROM chassis.parked WHERE stream_key LIKE $1", f"{name}%") == 0


async def test_with_pending_migrations_it_waits_and_says_so(start_postgres: StartPostgres) -> None:
    url = start_postgres().create_database("empty")
    runtime = Runtime(a_service(), ServiceSettings(database_url=url, kafka_bootstrap_servers="127.0.0.1:9"))
    async with started(runtime):
        await asyncio.sleep(0.5)
        assert await runtime.readiness() == {"database": True, "migrated": False, "started": False}
        await runtime.migrate()

        async def is_started() -> bool:
            return (await runtime.readiness())["started"]

        await eventually(is_started)
        assert (await runtime.readiness())["consumer"] is False


async def test_readiness_is_false_while_the_outbox_is_not_emptied(make_database: MakeDatabase) -> None:
    runtime = a_runtime(a_service(), await make_database("toy", migrate), "127.0.0.1:9")
    async with runtime.transaction(Cause.of_person("test")) as tx:
        tx.publish(an_activation())
    async with runtime.transaction(Cause.of_person("test")) as tx:
        await tx.execute("UPDATE chassis.outbox SET created_at = now() - interval '61 s'")
    async with started(runtime):
        await eventually(lambda: outbox_is_late(runtime))


async def outbox_is_late(runtime: Runtime) -> bool:
    return (await runtime.readiness()).get("outbox") is False


async def test_the_log_watch_is_unhealthy_when_no_broker_answers(make_database: MakeDatabase) -> None:
    runtime = a_runtime(a_service(), await make_database("toy", migrate), "127.0.0.1:9")
    watch = next(loop for loop in runtime._loops if isinstance(loop, LogWatch))
    await watch.start()
    for _ in range(3):
        await watch.run_once()
    assert not watch.healthy
    await watch.stop()
    await runtime.database.close()
