"""The generator as a process, on a real broker: what it sent, counted by itself, is what its book says."""

import asyncio
import json
import subprocess
from collections import defaultdict
from collections.abc import Callable, Collection
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from caas_sandbox.usage.month import invented
from caas_sandbox.usage.topic import TOPIC
from deploy.sandbox.tests.gateway.harness import wait_until

type StartPartner = Callable[..., tuple[subprocess.Popen[str], httpx.Client]]
MONTH = "2026-10"


@pytest.fixture
async def topic(kafka_bootstrap: str) -> str:
    """The broker with the topic of usage."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, 3, 1)])
    except TopicAlreadyExistsError:
        pass
    finally:
        await admin.close()
    return kafka_bootstrap


type Place = tuple[int, int]
type Sent = tuple[dict[str, str], dict[str, Any]]


async def log_of(bootstrap: str) -> dict[Place, Any]:
    """Everything on the topic by partition and offset; the broker is shared, so others may have written to it."""
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        parts = list(consumer.assignment())
        ends, begins = await consumer.end_offsets(parts), await consumer.beginning_offsets(parts)
        found: dict[Place, Any] = {}
        async with asyncio.timeout(60):
            while len(found) < sum(ends.values()) - sum(begins.values()):
                for part in (await consumer.getmany(timeout_ms=500)).values():
                    found |= {(record.partition, record.offset): record for record in part}
    finally:
        await consumer.stop()
    return found


async def sent_since(bootstrap: str, before: Collection[Place]) -> list[Sent]:
    """Headers and body of what was not there before, in the order of each partition."""
    new = [record for place, record in (await log_of(bootstrap)).items() if place not in before]
    return [({name: value.decode() for name, value in one.headers}, json.loads(one.value)) for one in new]


async def test_the_book_is_the_sum_of_what_was_sent(start_partner: StartPartner, tmp_path: Path, topic: str) -> None:
    process, http = start_partner("usage", tmp_path, "--bootstrap-servers", topic)
    known = list(invented(40, seed=11))
    agreements = [one.model_dump(mode="json") for one in known]
    assert http.post("/sandbox/agreements", json=agreements).json() == {"agreements": 40}
    before = await log_of(topic)

    replay = replayed(http, {"month": MONTH, "seed": 5, "events": 3000})
    sent = await sent_since(topic, before)
    assert replay["sent"] == len(sent) == 3000 + replay["counts"]["duplicates"]
    assert {name for headers, _ in sent for name in headers} == {
        "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "ce_partitionkey", "content-type",
    }  # fmt: skip

    book = http.get("/sandbox/books", params={"month": MONTH}).json()
    theirs = {one["subscription_id"]: one["owed_minor"] for one in pages(http)}
    assert book["owed_minor"] == {"EUR": sum(theirs.values())}
    assert theirs == reckoned_from_records(sent, agreements)

    process.kill()
    process.wait(10)
    _, http = start_partner("usage", tmp_path, "--bootstrap-servers", topic)
    assert http.get("/sandbox/books", params={"month": MONTH}).json() == book


async def test_a_single_use_sent_twice_is_booked_once_and_one_that_is_free_not_at_all(
    start_partner: StartPartner, tmp_path: Path, topic: str
) -> None:
    _, http = start_partner("usage", tmp_path, "--bootstrap-servers", topic)
    (agreement,) = invented(1, seed=12)
    http.post("/sandbox/agreements", json=[agreement.model_dump(mode="json")])
    use = {
        "usage_id": "00000000-0000-4000-8000-000000000001",
        "subscription_id": agreement.subscription_id,
        "occurred_at": "2026-10-31T23:59:59.999999+01:00",
        "quantity": "2",
        "unit": "km",
    }
    before = await log_of(topic)
    for billed_in in (MONTH, MONTH, None):
        assert http.post("/sandbox/usage", json=[{**use, "billed_in": billed_in}]).status_code == 201
    assert http.get("/sandbox/books", params={"month": MONTH}).json()["owed_minor"] == {"EUR": 7}
    told = [body for _, body in await sent_since(topic, before)]
    assert [body["occurred_at"] for body in told] == ["2026-10-31T22:59:59.999999Z"] * 3
    nobody = {**use, "subscription_id": "nobody"}
    assert http.post("/sandbox/usage", json=[nobody]).status_code == 404


def replayed(http: httpx.Client, wish: dict[str, Any]) -> dict[str, Any]:
    """Wish, and wait until it is done."""
    serial = http.post("/sandbox/replays", json=wish).json()["replay_id"]
    path = f"/sandbox/replays/{serial}"
    wait_until(lambda: http.get(path).json()["status"] == "done", "the replay")
    done: dict[str, Any] = http.get(path).json()
    return done


def pages(http: httpx.Client) -> list[dict[str, Any]]:
    """Everyone's bill, seven at a time."""
    found: list[dict[str, Any]] = []
    cursor, more = 0, True
    while more:
        page = http.get("/sandbox/books/subscriptions", params={"month": MONTH, "cursor": cursor, "limit": 7}).json()
        found += page["subscriptions"]
        cursor, more = page["next_cursor"], page["has_more"]
    return found


def reckoned_from_records(sent: list[Sent], agreements: list[dict[str, Any]]) -> dict[str, int]:
    """A third sum, from the records alone, with fractions."""
    by_subject = {one["subscription_id"]: one for one in agreements}
    by_subject |= {f"{one['vehicle_id']}/{one['service_code']}": one for one in agreements}
    uses: dict[tuple[str, str], dict[str, tuple[Fraction, str]]] = defaultdict(dict)
    for _, body in sent:
        subject = "/".join(filter(None, [body["subject_id"], body.get("service_code")]))
        agreement = by_subject.get(subject)
        if agreement and body["unit"] in (agreement["prices"][0]["unit"], "use"):
            day = datetime.fromisoformat(body["occurred_at"]).astimezone(ZoneInfo("Europe/Madrid")).date().isoformat()
            place = (agreement["subscription_id"], day[:7])
            uses[place][body["usage_id"]] = (Fraction(body["quantity"]), day)
    owed = {one["subscription_id"]: 990 if one["prices"][0]["kind"] == "flat_monthly" else 0 for one in agreements}
    for (subscription_id, _), found in uses.items():
        price = by_subject[subscription_id]["prices"][0]
        total = sum((quantity for quantity, _ in found.values()), Fraction(0))
        match price["kind"]:
            case "per_use":
                parts = [total * Fraction(price["rate"])]
            case "per_day_used":
                parts = [len({day for _, day in found.values()}) * Fraction(price["rate"])]
            case "tiered":
                parts = [min(total, Fraction(100)) * 4, max(total - 100, Fraction(0)) * Fraction("1.25")]
            case _:
                parts = []
        owed[subscription_id] += sum(int(part + Fraction(1, 2)) for part in parts)
    return owed
