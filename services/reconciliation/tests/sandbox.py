"""The sandbox gateway as a process of its own, with its own books and a business clock that the test moves."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx

from caas_chassis.clock import BusinessClock, write_offset

API_KEY = "sandbox-key"
READY_DEADLINE_S = 20.0
STOP_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class SandboxGateway:
    """What a merchant does there, and the clock both sides live by."""

    url: str
    clock_file: Path

    def sell(self, payment_id: UUID, token: str, amount_minor: int) -> str:
        """Hold and capture; returns the gateway's transaction id."""
        held = self._post(
            "/transactions",
            reference=str(payment_id),
            amount_minor=amount_minor,
            currency="EUR",
            payment_method=token,
            capture=False,
        )
        self._post(f"/transactions/{held['id']}/capture", amount_minor=amount_minor)
        return str(held["id"])

    def refund(self, transaction_id: str, amount_minor: int, refund_id: UUID) -> None:
        self._post(f"/transactions/{transaction_id}/refund", amount_minor=amount_minor, reference=str(refund_id))

    def fail(self, **fault: Any) -> None:
        """Script a fault."""
        self._post("/sandbox/faults", **fault)

    def move_clock(self, instant: datetime) -> None:
        """Let the gateway's business clock show this instant now."""
        write_offset(self.clock_file, instant - BusinessClock().now())

    def books(self) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/sandbox/books", timeout=10)
        answer.raise_for_status()
        books: dict[str, Any] = answer.json()
        return books

    def _post(self, path: str, **body: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": str(uuid4())}
        answer = httpx.post(f"{self.url}{path}", json=body, headers=headers, timeout=10)
        answer.raise_for_status()
        made: dict[str, Any] = answer.json()
        return made


@contextmanager
def a_sandbox_gateway(folder: Path) -> Iterator[SandboxGateway]:
    """Start the gateway on a free port and end it with the block."""
    port = _free_port()
    clock_file = folder / "clock.json"
    command = [sys.executable, "-m", "caas_sandbox.gateway", "--port", str(port), "--state-dir", str(folder / "books")]
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--api-key", API_KEY],
            env={**os.environ, "CAAS_CLOCK_FILE": str(clock_file)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    gateway = SandboxGateway(f"http://127.0.0.1:{port}", clock_file)
    try:
        _wait_until_ready(gateway, process)
        yield gateway
    finally:
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_DEADLINE_S)


def _wait_until_ready(gateway: SandboxGateway, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{gateway.url}/health", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"the sandbox gateway is not ready: exit status {process.poll()}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
