"""Waiting for a change that a message, possibly in another replica, will commit.

NOTIFY is only a hint: it is heard while connected, and may be lost. So whoever waits also looks again twice
a second, and always has a deadline.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
import structlog

from caas_chassis.database import Database
from caas_chassis.loops import PeriodicLoop
from caas_chassis.transaction import CHANGE_CHANNEL

LOOK_AGAIN_S: Final = 0.5
_log = structlog.get_logger(__name__)


class Changes(PeriodicLoop):
    """Listens for `tx.notify(key)` of any replica and wakes those that wait for the key."""

    name = "changes"

    def __init__(self, database: Database) -> None:
        super().__init__(idle_s=5.0)
        self._database = database
        self._connection: asyncpg.Connection | None = None
        self._waiting: dict[str, set[asyncio.Event]] = {}

    async def run_once(self) -> bool:
        """Keep the listening connection alive."""
        if self._connection is None or self._connection.is_closed():
            connection = await self._database.dedicated()
            await connection.add_listener(CHANGE_CHANNEL, self._changed)
            self._connection = connection
        else:
            await self._connection.execute("SELECT 1")
        return False

    async def stop(self) -> None:
        await super().stop()
        if self._connection is not None and not self._connection.is_closed():
            with contextlib.suppress(TimeoutError):
                await self._connection.close(timeout=2.0)

    async def wait[T](self, key: str, check: Callable[[], Awaitable[T | None]], timeout_s: float) -> T | None:
        """The first value other than None that `check` returns, or None when the time is over."""
        event = asyncio.Event()
        self._waiting.setdefault(key, set()).add(event)
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            while True:
                event.clear()
                found = await check()
                left = deadline - asyncio.get_running_loop().time()
                if found is not None or left <= 0:
                    return found
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), min(left, LOOK_AGAIN_S))
        finally:
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]

    def _changed(self, _connection: object, _pid: int, _channel: str, key: object) -> None:
        for event in self._waiting.get(str(key), ()):
            event.set()
