"""Purchases per second through all five services, against a bare saga of five hops on the same servers."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from uuid import UUID

import asyncpg

from bench import bare_saga
from bench.machine import Machine
from bench.measure import Aim, Comparison, Measure
from bench.platform import Platform, placing_record, running_platform
from bench.processes import Child, child
from bench.sending import bare_producer, send_all
from caas_chassis.ids import new_id
from caas_contracts.topics import ORDERS_COMMANDS

PURCHASES: Final = 1_000
WARM_UP_PURCHASES: Final = 200
SAGAS: Final = 10_000
WARM_UP_SAGAS: Final = 1_000
HOPS: Final = 5
DEADLINE_S: Final = 180.0
LOOK_EVERY_S: Final = 0.02
BODY: Final = b'{"saga": "' + b"x" * 400 + b'"}'
"""As long as one of our messages."""

COUNT_ACTIVE: Final = "SELECT count(*) FROM purchases WHERE status = 'active'"
COUNT_CAPTURED: Final = "SELECT count(*) FROM payments WHERE status = 'CAPTURING'"
COUNT_INVOICES: Final = "SELECT count(*) FROM invoice"


@asynccontextmanager
async def purchases_against_sagas(machine: Machine) -> AsyncIterator[Comparison]:
    """Both are given everything at once and measured until the last is finished."""
    async with running_platform(machine) as platform:
        sold = 0

        async def sell(number: int) -> float:
            nonlocal sold
            sold += number
            return await sell_at_once(platform, number, sold)

        await sell(WARM_UP_PURCHASES)

        async def ours() -> float:
            await machine.checkpoint()
            return PURCHASES / await sell(PURCHASES)

        async def limit() -> float:
            return await _run_sagas(machine)

        yield Comparison(ours, limit, {"purchases": PURCHASES, "sagas": SAGAS})


async def sell_at_once(platform: Platform, number: int, total: int) -> float:
    """Place so many purchases at once; the seconds until all `total` ever placed are active, paid and invoiced."""
    records = [placing_record(command) for command in await platform.register(number)]
    async with bare_producer(platform.bootstrap_servers) as producer:
        began = time.perf_counter()
        await send_all(producer, ORDERS_COMMANDS.name, records)
        await platform.wait_until("payments", COUNT_CAPTURED, total, DEADLINE_S)
        await platform.wait_until("orders", COUNT_ACTIVE, total, DEADLINE_S)
        await platform.wait_until("billing", COUNT_INVOICES, total, DEADLINE_S)
        return time.perf_counter() - began


async def _run_sagas(machine: Machine) -> float:
    saga_ids = [new_id() for _ in range(WARM_UP_SAGAS + SAGAS)]
    topics = await machine.topics(*(f"saga{number}" for number in range(HOPS + 1)))
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(machine.database("saga")) for _ in range(HOPS)]
        for url in urls:
            await _prepare(url, saga_ids)
        children = [
            await stack.enter_async_context(
                child(
                    f"saga{hop}", ["-m", "bench.bare_saga", *topics[hop : hop + 2], url, machine.bootstrap_servers], {}
                )
            )
            for hop, url in enumerate(urls)
        ]
        producer = await stack.enter_async_context(bare_producer(machine.bootstrap_servers))
        records = [(str(id_).encode(), BODY, [("id", str(new_id()).encode())]) for id_ in saga_ids]
        last = await asyncpg.connect(urls[-1], timeout=DEADLINE_S, command_timeout=DEADLINE_S)
        try:
            await send_all(producer, topics[0], records[:WARM_UP_SAGAS])
            await _wait_for_sagas(last, WARM_UP_SAGAS, children)
            await machine.checkpoint()
            began = time.perf_counter()
            await send_all(producer, topics[0], records[WARM_UP_SAGAS:])
            await _wait_for_sagas(last, len(records), children)
            return SAGAS / (time.perf_counter() - began)
        finally:
            await last.close(timeout=DEADLINE_S)


async def _prepare(url: str, saga_ids: Sequence[UUID]) -> None:
    connection = await asyncpg.connect(url, timeout=DEADLINE_S, command_timeout=DEADLINE_S)
    try:
        await connection.execute(bare_saga.SCHEMA)
        await connection.execute(bare_saga.INSERT_SAGAS, saga_ids)
    finally:
        await connection.close(timeout=DEADLINE_S)


async def _wait_for_sagas(last: asyncpg.Connection, number: int, children: list[Child]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while await last.fetchval(bare_saga.COUNT_SEEN) < number:
            for one in children:
                one.check()
            await asyncio.sleep(LOOK_EVERY_S)


MEASURE: Final = Measure(
    name="purchase_throughput_vs_bare",
    unit="purchases/s",
    aim=Aim(0.3, at_least=True),
    says="purchases active, captured and invoiced by the five services, against a bare saga of five hops",
    open=purchases_against_sagas,
)
