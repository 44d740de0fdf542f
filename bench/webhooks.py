"""Webhooks verified, stored, published and answered per second, against a bare endpoint that inserts the body."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import asyncpg
import httpx

from bench import bare_webhooks
from bench.machine import Machine
from bench.measure import Aim, Comparison, Measure
from bench.processes import Child, child
from caas_chassis.embedded.ports import free_port
from caas_chassis.topicadmin import all_topics, create_topics

WEBHOOKS: Final = 12_000
WARM_UP: Final = 2_000
CONNECTIONS: Final = 100
DEADLINE_S: Final = 150.0
LOOK_EVERY_S: Final = 0.1
SECRET: Final = "whsec_YmVuY2gtYmVuY2gtYmVuY2gtYmVuY2g="  # noqa: S105 - signs nothing but the bench's own
COUNT_STORED: Final = "SELECT count(*) FROM webhooks"
COUNT_UNSENT: Final = """
SELECT (SELECT count(*) FROM chassis.outbox o, chassis.relay_cursor c
        WHERE (o.horizon, o.position) > (c.horizon, c.position))
    + (SELECT count(*) FROM chassis.outbox WHERE aggregatetype = 'caas.gateway.webhooks.v1')
    - (SELECT count(*) FROM chassis.inbox_position WHERE topic = 'caas.gateway.webhooks.v1')
"""


@asynccontextmanager
async def bridge_against_insert(machine: Machine) -> AsyncIterator[Comparison]:
    """Both are asked over as many connections by the same generator; ours publishes and follows them meanwhile."""
    async with AsyncExitStack() as stack:
        await create_topics(machine.bootstrap_servers, all_topics())
        stack.push_async_callback(machine.delete_topics, [topic.name for topic in all_topics()])
        our_url = await stack.enter_async_context(machine.database("payments"))
        bare_url = await stack.enter_async_context(machine.database("bare_webhooks"))
        await machine.execute(bare_webhooks.SCHEMA, bare_url)
        our_port, bare_port = free_port(), free_port()
        ours = await stack.enter_async_context(
            child("payments", ["-m", "bench.serving.payments"], _environment(machine, our_url, our_port))
        )
        bare = await stack.enter_async_context(
            child("bare_webhooks", ["-m", "bench.bare_webhooks", bare_url, str(bare_port)], {})
        )
        latencies: dict[str, Any] = {"ours_ms": [], "limit_ms": []}

        async def take(port: int, number: int, kept: str) -> float:
            await machine.checkpoint()
            found = await _flood(port, number)
            latencies[kept].append({name: found[name] for name in ("p50_ms", "p99_ms")})
            return number / float(found["seconds"])

        async def take_ours() -> float:
            before = await _count(our_url, COUNT_STORED)
            rate = await take(our_port, WEBHOOKS, "ours_ms")
            assert await _count(our_url, COUNT_STORED) == before + WEBHOOKS, "each 2xx is stored once"
            await _until_followed(our_url, ours)
            return rate

        async def take_limit() -> float:
            return await take(bare_port, WEBHOOKS, "limit_ms")

        for port, process in ((our_port, ours), (bare_port, bare)):
            await _until_ready(port, process)
            await _flood(port, WARM_UP)
        await _until_followed(our_url, ours)
        yield Comparison(
            take_ours, take_limit, {"webhooks": WEBHOOKS, "connections": CONNECTIONS, "latencies": latencies}
        )


def _environment(machine: Machine, url: str, port: int) -> Mapping[str, str]:
    nobody = "http://127.0.0.1:9"
    return {
        "CAAS_PAYMENTS_DATABASE_URL": url,
        "CAAS_PAYMENTS_HTTP_PORT": str(port),
        "CAAS_PAYMENTS_GATEWAY_URL": nobody,
        "CAAS_PAYMENTS_GATEWAY_API_KEY": "unused",
        "CAAS_PAYMENTS_WEBHOOK_SECRET": SECRET,
        "KAFKA_BOOTSTRAP_SERVERS": machine.bootstrap_servers,
        "CAAS_MIGRATE_ON_START": "true",
        "CAAS_JWKS_URL": f"{nobody}/jwks",
        "CAAS_JWT_ISSUER": nobody,
        "CAAS_LOG_LEVEL": "WARNING",
    }


async def _flood(port: int, number: int) -> dict[str, Any]:
    """What the generator, a process of its own, found. Raises AssertionError when anything was not answered well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.flood", str(port), SECRET, str(number), str(CONNECTIONS)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    found: dict[str, Any] = json.loads(output)
    assert found["statuses"] == {"200": number}, found["statuses"]
    return found


async def _until_ready(port: int, process: Child) -> None:
    async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient(timeout=5.0) as client:
        while True:
            process.check()
            try:
                if (await client.get(f"http://127.0.0.1:{port}/health/ready")).status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass  # Not listening yet.
            await asyncio.sleep(LOOK_EVERY_S)


async def _until_followed(url: str, process: Child) -> None:
    """Until everything is sent and handled, so that no run pays for the one before it."""
    async with asyncio.timeout(DEADLINE_S):
        while await _count(url, COUNT_UNSENT):
            process.check()
            await asyncio.sleep(LOOK_EVERY_S)


async def _count(url: str, statement: str) -> int:
    connection = await asyncpg.connect(url, timeout=DEADLINE_S, command_timeout=DEADLINE_S)
    try:
        return int(await connection.fetchval(statement))
    finally:
        await connection.close(timeout=DEADLINE_S)


MEASURE: Final = Measure(
    name="webhook_vs_bare_insert",
    unit="requests/s",
    aim=Aim(1.0, at_least=True),
    says="webhooks verified, stored, queued and answered, against a FastAPI endpoint that inserts the body",
    open=bridge_against_insert,
)
