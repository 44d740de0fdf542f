"""The world of the gateway matrix: a payments process as deployed, Kafka, PostgreSQL, and the sandbox gateway."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from caas_chassis.ids import new_id
from caas_contracts import Envelope, Message
from caas_contracts.envelope import rfc3339
from caas_contracts.topics import PAYMENTS_EVENTS
from services.payments.tests.gateway.matrix_cells import TIMING_OF, WEBHOOK_OF, Cell
from services.payments.tests.sandbox_gateway import API_KEY
from services.payments.tests.web import SECRET

DEADLINE_S: Final = 60.0
READY_S: Final = 60.0

STATES: Final = """
SELECT p.id::text AS reference, p.status, p.captured_minor, p.refunded_minor, p.refunding_minor,
    p.gateway_transaction_id, a.operation AS open_operation, a.calls AS open_calls
FROM payments p LEFT JOIN attempts a ON a.payment_id = p.id AND a.state = 'open'
"""


@dataclass(frozen=True)
class Addresses:
    """Where everything of one matrix is."""

    database_url: str
    kafka: str
    gateway_url: str
    port: int
    crash_file: Path


class World:
    """One matrix at work. The payments process can be started, stopped, and watched dying."""

    def __init__(self, at: Addresses, database: asyncpg.Pool, producer: AIOKafkaProducer) -> None:
        self.at = at
        self._database = database
        self._producer = producer
        self._process: subprocess.Popen[bytes] | None = None
        self.sandbox = httpx.AsyncClient(base_url=at.gateway_url, timeout=20.0)

    @classmethod
    @asynccontextmanager
    async def open(cls, at: Addresses) -> AsyncIterator["World"]:
        """Everything but the payments process."""
        async with (
            asyncpg.create_pool(
                at.database_url, min_size=1, max_size=2, timeout=20.0, command_timeout=30.0
            ) as database,
            AIOKafkaProducer(bootstrap_servers=at.kafka, acks="all") as producer,
        ):
            world = cls(at, database, producer)
            try:
                yield world
            finally:
                await world.stop()
                await world.sandbox.aclose()

    async def start(self, **settings: str) -> None:
        """`python -m caas_payments serve`, until it is ready."""
        environment = {
            **os.environ,
            "CAAS_PAYMENTS_DATABASE_URL": self.at.database_url,
            "CAAS_PAYMENTS_GATEWAY_URL": self.at.gateway_url,
            "CAAS_PAYMENTS_GATEWAY_API_KEY": API_KEY,
            "CAAS_PAYMENTS_GATEWAY_CONCURRENCY": "300",
            "CAAS_PAYMENTS_WEBHOOK_SECRET": SECRET,
            "CAAS_PAYMENTS_HTTP_PORT": str(self.at.port),
            "CAAS_PAYMENTS_CONSUMER_INSTANCE": f"matrix-{self.at.port}",
            "CAAS_PAYMENTS_RETRY_DELAYS_S": "[0.2, 0.4, 0.8]",
            "CAAS_PAYMENTS_RETRY_JITTER": "0.1",
            "CAAS_PAYMENTS_FIRST_LOOK_UP_S": "0.2",
            # The circuit is not the subject here, and would spare the gateway the other cells' faults.
            "CAAS_PAYMENTS_BREAKER_FAILURES": "100000",
            "CAAS_CRASH_FILE": str(self.at.crash_file),
            "KAFKA_BOOTSTRAP_SERVERS": self.at.kafka,
            "CAAS_LOG_LEVEL": "WARNING",
            **{f"CAAS_PAYMENTS_{name}": value for name, value in settings.items()},
        }
        environment.pop("CAAS_CLOCK_FILE", None)
        command = [sys.executable, "-m", "caas_payments", "serve"]
        self._process = await asyncio.to_thread(subprocess.Popen, command, env=environment)
        await self._until_ready()

    async def stop(self) -> None:
        """SIGTERM, and its end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait, 45.0)

    async def until_death(self) -> None:
        """The process dies of SIGKILL at its crash point."""
        assert self._process is not None
        status = await asyncio.to_thread(self._process.wait, READY_S)
        assert status == -signal.SIGKILL, f"the process ended with {status}"

    def arm(self, point: str) -> None:
        """From now on the process dies at this point, once."""
        self.at.crash_file.write_text(point)

    async def script(self, cells: Iterable[Cell]) -> None:
        """Have the gateway spoil each cell's operation, and order its webhooks; other webhooks of it do not come."""
        for cell in cells:
            for operation, kind, times in cell.script:
                fault = {"operation": operation, "kind": kind, "times": times, "reference": cell.reference}
                if kind == "429":
                    fault["retry_after_s"] = 1
                (await self.sandbox.post("/sandbox/faults", json=fault)).raise_for_status()
            for step in cell.steps:
                timing = TIMING_OF[cell.webhook] if step == cell.operation else "never"
                wish = {"reference": cell.reference, "webhook": WEBHOOK_OF[step], "timing": timing}
                (await self.sandbox.post("/sandbox/timings", json=wish)).raise_for_status()

    async def send(self, messages: Iterable[Message]) -> None:
        """As another system sends them: CloudEvents without a sequence."""
        for message in messages:
            name = str(new_id())
            envelope = Envelope(name, "matrix", message.TYPE, rfc3339(datetime.now(UTC)), message.key, name, "")
            await self._producer.send(
                message.TOPIC.name, message.to_json(), key=message.key.encode(), headers=envelope.to_headers()
            )
        await self._producer.flush()

    async def states(self) -> dict[str, asyncpg.Record]:
        """The payments by their reference, with the open attempt."""
        return {row["reference"]: row for row in await self._database.fetch(STATES)}

    async def until(self, cells: Collection[Cell], is_so: Callable[[Cell, asyncpg.Record], bool]) -> None:
        """Wait until it is so for all these cells, or for the deadline: each cell's test says what it missed."""
        waiting = list(cells)
        end = asyncio.get_running_loop().time() + DEADLINE_S
        while waiting and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.1)
            states = await self.states()
            waiting = [cell for cell in waiting if not _is_so_for(cell, states, is_so)]

    async def rows(self, table: str) -> dict[str, list[asyncpg.Record]]:
        """A table's rows by payment."""
        found = defaultdict(list)
        for row in await self._database.fetch(f"SELECT * FROM {table}"):
            found[str(row["payment_id"])].append(row)
        return found

    async def execute(self, statement: str) -> None:
        """As if time had passed, say."""
        await self._database.execute(statement)

    async def log(self) -> dict[str, list[dict[str, Any]]]:
        """The gateway's log by reference."""
        found = defaultdict(list)
        for entry in (await self.sandbox.get("/sandbox/requests")).json()["requests"]:
            found[entry["reference"]].append(entry)
        return found

    async def faults(self) -> dict[str, list[dict[str, Any]]]:
        """What was scripted by reference, and how often it struck."""
        found = defaultdict(list)
        for fault in (await self.sandbox.get("/sandbox/faults")).json()["faults"]:
            found[fault["reference"]].append(fault)
        return found

    async def books(self) -> dict[str, list[dict[str, Any]]]:
        """The gateway's transactions with their effects by reference."""
        found, cursor, more = defaultdict(list), "0", True
        while more:
            parameters = {"cursor": cursor, "limit": "1000"}
            page = (await self.sandbox.get("/sandbox/books/transactions", params=parameters)).json()
            for transaction in page["transactions"]:
                found[transaction["reference"]].append(transaction)
            cursor, more = page["next_cursor"], page["has_more"]
        return found

    async def until_quiet(self) -> None:
        """No question waits, nothing is to be published, and the receiver has every webhook that is sent."""
        end = asyncio.get_running_loop().time() + DEADLINE_S / 3
        while asyncio.get_running_loop().time() < end:
            tasks = await self._database.fetchval("SELECT count(*) FROM chassis.task")
            webhooks = (await self.sandbox.get("/sandbox/books")).json()["webhooks"]["pending"]
            if not tasks and not webhooks:
                break
            await asyncio.sleep(0.2)
        await asyncio.sleep(1.0)

    async def events(self) -> dict[str, list[str]]:
        """The types of the published events by payment, as everybody else reads them.

        A process that died between a send and its mark sends again: the same id is the same event.
        """
        found: defaultdict[str, dict[str, str]] = defaultdict(dict)
        async with AIOKafkaConsumer(bootstrap_servers=self.at.kafka) as consumer:
            partitions = [TopicPartition(PAYMENTS_EVENTS.name, number) for number in range(PAYMENTS_EVENTS.partitions)]
            ends = await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            async with asyncio.timeout(DEADLINE_S / 3):
                while any([await consumer.position(one) < ends[one] for one in partitions]):
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        for record in records:
                            headers = dict(record.headers)
                            found[record.key.decode()][headers["ce_id"].decode()] = _type_of(headers)
        return {key: list(types.values()) for key, types in found.items()}

    async def _until_ready(self) -> None:
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.at.port}", timeout=5.0) as client,
            asyncio.timeout(READY_S),
        ):
            while True:
                assert self._process is not None
                if self._process.poll() is not None:
                    # It died at its crash point before it was ready.
                    return
                try:
                    if (await client.get("/health/ready")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass  # Not listening yet.
                await asyncio.sleep(0.1)


def _is_so_for(cell: Cell, states: dict[str, asyncpg.Record], is_so: Callable[[Cell, asyncpg.Record], bool]) -> bool:
    return cell.reference in states and is_so(cell, states[cell.reference])


def _type_of(headers: Mapping[str, bytes]) -> str:
    return headers["ce_type"].decode().removeprefix("caas.payments.").partition(".")[0]
