"""A running service: opens transactions and keeps consumer, relay, effects, timers and own loops going.

Everything starts in any order, before Kafka or PostgreSQL are there, and says so in `readiness`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import structlog

from caas_chassis import metrics, migrate, outbox, parking, roles
from caas_chassis.cause import Cause
from caas_chassis.clock import BusinessClock
from caas_chassis.consumer import Consumer
from caas_chassis.crashpoints import crash_point
from caas_chassis.database import TRANSIENT, Connection, Database
from caas_chassis.effects import EffectWorker
from caas_chassis.idempotency import DELETE_ANSWERS
from caas_chassis.inbox import DELETE_SEEN
from caas_chassis.logwatch import LogWatch
from caas_chassis.loops import Loop, PeriodicLoop
from caas_chassis.partitions import create_partitions
from caas_chassis.processing import Processor
from caas_chassis.producing import RecordSender
from caas_chassis.relay import Relay
from caas_chassis.service import Service
from caas_chassis.settings import ServiceSettings
from caas_chassis.timers import TimerLoop
from caas_chassis.transaction import NOTIFY, Tx
from caas_chassis.waiting import Changes

CHASSIS_MIGRATIONS: Final = "caas_chassis.migrations"
_OUTBOX_AGE_LIMIT_S: Final = 60.0
_HOUSEKEEPING_S: Final = 15.0

_log = structlog.get_logger(__name__)


class Runtime:
    """One process of a service."""

    def __init__(self, service: Service, settings: ServiceSettings, clock: BusinessClock | None = None) -> None:
        self.service = service
        self.settings = settings
        self.clock = clock or BusinessClock(settings.clock_file)
        self.database = Database(
            settings.database_url, application=f"caas-{service.name}", size=settings.database_pool_size
        )
        self.processor = Processor(service.name, service.handlers, self.transaction, service.bulk)
        self.effects = {
            effect.name: EffectWorker(service.name, effect, self.database, self.transaction)
            for effect in service.effects
        }
        self.timers = TimerLoop(service.name, service.timers, self.clock.now, self.transaction)
        sender = RecordSender(settings.kafka_bootstrap_servers, client_id=f"caas-{service.name}-relay")
        self.relay = Relay(service.name, self.database, sender)
        self.changes = Changes(self.database)
        topics = [topic.name for topic in service.reads]
        self.consumer = Consumer(service.name, topics, settings, [topic.name for topic in service.reads_in_bulk])
        self.consumer.use(self.processor)
        watch = LogWatch(service.name, topics, settings.kafka_bootstrap_servers, self.transaction)
        own = [build(self.transaction) for build in service.loops]
        self._loops: list[Loop] = [
            self.relay, *self.effects.values(), self.timers, self.changes, _Retrier(self.processor),
            _Housekeeping(self), watch, *own, self.consumer,
        ]  # fmt: skip
        self._started = False
        self.warnings: list[str] = []
        """What is not as it should be, and does not keep the service from serving; readiness says it."""
        self._starting: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def transaction(self, cause: Cause, subjects: Sequence[str] = ("http",)) -> AsyncIterator[Tx]:
        """A transaction that commits when the block ends and rolls back when it raises.

        `subjects` names its crash points: the first word is what runs (`handle`, `effect`, `timer`, `http`),
        the others the types concerned. After the commit whoever has work now is woken.
        """
        async with self.database.connection() as connection:
            async with connection.transaction():
                tx = Tx(connection, service=self.service.name, now=self.clock.now(), cause=cause)
                yield tx
                await tx.flush()
                if tx.eventful:
                    crash_point(f"{subjects[0]}.before_commit", subjects[1:] or ("",))
            if len(subjects) == 1:
                crash_point(f"{subjects[0]}.after_commit")
            await self._announce(tx, connection)

    async def _announce(self, tx: Tx, connection: Connection) -> None:
        """Wake whoever has work after a commit. Only hints: relay, waiters and workers also look by themselves."""
        if tx.published and self.relay.leads:
            self.relay.wake()
        try:
            if tx.published and not self.relay.leads:
                await connection.execute(outbox.NOTIFY)
            if tx.changes:
                await connection.execute(NOTIFY, sorted(tx.changes))
        except TRANSIENT as error:
            _log.info("hint_not_given", error=type(error).__name__)
        for effect in tx.enqueued:
            if effect in self.effects:
                self.effects[effect].wake()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Tx]:
        """A read-only transaction with one snapshot."""
        async with (
            self.database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield Tx(connection, service=self.service.name, now=self.clock.now(), cause=Cause.of_person("reader"))

    async def wait[T](self, key: str, check: Callable[[], Awaitable[T | None]], timeout_s: float) -> T | None:
        """Wait, bounded, for a change announced by `tx.notify(key)`; see `Changes.wait`."""
        return await self.changes.wait(key, check, timeout_s)

    async def migrate(self) -> list[str]:
        """Apply the missing migrations; returns their names."""
        serving_role = await self._serving_role()
        owner = Database(self.settings.migration_database_url or self.settings.database_url, application="migrate")
        connection = await owner.dedicated()
        try:
            return await migrate.apply_migrations(
                connection,
                [CHASSIS_MIGRATIONS, self.service.migrations],
                serving_role=serving_role,
                append_only=self.service.append_only,
            )
        finally:
            await connection.close()

    async def _serving_role(self) -> str:
        connection = await self.database.dedicated()
        try:
            return str(await connection.fetchval("SELECT current_user"))
        finally:
            await connection.close()

    async def start(self) -> None:
        """Start in the background as soon as the database is there and migrated."""
        self._starting = asyncio.create_task(self._start_when_possible(), name="runtime-start")

    async def stop(self) -> None:
        """Finish what is in hand: consuming first, so that nothing new begins; the relay last."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait({self._starting}, timeout=10.0)
        if self._started:
            for loop in reversed(self._loops):
                await _stop(loop)
        await self.database.close()
        _log.info("stopped", service=self.service.name)

    async def readiness(self) -> dict[str, bool]:
        """What has to be true to serve: each part and whether it makes progress."""
        checks = {"database": False, "migrated": self._started, "started": self._started}
        try:
            async with asyncio.timeout(3.0), self.reading() as tx:
                await tx.fetchval("SELECT 1")
            checks["database"] = True
            if self._started:
                checks |= {loop.name: loop.healthy for loop in self._loops}
                checks["outbox"] = await self.relay.outbox_age_s() < _OUTBOX_AGE_LIMIT_S
        except TRANSIENT as error:
            _log.warning("not_ready", error=f"{type(error).__name__}: {error}")
        return checks

    async def _start_when_possible(self) -> None:
        pause = 0.2
        while not await self._can_start():
            await asyncio.sleep(pause)
            pause = min(2.0, pause * 2)
        for loop in self._loops:
            await loop.start()
        self._started = True
        _log.info("started", service=self.service.name)

    async def _can_start(self) -> bool:
        try:
            if self.settings.migrate_on_start:
                await self.migrate()
            connection = await self.database.dedicated()
            try:
                pending = await migrate.pending_migrations(connection, [CHASSIS_MIGRATIONS, self.service.migrations])
                self._warn(await roles.changeable(connection, self.service.append_only))
            finally:
                await connection.close()
        except (*TRANSIENT, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("database_unavailable", error=f"{type(error).__name__}: {error}")
            return False
        if pending:
            _log.warning("migrations_missing", missing=pending, todo="run the migrate command of this service")
        return not pending

    def _warn(self, changeable: Sequence[str]) -> None:
        self.warnings = [
            f"{table} is append-only by its trigger alone: serve with another role" for table in changeable
        ]
        if changeable:
            todo = "give the service a role that owns nothing, and MIGRATION_DATABASE_URL for the owner"
            _log.warning("append_only_by_trigger_alone", tables=list(changeable), todo=todo)


class _Retrier(PeriodicLoop):
    """Tries parked messages again whose time has come."""

    name = "retrier"

    def __init__(self, processor: Processor) -> None:
        super().__init__(idle_s=0.5)
        self._processor = processor

    async def run_once(self) -> bool:
        return await self._processor.retry_one()


class _Housekeeping(PeriodicLoop):
    """Measures ages, asks again for missing messages, creates partitions, forgets what is older than 90 days."""

    name = "housekeeping"

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(idle_s=_HOUSEKEEPING_S)
        self._runtime = runtime

    async def run_once(self) -> bool:
        runtime, name = self._runtime, self._runtime.service.name
        await runtime.processor.ask_for_missing()
        async with runtime.transaction(Cause.of_person(name), ("housekeeping",)) as tx:
            await tx.execute(DELETE_SEEN)
            await tx.execute(DELETE_ANSWERS)
            metrics.parked_open.labels(name).set(int(str(await tx.fetchval(parking.COUNT_OPEN))))
        async with runtime.transaction(Cause.of_person(name), ("partitions",)) as tx:
            await create_partitions(tx=tx)
        metrics.outbox_age_s.labels(name).set(await runtime.relay.outbox_age_s())
        for effect, worker in runtime.effects.items():
            metrics.task_age_s.labels(name, effect).set(max(0.0, await worker.age_s()))
        return False


async def _stop(loop: Loop) -> None:
    try:
        await loop.stop()
    except Exception:
        _log.exception("stop_failed", loop=loop.name)
