"""A running platform: starts servers, partners and services in order, stops them, restarts one of them.

Every process is recorded in its state folder, so any later command can find and stop it; only processes
that the record proves to be ours are ever signalled.
"""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx

from caas_chassis.clock import BusinessClock, write_offset
from caas_chassis.embedded import EmbeddedKafka, EmbeddedPostgres
from caas_chassis.embedded.process import Launch, ServerProcess
from caas_chassis.topicadmin import all_topics, create_topics
from caas_local.layout import PARTNERS, SERVICES, Layout, cache_dir
from caas_local.postgres import DatabaseUrls, ensure_database
from caas_local.programs import Program, environment_of, partner_programs, service_programs

READY_WITHIN_S: Final = 90.0
STOP_WITHIN_S: Final = 25.0
_POLL_S: Final = 0.1
UNTIL_POWER_FAILS: Final = {"fsync": "off", "full_page_writes": "off"}
"""For platforms that end with the process that started them: they survive the death of any process, and a
machine's power is not part of a demonstration. `up` keeps PostgreSQL's own settings."""

type Say = Callable[[str], None]


class PlatformFailed(Exception):
    """Something did not start; the message says what, and how its log ends."""


class Platform:
    """All processes of one state directory.

    `temporary` ones end with the process that started them. `extra_environment` by process name, and another way to
    `launch` services, are for tests.
    """

    def __init__(
        self,
        layout: Layout,
        say: Say,
        *,
        temporary: bool,
        extra_environment: Mapping[str, Mapping[str, str]] | None = None,
        launch: Launch | None = None,
    ) -> None:
        self.layout = layout
        self._say = say
        self._temporary = temporary
        self._extra = extra_environment or {}
        self._launch = launch
        self._kafka = EmbeddedKafka(layout.folder("kafka"), cache_dir=cache_dir() / "kafka", progress=say)
        settings = UNTIL_POWER_FAILS if temporary else {}
        self._postgres = EmbeddedPostgres(layout.folder("postgres"), settings=settings, progress=say)
        self._processes: dict[str, ServerProcess] = {}
        self._programs: dict[str, Program] = {}
        self.bootstrap_servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
        self.databases: dict[str, DatabaseUrls] = {}

    async def start(self) -> None:
        """Start what does not run yet. Raises PlatformFailed, or EmbeddedServerError, saying what failed."""
        await asyncio.to_thread(self._start_servers)
        await self._create_databases()
        self._say("creating topics")
        await create_topics(self.bootstrap_servers, all_topics())
        if not self.layout.clock_file.exists():
            write_offset(self.layout.clock_file, timedelta(0))
        await self.launch(partner_programs(self.layout, self.bootstrap_servers))
        await self.launch(service_programs(self.layout, self.bootstrap_servers, self.databases))

    async def launch(self, programs: Sequence[Program]) -> None:
        """Start processes at the same time and wait until all are ready."""
        self._say(f"starting {', '.join(program.name for program in programs)}")
        for program in programs:
            self._programs[program.name] = program
            self._spawn(program)
        async with httpx.AsyncClient(timeout=5.0) as client, asyncio.TaskGroup() as group:
            for program in programs:
                group.create_task(self._until_ready(program, client))

    def respawn(self, name: str) -> None:
        """Start one process again after it ended, without waiting until it is ready."""
        self._spawn(self._programs[name])

    async def restart(self, name: str) -> None:
        """Start one process again after it ended, and wait until it is ready."""
        program = self._programs[name]
        self._spawn(program)
        async with httpx.AsyncClient(timeout=5.0) as client:
            await self._until_ready(program, client)

    def kill(self, name: str) -> None:
        """End one process by SIGKILL, as a crash would."""
        self._process(name).signal_and_wait(signal.SIGKILL, timeout_s=STOP_WITHIN_S)

    @property
    def kafka(self) -> EmbeddedKafka:
        """The embedded broker, to be broken on purpose."""
        return self._kafka

    @property
    def postgres(self) -> EmbeddedPostgres:
        """The embedded database server, to be broken on purpose."""
        return self._postgres

    @property
    def database_urls(self) -> dict[str, str]:
        """Each service's database for the role that serves."""
        return {name: urls.serving for name, urls in self.databases.items()}

    def environment(self, name: str) -> dict[str, str]:
        """The environment of a partner or service: what a command for its operators needs."""
        return self._environment(self._programs[name])

    def pid(self, name: str) -> int | None:
        """The process id of a partner or service while it runs."""
        return self._process(name).pid

    async def stop(self) -> None:
        """Stop services, partners and servers in this order; what does not stop in time is killed."""
        await asyncio.to_thread(self._stop_all)

    def running(self) -> dict[str, bool]:
        """Which processes run."""
        names = [*PARTNERS, *SERVICES]
        servers = {"kafka": self._kafka.is_running, "postgres": self._postgres.is_running}
        return {**servers, **{name: self._process(name).pid is not None for name in names}}

    def now_offset(self) -> timedelta:
        """How far business time is ahead of real time."""
        file = self.layout.clock_file
        return timedelta(seconds=json.loads(file.read_text())["offset_s"]) if file.exists() else timedelta(0)

    def move_clock(self, by: timedelta) -> None:
        """Move business time of every process forward."""
        write_offset(self.layout.clock_file, self.now_offset() + by)

    def clock(self) -> BusinessClock:
        """The clock that all processes read."""
        return BusinessClock(self.layout.clock_file)

    def _start_servers(self) -> None:
        if not self.bootstrap_servers:
            self._kafka.start(end_with_parent=self._temporary)
            self.bootstrap_servers = self._kafka.bootstrap_servers
        if not os.environ.get("CAAS_POSTGRES_URL"):
            self._postgres.start(end_with_parent=self._temporary)

    async def _create_databases(self) -> None:
        admin_url = os.environ.get("CAAS_POSTGRES_URL") or self._postgres.url()
        for name in SERVICES:
            given = os.environ.get(f"CAAS_{name.upper()}_DATABASE_URL")
            owner = os.environ.get(f"CAAS_{name.upper()}_MIGRATION_DATABASE_URL")
            made = DatabaseUrls(given, owner) if given else None
            self.databases[name] = made or await ensure_database(admin_url, f"caas_{name}", self.layout.api_key)

    def _process(self, name: str) -> ServerProcess:
        if name not in self._processes:
            self._processes[name] = ServerProcess(self.layout.folder(name), name=name)
        return self._processes[name]

    def _spawn(self, program: Program) -> None:
        process = self._process(program.name)
        if process.pid is None:
            port = self.layout.ports[program.name]
            launch = self._launch if program.name in SERVICES else None
            environment = self._environment(program)
            process.spawn(program.command, port=port, cwd=Path.cwd(), environment=environment, launch=launch)
            if self._temporary:
                process.end_with_parent(signal.SIGKILL)

    def _environment(self, program: Program) -> dict[str, str]:
        return {**environment_of(program), **self._extra.get(program.name, {})}

    async def _until_ready(self, program: Program, client: httpx.AsyncClient) -> None:
        process = self._process(program.name)
        deadline = asyncio.get_running_loop().time() + READY_WITHIN_S
        last = "no answer"
        while asyncio.get_running_loop().time() < deadline:
            if process.pid is None:
                raise PlatformFailed(f"{program.name} ended while starting; {process.log_tail()}")
            try:
                response = await client.get(program.ready_url)
                if response.status_code == 200:
                    return
                last = response.text[:500]
            except httpx.HTTPError as error:
                last = type(error).__name__
            await asyncio.sleep(_POLL_S)
        raise PlatformFailed(
            f"{program.name} was not ready after {READY_WITHIN_S:.0f} s ({last}); {process.log_tail()}"
        )

    def _stop_all(self) -> None:
        for name in (*SERVICES, *PARTNERS):
            process = self._process(name)
            if process.pid is not None:
                process.send_signal(signal.SIGTERM)
        for name in (*SERVICES, *PARTNERS):
            process = self._process(name)
            if not process.signal_and_wait(signal.SIGTERM, timeout_s=STOP_WITHIN_S):
                self._say(f"{name} did not stop within {STOP_WITHIN_S:.0f} s: killed")
                process.signal_and_wait(signal.SIGKILL, timeout_s=STOP_WITHIN_S)
        if self._kafka.is_running:
            self._kafka.stop()
        if self._postgres.is_running:
            self._postgres.stop()
