"""How long the synchronous reservation of a vehicle takes, HTTP to HTTP over the broker and back (RES-1).

The counterpart does as many commits and hops, one after the other, and no more. One at a time, on an idle system.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from statistics import median
from typing import Any, Final

import httpx

from bench import bare_hops
from bench.machine import STATE, Machine
from bench.measure import Aim, Comparison, Measure
from bench.platform import running_platform
from bench.processes import Child, child
from caas_chassis.embedded.ports import free_port

RESERVATIONS: Final = 30
WARM_UP: Final = 5
DEADLINE_S: Final = 60.0
LOOK_EVERY_S: Final = 0.1
# Orders stores the wish; payments stores the intent, leases the task and records the outcome; orders follows it.
COMMITS_OF_ORDERS: Final = 2
COMMITS_OF_PAYMENTS: Final = 3
HOPS: Final = 2


@asynccontextmanager
async def reservation_against_hops(machine: Machine) -> AsyncIterator[Comparison]:
    """The services and the bare processes run side by side; while one is measured the other is idle."""
    numbers = count(1)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=DEADLINE_S))
        issuer = await stack.enter_async_context(_identity(client))
        signed_in = {"CAAS_JWKS_URL": f"{issuer}/jwks.json", "CAAS_JWT_ISSUER": issuer}
        platform = await stack.enter_async_context(running_platform(machine, signed_in))
        bare_url = await stack.enter_async_context(_bare(machine, client))

        async def ours() -> float:
            url = f"http://127.0.0.1:{platform.ports['orders']}/vehicle-orders"
            requests = [await _request_of(client, issuer, next(numbers)) for _ in range(WARM_UP + RESERVATIONS)]
            return await _one_by_one(client, url, requests)

        async def limit() -> float:
            return await _one_by_one(client, bare_url, [({}, _body(0)) for _ in range(WARM_UP + RESERVATIONS)])

        commits = COMMITS_OF_ORDERS + COMMITS_OF_PAYMENTS
        yield Comparison(ours, limit, {"reservations": RESERVATIONS, "hops": HOPS, "commits": commits, "value": "p50"})


async def _one_by_one(
    client: httpx.AsyncClient, url: str, requests: list[tuple[Mapping[str, str], dict[str, Any]]]
) -> float:
    """The median of the milliseconds from the request to 201."""
    took_ms = []
    for headers, body in requests:
        began = time.perf_counter()
        answer = await client.post(url, json=body, headers=headers)
        took_ms.append((time.perf_counter() - began) * 1000)
        if answer.status_code != httpx.codes.CREATED:
            raise RuntimeError(f"{url}: {answer.status_code} {answer.text[:500]}")
    return median(took_ms[WARM_UP:])


async def _request_of(client: httpx.AsyncClient, issuer: str, number: int) -> tuple[Mapping[str, str], dict[str, Any]]:
    """A customer of their own for every reservation, with a token that is there before the time is taken."""
    claims = {"subject": f"R-{number}", "roles": ["customer"], "ttl_s": 3600}
    answer = await client.post(f"{issuer}/token", json=claims)
    token = answer.raise_for_status().json()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"bench-{number}", "Prefer": "wait=30"}
    return headers, _body(number)


def _body(number: int) -> dict[str, Any]:
    return {
        "model": "caas-one",
        "options": ["seat-heating"],
        "dealership": "madrid-norte",
        "customer": {"name": f"Customer {number}", "email": f"r{number}@customers.example", "language": "es"},
        "payment_method": "tok_approved",
    }


@asynccontextmanager
async def _identity(client: httpx.AsyncClient) -> AsyncIterator[str]:
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    state = STATE / "identity"
    arguments = ["-m", "caas_sandbox.identity", "--port", str(port), "--state-dir", str(state), "--issuer", issuer]
    async with child("identity", arguments, {}) as process:
        await _until_ready(client, f"{issuer}/health", process)
        yield issuer


@asynccontextmanager
async def _bare(machine: Machine, client: httpx.AsyncClient) -> AsyncIterator[str]:
    """Two processes with a database each, as orders and payments are; gives where to ask."""
    out, back = await machine.topics("bare_reserve", "bare_reserved")
    port = free_port()
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(machine.database(f"bare_{name}")) for name in ("desk", "till")]
        for url in urls:
            await machine.execute(bare_hops.SCHEMA, url)
        till = ["-m", "bench.bare_hops", urls[1], machine.bootstrap_servers, f"{out}:{back}:{COMMITS_OF_PAYMENTS}"]
        await stack.enter_async_context(child("bare_till", till, {}))
        desk = ["-m", "bench.bare_reservation", urls[0], machine.bootstrap_servers, str(port), out, back]
        process = await stack.enter_async_context(child("bare_desk", desk, {}))
        await _until_ready(client, f"http://127.0.0.1:{port}/health/ready", process)
        yield f"http://127.0.0.1:{port}/vehicle-orders"


async def _until_ready(client: httpx.AsyncClient, url: str, process: Child) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            process.check()
            try:
                if (await client.get(url)).status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass  # Not listening yet.
            await asyncio.sleep(LOOK_EVERY_S)


MEASURE: Final = Measure(
    name="reservation_latency_vs_bare",
    unit="ms",
    aim=Aim(2.5, at_least=False),
    says="a reservation from POST to 201, over the broker and back, against bare hops with as many commits",
    open=reservation_against_hops,
)
