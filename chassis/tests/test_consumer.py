"""Promise 8 on the consuming side: the settings that keep messages from being lost, and what really arrives."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from faststream import AckPolicy

from caas_chassis.planning import ParkReason
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.settings import ServiceSettings
from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts.topics import OTA_COMMANDS
from chassis.tests.running import (
    Pair,
    a_name,
    a_pair,
    eventually,
    eventually_equal,
    publish,
    send_record,
    started,
    value,
)
from chassis.tests.toy_service import MIGRATIONS, WELCOME, a_service, an_activation

TYPE = b"caas.ota.ActivateService.v1"


def all_subscribers() -> list[Any]:
    """Every subscriber of every broker that the chassis builds."""
    runtime = Runtime(a_service(), ServiceSettings(database_url="postgresql://x"))
    return list(runtime.consumer._build().subscribers)


def test_every_subscriber_commits_only_what_the_database_has() -> None:
    (subscriber,) = all_subscribers()
    assert subscriber.ack_policy is AckPolicy.MANUAL
    assert subscriber._connection_args["enable_auto_commit"] is False
    assert subscriber._connection_args["auto_offset_reset"] == "earliest"


def test_every_subscriber_has_its_group_and_never_replies() -> None:
    (subscriber,) = all_subscribers()
    assert subscriber.group_id == "caas-ota"
    assert subscriber._no_reply is True


def test_no_subscriber_creates_topics() -> None:
    runtime = Runtime(a_service(), ServiceSettings(database_url="postgresql://x"))
    assert runtime.consumer._build().config.allow_auto_create_topics is False


def test_a_service_reads_its_own_commands_besides_what_it_handles() -> None:
    assert [topic.name for topic in Service("billing", MIGRATIONS, {}).reads] == ["caas.billing.commands.v1"]
    assert [topic.name for topic in a_service().reads] == [OTA_COMMANDS.name]


@pytest.fixture
async def pair(make_database: MakeDatabase, broker: str) -> AsyncIterator[Pair]:
    """Both services, running."""
    pair = await a_pair(make_database, broker)
    async with started(pair.ota, pair.orders):
        await eventually(lambda: is_consuming(pair.ota))
        yield pair


async def is_consuming(runtime: Runtime) -> bool:
    return runtime.consumer.healthy


async def test_records_of_foreign_producers_are_parked_and_others_flow(pair: Pair, broker: str) -> None:
    good = [("ce_id", a_name("id").encode()), ("ce_source", b"partner"), ("ce_type", TYPE)]
    vehicle = a_name("V")
    for value_, headers in (
        (b"{}", [("ce_id", b"\xff\xfe"), *good[1:]]),
        (None, good),
        (b"\xff", [*good, ("reply_to", b"caas.orders.commands.v1")]),
        (an_activation(vehicle).to_json(), good),
    ):
        await send_record(broker, OTA_COMMANDS.name, value_, headers, key=vehicle.encode())
    await eventually_equal(1, pair.ota_url, "SELECT count(*) FROM applied WHERE vehicle_id = $1", vehicle)
    parked = "SELECT count(*) FROM chassis.parked WHERE reason = $1 AND key = $2"
    assert await value(pair.ota_url, parked, ParkReason.INVALID, vehicle.encode()) == 3


async def test_a_header_without_a_value_stops_nothing(pair: Pair, broker: str) -> None:
    vehicle = a_name("V")
    without_value: Any = ("ce_id", None)
    await send_record(broker, OTA_COMMANDS.name, b"{}", [without_value], key=vehicle.encode())
    await publish(pair.orders, [an_activation(vehicle)])
    await eventually_equal(1, pair.ota_url, "SELECT count(*) FROM applied WHERE vehicle_id = $1", vehicle)


async def test_many_failures_in_a_row_stop_consuming_and_readiness_says_so(pair: Pair) -> None:
    name = a_name("poison")
    await publish(pair.orders, [an_activation(f"{name}-{n}") for n in range(60)])

    async def stopped() -> bool:
        return pair.ota.consumer.failure is not None

    await eventually(stopped)
    assert (await pair.ota.readiness())["consumer"] is False
    # The repaired service goes on where the broken one stopped.
    WELCOME.update(f"{name}-{n}" for n in range(60))
    pair.ota.processor._failures_in_a_row, pair.ota.consumer._failure = 0, None
    await eventually_equal(60, pair.ota_url, "SELECT count(*) FROM applied WHERE vehicle_id LIKE $1", f"{name}%")
