"""Starts any partner as a process of its own, and ends it after the test whatever happened."""

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from caas_sandbox.clock import CLOCK_FILE_VARIABLE

DEADLINE_S = 60.0

type StartPartner = Callable[..., tuple[subprocess.Popen[str], httpx.Client]]


@pytest.fixture(scope="session")
def start_partner() -> Iterator[StartPartner]:
    """A function (partner, state folder, further arguments) that returns when requests are answered.

    The partner reads its clock from `clock.json` in the state folder.
    """
    started: list[tuple[subprocess.Popen[str], httpx.Client]] = []

    def start(partner: str, state_dir: Path, *arguments: str) -> tuple[subprocess.Popen[str], httpx.Client]:
        process = subprocess.Popen(
            [
                *[sys.executable, "-m", f"caas_sandbox.{partner}", "--port", "0"],
                *["--state-dir", str(state_dir), *arguments],
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, CLOCK_FILE_VARIABLE: str(state_dir / "clock.json")},
        )
        http = httpx.Client(timeout=DEADLINE_S)
        started.append((process, http))
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], DEADLINE_S)
        line = process.stdout.readline() if readable else ""
        assert line.startswith("listening on "), f"{partner} did not announce itself, it printed {line!r}"
        http.base_url = httpx.URL(line.split()[2])
        return process, http

    yield start
    for process, http in started:
        http.close()
        process.kill()
        process.wait(DEADLINE_S)
