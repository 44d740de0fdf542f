"""The bridge as it is deployed: floods, broker and database away, processes killed, an outside subscriber."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import psutil
from aiokafka import AIOKafkaConsumer

from caas_chassis.embedded import EmbeddedKafka
from caas_chassis.testing.databases import ensure_serving_role
from caas_chassis.testing.plugin import MakeDatabase, StartKafka, StartPostgres
from caas_chassis.topicadmin import all_topics, create_topics
from caas_contracts.topics import GATEWAY_WEBHOOKS
from services.payments.tests.builders import an_authorization
from services.payments.tests.conftest import migrate
from services.payments.tests.sandbox_gateway import API_KEY, running_sandbox
from services.payments.tests.test_process import free_port, until_ready
from services.payments.tests.test_process import send as send_command
from services.payments.tests.web import SECRET
from services.payments.tests.webhook_builders import a_body, send, signed

DEADLINE_S = 60.0
CONNECTIONS = 200
FLOOD = 3_000
NOBODY = "127.0.0.1:9"


class Bridge:
    """A process of payments: `client` speaks to it; it is killed with the block if it still runs."""

    def __init__(self, port: int, variables: dict[str, str]) -> None:
        self.port = port
        self._environment = {**os.environ, **variables}
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30.0)
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "caas_payments", "serve"], env=self._environment)

    async def post(self, webhook_id: str, body: bytes) -> int:
        """Sends a webhook; returns the status, 0 when no answer came."""
        try:
            return (await send(self.client, body, signed(body, webhook_id=webhook_id))).status_code
        except httpx.HTTPError:
            return 0

    async def deliver(self, webhook_id: str, body: bytes) -> None:
        """As a gateway does: again and again, until a 2xx."""
        async with asyncio.timeout(DEADLINE_S):
            while await self.post(webhook_id, body) != 200:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)


@asynccontextmanager
async def a_bridge(url: str, bootstrap: str, **variables: str) -> AsyncIterator[Bridge]:
    port = int(variables.get("CAAS_PAYMENTS_HTTP_PORT", "0")) or free_port()
    own = {
        "CAAS_PAYMENTS_DATABASE_URL": url,
        "CAAS_PAYMENTS_GATEWAY_URL": f"http://{NOBODY}",
        "CAAS_PAYMENTS_GATEWAY_API_KEY": API_KEY,
        "CAAS_PAYMENTS_WEBHOOK_SECRET": SECRET,
        "CAAS_PAYMENTS_HTTP_PORT": str(port),
        "CAAS_LOG_LEVEL": "ERROR",
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
    }
    bridge = Bridge(port, own | variables)
    try:
        yield bridge
    finally:
        await bridge.client.aclose()
        if bridge.process.poll() is None:
            bridge.process.kill()
        bridge.process.wait(10.0)


async def until_alive(bridge: Bridge) -> None:
    """Webhooks are taken as soon as HTTP and the database are there."""
    await bridge.deliver("msg_alive", a_body("first"))


async def value(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url, timeout=10.0, command_timeout=10.0)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


STORED = "SELECT count(*) FROM webhooks"
PUBLISHED = "SELECT count(*) FROM chassis.outbox WHERE aggregatetype = 'caas.gateway.webhooks.v1'"


async def subscribed(bootstrap: str, wanted: Sequence[str]) -> Counter[str]:
    """What somebody else's system, which knows the topic only, sees of these webhooks."""
    seen: Counter[str] = Counter()
    async with AIOKafkaConsumer(
        GATEWAY_WEBHOOKS.name, bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        async with asyncio.timeout(DEADLINE_S):
            while set(wanted) - seen.keys():
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    seen.update(json.loads(record.value).get("webhook_id", "") for record in records)
        for records in (await consumer.getmany(timeout_ms=1_000)).values():
            seen.update(json.loads(record.value).get("webhook_id", "") for record in records)
    return Counter({webhook_id: seen[webhook_id] for webhook_id in wanted})


async def flood(port: int, webhooks: Sequence[tuple[str, bytes, bytes]]) -> list[int]:
    """Send all over 200 kept connections, one under way on each; the statuses in order, 0 where no answer came."""
    pending = iter(enumerate(webhooks))
    statuses = [0] * len(webhooks)

    async def send_on_one_connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for index, (webhook_id, signed_body, sent_body) in pending:
            fields = signed(signed_body, webhook_id=webhook_id) | {
                "host": "bridge",
                "content-length": str(len(sent_body)),
            }
            head = "".join(f"{name}: {field}\r\n" for name, field in fields.items())
            writer.write(f"POST /webhooks/gateway HTTP/1.1\r\n{head}\r\n".encode() + sent_body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(answer.partition("content-length: ")[2].partition("\r\n")[0]))
            statuses[index] = int(answer.split()[1])
        writer.close()

    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(send_on_one_connection())
    return statuses


async def test_a_flood_is_answered_honestly_and_every_2xx_is_stored_and_seen_once(
    make_database: MakeDatabase, kafka_bootstrap: str
) -> None:
    url = await make_database("payments", migrate)
    await create_topics(kafka_bootstrap, all_topics())
    run = url.rpartition("_")[2]
    async with a_bridge(url, kafka_bootstrap) as bridge:
        await until_ready(bridge.port)
        names = [f"flood-{run}-{number}" for number in range(FLOOD)]
        bodies = {name: a_body(id=name) for name in names}
        # Every tenth is sent twice at about the same time, every seventh is forged.
        genuine = sorted([*names, *names[::10]])
        forged = [(f"{name}-forged", bodies[name], bodies[name] + b" ") for name in names[::7]]
        flooding = asyncio.create_task(
            flood(bridge.port, [*((name, bodies[name], bodies[name]) for name in genuine), *forged])
        )
        alive = [(await bridge.client.get("/health/live", timeout=10.0)).status_code for _ in range(5)]
        statuses = await flooding
        memory_mb = psutil.Process(bridge.process.pid).memory_info().rss / 1e6
        assert set(statuses[: len(genuine)]) <= {200, 503}
        assert set(statuses[len(genuine) :]) == {400}
        assert alive == [200] * 5
        assert memory_mb < 300
        accepted = {name for name, status in zip(genuine, statuses, strict=False) if status == 200}
        assert len(accepted) > FLOOD / 2
        for name in set(names) - accepted:
            await bridge.deliver(name, bodies[name])
        assert await value(url, STORED) == await value(url, PUBLISHED) == FLOOD
        assert set((await subscribed(kafka_bootstrap, names)).values()) == {1}


async def test_webhooks_are_taken_while_kafka_is_down_and_published_when_it_is_back(
    make_database: MakeDatabase, start_kafka: StartKafka
) -> None:
    url = await make_database("payments", migrate)
    kafka: EmbeddedKafka = start_kafka()
    await create_topics(kafka.bootstrap_servers, all_topics())
    async with a_bridge(url, kafka.bootstrap_servers) as bridge:
        await until_ready(bridge.port)
        await asyncio.to_thread(kafka.kill)
        names = [f"msg_{number}" for number in range(20)]
        assert [await bridge.post(name, a_body(id=name)) for name in names] == [200] * 20
        assert await value(url, STORED) == 20
        await asyncio.to_thread(kafka.start)
        assert set(await subscribed(kafka.bootstrap_servers, names)) == set(names)


async def test_webhooks_are_refused_while_the_database_is_down_and_none_is_lost(
    start_postgres: StartPostgres, kafka_bootstrap: str, tmp_path: Path
) -> None:
    """The real sandbox gateway delivers again until it is answered 2xx."""
    postgres = start_postgres()
    url = postgres.create_database("payments")
    await ensure_serving_role(url)
    await migrate(url)
    await create_topics(kafka_bootstrap, all_topics())
    port = free_port()
    target = ("--webhook-url", f"http://127.0.0.1:{port}/webhooks/gateway", "--webhook-secret", SECRET)
    with running_sandbox(tmp_path, *target) as sandbox:
        variables = {"CAAS_PAYMENTS_GATEWAY_URL": sandbox.url, "CAAS_PAYMENTS_HTTP_PORT": str(port)}
        async with a_bridge(url, kafka_bootstrap, **variables) as bridge:
            await until_ready(port)
            await send_command(kafka_bootstrap, an_authorization(payment_method="tok_approved"))
            await until_equal(url, STORED, 1)
            await asyncio.to_thread(postgres.stop)
            assert await bridge.post("msg_1", a_body()) == 503
            async with httpx.AsyncClient(base_url=sandbox.url, timeout=10.0) as shop:
                body = {
                    "reference": "another",
                    "amount_minor": 100,
                    "currency": "EUR",
                    "capture": False,
                    "payment_method": "tok_approved",
                }
                headers = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": "another"}
                assert (await shop.post("/transactions", json=body, headers=headers)).status_code in (200, 201)
            await asyncio.sleep(1.0)
            await asyncio.to_thread(postgres.start)
            await until_equal(url, STORED, 2)
            assert await value(url, PUBLISHED) == 2


async def until_equal(url: str, statement: str, expected: object) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while await value(url, statement) != expected:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


async def test_a_process_that_dies_around_the_commit_loses_nothing_and_doubles_nothing(
    make_database: MakeDatabase, kafka_bootstrap: str, tmp_path: Path
) -> None:
    url = await make_database("payments", migrate)
    for point, stored in (("http.before_commit", 0), ("http.after_commit", 1)):
        crash_file = tmp_path / point
        async with a_bridge(url, kafka_bootstrap, CAAS_CRASH_FILE=str(crash_file)) as bridge:
            await bridge.deliver(f"msg_alive_{point}", a_body("first"))
            before = await value(url, STORED)
            crash_file.write_text(point)
            assert await bridge.post(f"msg_{point}", a_body(id=point)) == 0
            assert bridge.process.wait(10.0) == -signal.SIGKILL
            assert isinstance(before, int)
            assert await value(url, STORED) == before + stored
            bridge.start()
            await bridge.deliver(f"msg_{point}", a_body(id=point))
            assert await value(url, STORED) == before + 1
    assert await value(url, PUBLISHED) == await value(url, STORED) == 4


async def test_shutdown_answers_what_it_has_accepted(make_database: MakeDatabase, kafka_bootstrap: str) -> None:
    url = await make_database("payments", migrate)
    async with a_bridge(url, kafka_bootstrap) as bridge:
        await until_alive(bridge)
        names = [f"msg_{number}" for number in range(400)]
        posts = [asyncio.create_task(bridge.post(name, a_body(id=name))) for name in names]
        await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
        bridge.process.terminate()
        statuses = await asyncio.gather(*posts)
        bridge.process.wait(45.0)
        accepted = statuses.count(200)
        assert accepted > 0
        assert set(statuses) <= {0, 200, 503}
        # Whatever was answered 2xx is there, and nothing is there but what was sent.
        rows = await value(url, STORED)
        assert isinstance(rows, int)
        assert accepted + 1 <= rows <= len(names) + 1
        assert await value(url, PUBLISHED) == rows
