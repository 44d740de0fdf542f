"""Background loops: one class each, with `start`, `stop` and one verb that tests call as well."""

import asyncio
import contextlib
from typing import Final, Protocol

import structlog

_log = structlog.get_logger(__name__)

STOP_TIMEOUT_S: Final = 15.0
_BACKOFF_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)


class Loop(Protocol):
    """Something that runs beside the request handling of a service."""

    name: str

    @property
    def healthy(self) -> bool:
        """Whether it makes progress; readiness asks."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Finish what is in hand, within 15 s."""
        ...


class PeriodicLoop:
    """Calls `run_once` again and again until stopped: at once after work was done, else after a wait.

    `wake` ends the wait early. An exception is logged and tried again with growing pauses: a loop never
    dies silently, and is unhealthy while it fails.
    """

    name = "loop"

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._failures = 0

    @property
    def healthy(self) -> bool:
        return self._task is not None and not self._task.done() and self._failures < len(_BACKOFF_S)

    async def run_once(self) -> bool:
        """Do what is to be done; True when there may be more."""
        raise NotImplementedError

    def wake(self) -> None:
        """There may be work now."""
        self._wake.set()

    async def start(self) -> None:
        self._stopping = False
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            done, _ = await asyncio.wait({self._task}, timeout=STOP_TIMEOUT_S)
            if not done:
                _log.warning("loop_cancelled", loop=self.name, after_s=STOP_TIMEOUT_S)
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=STOP_TIMEOUT_S)

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                more = await self.run_once()
                self._failures = 0
            except Exception:
                pause = _BACKOFF_S[min(self._failures, len(_BACKOFF_S) - 1)]
                self._failures += 1
                _log.exception("loop_failed", loop=self.name, again_in_s=pause)
                await self._wait(pause)
                continue
            if not more:
                await self._wait(self._idle_s)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
