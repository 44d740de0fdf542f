"""Child processes of the bench: started with a log each, and gone when the block ends, however it ends."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from bench.machine import STATE

STOP_TIMEOUT_S: Final = 20.0
LOG_TAIL_BYTES: Final = 2000


class ProcessEnded(RuntimeError):
    """A process of the bench ended by itself; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running process."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    @property
    def rss_mb(self) -> float:
        """Its resident memory, in MB of a million bytes."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6

    def check(self) -> None:
        """Raises ProcessEnded when it is not running any more."""
        if self.process.returncode is not None:
            tail = self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
            raise ProcessEnded(f"{self.name} ended with {self.process.returncode}; its log ends with:\n{tail}")


@asynccontextmanager
async def child(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[Child]:
    """`python <arguments>` with these variables added; ended in order, and killed when that takes over 20 s."""
    log = STATE / f"{name}.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
        )
    try:
        yield Child(name, process, log)
    finally:
        await _end(process)


async def run_to_end(arguments: Sequence[str]) -> str:
    """What `python <arguments>` prints. Raises ProcessEnded when it fails; ended when the caller gives up."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await process.communicate()
    finally:
        await _end(process)
    if process.returncode:
        tail = err[-LOG_TAIL_BYTES:].decode(errors="replace")
        raise ProcessEnded(f"{' '.join(arguments[:2])} ended with {process.returncode}:\n{tail}")
    return out.decode()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
