"""How long one purchase takes through the services, against bare hops with as many messages and commits.

Both are started by a record on a topic and seen to end by a record on a topic; one at a time, on an idle system.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench import bare_hops
from bench.machine import Machine
from bench.measure import Aim, Comparison, Measure
from bench.platform import Platform, placing_record, running_platform
from bench.processes import child
from bench.sending import KeyedRecord, bare_producer
from caas_chassis.ids import new_id
from caas_contracts.orders import PurchaseActivated
from caas_contracts.topics import ORDERS_COMMANDS, ORDERS_EVENTS

PURCHASES: Final = 30
WARM_UP: Final = 5
ANSWER_DEADLINE_S: Final = 30.0
BODY: Final = b'{"purchase": "' + b"x" * 400 + b'"}'

# What lies between placing a purchase and its end, as the services do it: who handles each message, and how many
# commits follow one another there. Three messages lead to a partner: one commit stores the wish, one leases the
# task, one records the outcome (for the car: its acknowledgement).
HOPS: Final = (
    ("orders", 1),  # PlacePurchase
    ("payments", 3),  # AuthorizePayment
    ("orders", 1),  # PaymentAuthorized
    ("ota", 3),  # ActivateService
    ("payments", 3),  # ServiceActivated
    ("orders", 1),  # PaymentCaptured, whose handling publishes PurchaseActivated
)


@asynccontextmanager
async def purchase_against_hops(machine: Machine) -> AsyncIterator[Comparison]:
    """The services and the bare processes run side by side; while one is measured the other is idle."""
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(running_platform(machine))
        first, last = await stack.enter_async_context(_running_hops(machine))
        producer = await stack.enter_async_context(bare_producer(machine.bootstrap_servers))
        activated = await stack.enter_async_context(_listening(machine, ORDERS_EVENTS.name))
        passed = await stack.enter_async_context(_listening(machine, last))

        async def ours() -> float:
            return await _one_by_one(
                producer, ORDERS_COMMANDS.name, await _purchases(platform), activated, _is_activated
            )

        async def limit() -> float:
            return await _one_by_one(producer, first, _bare_records(), passed, lambda _: True)

        hops, commits = len(HOPS) + 1, sum(commits for _, commits in HOPS)
        yield Comparison(ours, limit, {"purchases": PURCHASES, "hops": hops, "commits": commits, "value": "p50"})


async def _one_by_one(
    producer: AIOKafkaProducer,
    topic: str,
    records: Sequence[KeyedRecord],
    answers: AIOKafkaConsumer,
    ends: Callable[[object], bool],
) -> float:
    """The median of the milliseconds from sending a record to reading the record that ends its story."""
    took_ms = []
    for key, body, headers in records:
        began = time.perf_counter()
        await producer.send_and_wait(topic, body, key=key, headers=headers)
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            async for answer in answers:
                if answer.key == key and ends(answer.headers):
                    break
        took_ms.append((time.perf_counter() - began) * 1000)
    return median(took_ms[WARM_UP:])


async def _purchases(platform: Platform) -> list[KeyedRecord]:
    return [placing_record(command) for command in await platform.register(WARM_UP + PURCHASES)]


def _bare_records() -> list[KeyedRecord]:
    return [(str(new_id()).encode(), BODY, []) for _ in range(WARM_UP + PURCHASES)]


def _is_activated(headers: object) -> bool:
    return ("ce_type", PurchaseActivated.TYPE.encode()) in tuple(headers) if isinstance(headers, tuple) else False


@asynccontextmanager
async def _running_hops(machine: Machine) -> AsyncIterator[tuple[str, str]]:
    """One process per service that takes part, each with its database; gives the first and the last topic."""
    topics = await machine.topics(*(f"hop{number}" for number in range(len(HOPS) + 1)))
    hops = [(service, f"{topics[n]}:{topics[n + 1]}:{commits}") for n, (service, commits) in enumerate(HOPS)]
    async with AsyncExitStack() as stack:
        for service in dict.fromkeys(name for name, _ in hops):
            url = await stack.enter_async_context(machine.database(f"bare_{service}"))
            await machine.execute(bare_hops.SCHEMA, url)
            own = [hop for name, hop in hops if name == service]
            arguments = ["-m", "bench.bare_hops", url, machine.bootstrap_servers, *own]
            await stack.enter_async_context(child(f"bare_{service}", arguments, {}))
        yield topics[0], topics[-1]


@asynccontextmanager
async def _listening(machine: Machine, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=machine.bootstrap_servers, auto_offset_reset="latest")
    await consumer.start()
    try:
        await asyncio.wait_for(consumer.seek_to_end(), ANSWER_DEADLINE_S)
        yield consumer
    finally:
        await asyncio.wait_for(consumer.stop(), ANSWER_DEADLINE_S)


MEASURE: Final = Measure(
    name="purchase_latency_vs_bare",
    unit="ms",
    aim=Aim(2.5, at_least=False),
    says="one purchase from its command to PurchaseActivated, against bare hops with as many messages and commits",
    open=purchase_against_hops,
)
