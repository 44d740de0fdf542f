"""Starts the toy as a real process, arms its crash points, and looks at what is left of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from caas_chassis.embedded.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class ToyProcess:
    """One process of the toy, and the files beside it."""

    folder: Path
    database_url: str
    bootstrap: str
    http_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def crash_file(self) -> Path:
        return self.folder / "crash"

    @property
    def partner_book(self) -> Path:
        return self.folder / "partner-book"

    def start(self) -> None:
        """Start it; it does not wait for anything to be there."""
        environment = os.environ | {
            "CAAS_DATABASE_URL": self.database_url,
            "CAAS_HTTP_PORT": str(self.http_port),
            "CAAS_PARTNER_BOOK": str(self.partner_book),
            "CAAS_CRASH_FILE": str(self.crash_file),
            "CAAS_CLOCK_FILE": str(self.folder / "clock"),
            "CAAS_MIGRATE_ON_START": "true",
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT)]),
        }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "chassis.tests.toy_process", "serve"],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def arm(self, point: str) -> None:
        """The process dies when it comes to this point next."""
        self.crash_file.write_text(point)

    def has_died_at(self, point: str) -> bool:
        """Whether it proved that it reached the point, and was ended by SIGKILL."""
        proof = self.crash_file.with_suffix(".died")
        assert self.process is not None
        return proof.exists() and point in proof.read_text().split() and self.process.poll() == -signal.SIGKILL

    def terminate(self, within_s: float = 40.0) -> bool:
        """SIGTERM; whether the process then said that it had finished everything."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(within_s)
        return '"stopped"' in self.log()

    def ready(self) -> bool:
        """What readiness says, False when nothing answers."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.http_port}/health/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def log(self) -> str:
        """All that it has logged."""
        return (self.folder / "log").read_text()


def wait_until_ready(toy: ToyProcess, within_s: float = 60.0) -> None:
    """Fails with the end of the log when the deadline passes."""
    deadline = time.monotonic() + within_s
    while not toy.ready():
        assert time.monotonic() < deadline, toy.log()[-3000:]
        time.sleep(0.1)


@contextmanager
def a_toy_process(folder: Path, database_url: str, bootstrap: str) -> Iterator[ToyProcess]:
    """A process that is ended with the block, started by whoever gets it."""
    toy = ToyProcess(folder, database_url, bootstrap, free_port())
    try:
        yield toy
    finally:
        if toy.process is not None and toy.process.poll() is None:
            toy.process.kill()
            toy.process.wait(10)
