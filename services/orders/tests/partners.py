"""The sandbox's partners as processes of their own, as the service meets them."""

import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from caas_chassis.embedded.ports import free_port

DEADLINE_S = 60.0


@contextmanager
def partner(name: str, state_dir: Path, *arguments: str) -> Iterator[httpx.Client]:
    """Run a partner until the block ends; gives a client of its HTTP side once it answers."""
    command = [sys.executable, "-m", f"caas_sandbox.{name}", "--port", "0", "--state-dir", str(state_dir)]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], DEADLINE_S)
        line = process.stdout.readline() if readable else ""
        assert line.startswith("listening on "), f"{name} did not announce itself, it printed {line!r}"
        with httpx.Client(base_url=line.split()[2], timeout=DEADLINE_S) as client:
            yield client
    finally:
        process.kill()
        process.wait(DEADLINE_S)


def unused_port() -> int:
    """A port that nothing listens on now."""
    return free_port()
