"""Card data sent into every entrance of the running platform is refused or parked, and is then nowhere (GW-6)."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiomqtt
import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaProducer
from standardwebhooks import Webhook

from caas_chassis.topicadmin import all_topics
from caas_chassis.topicreading import read_topic
from caas_contracts import MESSAGES, TOPICS
from caas_contracts.examples import EXAMPLES
from caas_local.demo.databases import PARKED
from caas_local.layout import SERVICES
from caas_local.tokens import fetch_token
from tests.flows.market import Market

ROLES = ["customer", "dealer", "operator", "partner"]
STORED = "SELECT count(*) FROM acknowledgement"
TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'chassis') AND NOT c.relispartition
"""


def a_card_number() -> str:
    """A number that no other test and no machine knows: only what came in here can be found."""
    digits = "4" + "".join(random.SystemRandom().choices("0123456789", k=14))
    doubled = [int(digit) * (1 if place % 2 else 2) for place, digit in enumerate(reversed(digits))]
    return f"{digits}{-sum(value - 9 if value > 9 else value for value in doubled) % 10}"


CARD = a_card_number()
GROUPED = " ".join(CARD[start : start + 4] for start in range(0, 16, 4))
TRACK = f";{CARD}=29121010000000000000?"
FORMS = (CARD, GROUPED, CARD[:6] + "-" + CARD[6:], TRACK)
ESCAPED = "".join(f"\\u{ord(digit):04x}" for digit in CARD)
NEEDLES = tuple(form.encode() for form in (CARD, GROUPED, CARD[:6] + "-" + CARD[6:], ESCAPED))

SENT: set[tuple[str, int, int]] = set()
"""Topic, partition and offset of the records that were sent with the number on purpose."""


def held_by(data: bytes) -> bool:
    """Whether the number stands in data, as text or as the hexadecimal digits in which databases show bytes."""
    return any(needle in data or needle.hex().encode() in data for needle in NEEDLES)


def bodies_of(specification: dict[str, Any]) -> list[bytes]:
    """The number in every field that the service's interface names, and where it names none."""
    schemas = specification.get("components", {}).get("schemas", {}).values()
    names = sorted({name for schema in schemas for name in schema.get("properties", {})} | {"note", "cvv"})
    return [
        *(json.dumps(dict.fromkeys(names, form)).encode() for form in FORMS),
        json.dumps({name: int(CARD) for name in names}).encode(),
        json.dumps({"deep": [{"er": [GROUPED]}], CARD: 1}).encode(),
        f'{{"reason": "{ESCAPED}", "note": "{ESCAPED}"}}'.encode(),
        f"reason={GROUPED.replace(' ', '+')}".encode(),
        CARD.encode(),
    ]


def requests_of(base: str, specification: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str], bytes | None]]:
    """Method, address, headers and body: the number in one of them."""
    for path, methods in specification["paths"].items():
        plain, carded = filled(path, str(uuid4())), filled(path, CARD)
        for method in sorted(set(methods) & {"get", "post", "put", "delete", "patch"}):
            if carded != plain:
                yield method, base + carded, {}, None
            yield method, f"{base}{plain}?limit=1&cursor={CARD}", {}, None
            for header in ("Idempotency-Key", "traceparent", "X-Note", "User-Agent", "webhook-id"):
                yield method, base + plain, {header: CARD}, None
            if method != "get":
                for body in bodies_of(specification):
                    yield method, base + plain, {}, body


def filled(path: str, value: str) -> str:
    parts = [value if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts)


@pytest.mark.parametrize("service", SERVICES)
async def test_every_endpoint_refuses_card_data_wherever_it_stands_and_does_not_echo_it(
    market: Market, client: httpx.AsyncClient, service: str
) -> None:
    base = market.platform.layout.url(service)
    token = await fetch_token(market.platform.layout, "C-careless", ROLES)
    specification = (await client.get(f"{base}/openapi.json")).json()
    answers = []
    for method, url, extra, body in requests_of(base, specification):
        headers = {
            "Authorization": f"Bearer {token}", "Idempotency-Key": "careless", "Content-Type": "application/json",
        } | extra  # fmt: skip
        if url.endswith("/webhooks/gateway"):
            headers |= signed(market, body or b"{}", extra.get("webhook-id", f"msg_{uuid4().hex}"))
        answers.append((await client.request(method.upper(), url, content=body, headers=headers), url, body))
    assert len(answers) > 50
    assert not [answer.text[:300] for answer, _, _ in answers if held_by(answer.content)]
    accepted = [(a.request.method, url, body, a.status_code) for a, url, body in answers if a.status_code < 400]
    assert accepted == []
    await assert_nowhere(market)


def signed(market: Market, body: bytes, webhook_id: str) -> dict[str, str]:
    at = datetime.now(UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(market.platform.layout.webhook_secret).sign(
            webhook_id, at, body.decode(errors="replace")
        ),
    }


@asynccontextmanager
async def a_producer(market: Market) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=market.platform.bootstrap_servers)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


type Outgoing = tuple[bytes, bytes, list[tuple[str, bytes]]]


def records_of(topic: str) -> Iterator[Outgoing]:
    """Key, body and headers: the number in one of them, in every message that travels on the topic."""
    kinds = [kind for kind in MESSAGES.values() if getattr(kind, "TOPIC", TOPICS[0]).name == topic]
    for kind in kinds:
        body = json.dumps(EXAMPLES[kind][0]).encode()
        careless = {name: GROUPED if isinstance(value, str) else value for name, value in EXAMPLES[kind][0].items()}
        yield b"k", json.dumps({**EXAMPLES[kind][0], "unknown_field": CARD}).encode(), headers_of(kind.TYPE)
        yield b"k", json.dumps(careless).encode(), headers_of(kind.TYPE)
        yield CARD.encode(), body, headers_of(kind.TYPE)
        yield b"k", body, [*headers_of(kind.TYPE), ("ce_subject", CARD.encode())]
        yield b"k", body, [*headers_of(kind.TYPE), ("ce_sequence", b"1"), ("note", TRACK.encode())]
    event = {"specversion": "1.0", "id": CARD, "source": "careless", "type": "x", "data": {"pan": CARD}}
    yield b"k", json.dumps(event).encode(), [("content-type", b"application/cloudevents+json")]
    yield b"k", f'{{"pan": "{ESCAPED}"}}'.encode(), headers_of("somebody.elses.Event.v1")
    yield b"k", CARD.encode(), []


def headers_of(kind: str) -> list[tuple[str, bytes]]:
    return [("ce_id", uuid4().hex.encode()), ("ce_source", b"careless"), ("ce_type", kind.encode())]


async def test_records_with_card_data_on_any_topic_are_parked_without_it(market: Market) -> None:
    before = {service: await market.databases.number(service, PARKED) for service in SERVICES}
    expected = dict.fromkeys(SERVICES, 0)
    async with a_producer(market) as producer:
        for topic in TOPICS:
            for key, body, headers in records_of(topic.name):
                place = await producer.send_and_wait(topic.name, body, key=key, headers=headers)
                SENT.add((topic.name, place.partition, place.offset))
                for reader in set(topic.consumers) & set(SERVICES):
                    expected[reader] += 1
    for service in SERVICES:
        await until_parked(market, service, before[service] + expected[service])
    await market.databases.until_quiet(180)
    await assert_nowhere(market)


async def until_parked(market: Market, service: str, number: int) -> None:
    async with asyncio.timeout(120):
        while True:
            if await market.databases.number(service, PARKED) >= number:
                return
            await asyncio.sleep(0.2)


async def test_what_cars_say_with_card_data_is_kept_without_it(market: Market) -> None:
    before = await market.databases.number("ota", STORED)
    async with aiomqtt.Client("127.0.0.1", market.platform.layout.ports["mqtt"], timeout=10) as car:
        for form in FORMS:
            body = json.dumps({"command_id": str(uuid4()), "status": form})
            await car.publish("caas/vehicles/V-careless/acknowledgements", body, qos=1, timeout=10)
    await until_stored(market, before + len(FORMS))
    await assert_nowhere(market)


async def until_stored(market: Market, number: int) -> None:
    async with asyncio.timeout(120):
        while True:
            if await market.databases.number("ota", STORED) >= number:
                return
            await asyncio.sleep(0.2)


async def assert_nowhere(market: Market) -> None:
    """No log, no table and no topic has the number, but for the records that were sent on purpose."""
    assert logs_with_card(market.platform.layout.state_dir) == []
    for service in SERVICES:
        assert await tables_with_card(market.platform.postgres.url(f"caas_{service}")) == []
    assert await topics_with_card(market.platform.bootstrap_servers) == []


def logs_with_card(folder: Path) -> list[Path]:
    """The logs of all processes of ours and of the servers; Kafka's data hold the records themselves."""
    logs = [path for path in folder.rglob("*.log") if "data" not in path.relative_to(folder).parts]
    assert len(logs) >= len(SERVICES)
    return [path for path in logs if held_by(path.read_bytes())]


async def tables_with_card(url: str) -> list[tuple[str, str]]:
    """Every row of every table as text, as a dump has it; bytes are shown in hexadecimal digits."""
    connection = await asyncpg.connect(url, timeout=20, command_timeout=60)
    try:
        names: Sequence[str] = [row["name"] for row in await connection.fetch(TABLES)]
        assert len(names) > 10
        rows = [
            (name, row["t"]) for name in names for row in await connection.fetch(f"SELECT t::text AS t FROM {name} t")
        ]
    finally:
        await connection.close(timeout=20)
    return [(name, text[:500]) for name, text in rows if held_by(text.encode())]


async def topics_with_card(bootstrap_servers: str) -> list[tuple[str, int]]:
    """Records with the number in key, headers or body, dead letters included, that nobody sent on purpose."""
    found = []
    for topic in all_topics():
        async for page in read_topic(bootstrap_servers, topic.name):
            for record in page:
                parts = [record.key or b"", record.value, *(part for _, part in record.headers)]
                if (record.topic, record.partition, record.offset) not in SENT and held_by(b"\n".join(parts)):
                    found.append((record.topic, record.offset))
    return found
