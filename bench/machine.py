"""The servers that everything is measured on: a Kafka and a PostgreSQL of the bench's own, and nothing else.

Invariant: what a run starts in `.local/bench/state` is stopped when it ends, however it ends.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from caas_chassis.embedded import EmbeddedKafka, EmbeddedPostgres

STATE: Final = Path(".local/bench/state")
PARTITIONS: Final = 6
ADMIN_TIMEOUT_MS: Final = 20_000
DATABASE_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Machine:
    """A broker and a database server that are up."""

    bootstrap_servers: str
    postgres: EmbeddedPostgres
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @asynccontextmanager
    async def database(self, name: str) -> AsyncIterator[str]:
        """The address of an empty database, dropped afterwards."""
        unique = f"{name}_{next(self._numbers)}"
        url = await asyncio.to_thread(self.postgres.create_database, unique)
        try:
            yield url
        finally:
            await self.execute(f'DROP DATABASE "{unique}" WITH (FORCE)')

    async def topics(self, *names: str, partitions: int = PARTITIONS) -> list[str]:
        """New topics whose names begin with the given ones."""
        unique = [f"bench.{name}.{next(self._numbers)}" for name in names]
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers, request_timeout_ms=ADMIN_TIMEOUT_MS)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1) for name in unique])
        finally:
            await admin.close()
        return unique

    async def delete_topics(self, names: Sequence[str]) -> None:
        """Remove topics with all that was read and written of them."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers, request_timeout_ms=ADMIN_TIMEOUT_MS)
        await admin.start()
        try:
            await admin.delete_topics(list(names))
        finally:
            await admin.close()

    async def checkpoint(self) -> None:
        """Have earlier writes on disk, so that no run pays for the one before it."""
        await self.execute("CHECKPOINT")

    async def execute(self, statements: str, url: str | None = None) -> None:
        """Run statements on a database, by default on the server's own."""
        connection = await asyncpg.connect(
            url or self.postgres.url(), timeout=DATABASE_TIMEOUT_S, command_timeout=DATABASE_TIMEOUT_S
        )
        try:
            await connection.execute(statements)
        finally:
            await connection.close(timeout=DATABASE_TIMEOUT_S)


@contextmanager
def running_machine(say: Callable[[str], None]) -> Iterator[Machine]:
    """Start both servers on an empty state; stop them at the end, also when interrupted."""
    kafka = EmbeddedKafka(STATE / "kafka", progress=say)
    postgres = EmbeddedPostgres(STATE / "postgres", progress=say)
    _stop(kafka, postgres)
    shutil.rmtree(STATE, ignore_errors=True)
    try:
        kafka.start(end_with_parent=True)
        postgres.start(end_with_parent=True)
        yield Machine(kafka.bootstrap_servers, postgres)
    finally:
        _stop(kafka, postgres)


def _stop(*servers: EmbeddedKafka | EmbeddedPostgres) -> None:
    for server in servers:
        if server.is_running:
            server.stop()
