"""The sandbox gateway as a process of its own, with its books: what it says is what was really charged."""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

API_KEY = "sk_test_payments"
START_TIMEOUT_S = 20.0


class SandboxGateway:
    """A running process; `url` is its address."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=10.0)

    def fault(self, operation: str, kind: str, times: int = 1, retry_after_s: int | None = None) -> None:
        """Script a fault for the next requests of an operation."""
        body = {"operation": operation, "kind": kind, "times": times, "retry_after_s": retry_after_s}
        self._http.post("/sandbox/faults", json=body).raise_for_status()

    def clear_faults(self) -> list[dict[str, Any]]:
        """End all faults and say what each of them did."""
        fired: list[dict[str, Any]] = self._http.get("/sandbox/faults").json()["faults"]
        self._http.delete("/sandbox/faults").raise_for_status()
        return fired

    def effects(self, reference: str) -> list[tuple[str, int]]:
        """What was really done under a reference: operation and amount in minor units."""
        cursor, has_more = "0", True
        found: list[tuple[str, int]] = []
        while has_more:
            page = self._http.get("/sandbox/books/transactions", params={"cursor": cursor, "limit": 1000}).json()
            found += [
                (effect["operation"], effect["amount_minor"])
                for transaction in page["transactions"]
                if transaction["reference"] == reference
                for effect in transaction["effects"]
            ]
            cursor, has_more = page["next_cursor"], page["has_more"]
        return found

    def transaction(self, reference: str) -> dict[str, Any]:
        """The one transaction under a reference, as the gateway tells it."""
        headers = {"Authorization": f"Bearer {API_KEY}"}
        answer = self._http.get("/transactions", params={"reference": reference}, headers=headers).raise_for_status()
        [found] = answer.json()["transactions"]
        return dict(found)

    def customer(self, page: str, choice: str) -> int:
        """The customer opens a page of the gateway and decides; the status of the answer."""
        return self._http.post(f"{page}/{choice}").status_code

    def close(self) -> None:
        """Close the test's own connections."""
        self._http.close()


@contextmanager
def running_sandbox(state_dir: Path, *options: str) -> Iterator[SandboxGateway]:
    """Start a gateway, and end it with the block."""
    command = [
        *(sys.executable, "-m", "caas_sandbox.gateway", "--port", "0", "--api-key", API_KEY),
        *("--state-dir", str(state_dir), "--hang-s", "0.4", "--pending-s", "0.2"),
        *options,
    ]
    environment = {name: value for name, value in os.environ.items() if name != "CAAS_CLOCK_FILE"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        gateway = SandboxGateway(_address(process))
        yield gateway
        gateway.close()
    finally:
        process.terminate()
        process.wait(timeout=10.0)


def _address(process: subprocess.Popen[str]) -> str:
    """The address that the process prints once it answers."""
    assert process.stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: lines.put(process.stdout.readline() if process.stdout else ""), daemon=True).start()
    line = lines.get(timeout=START_TIMEOUT_S)
    assert line.startswith("listening on "), f"the sandbox gateway did not start: {line!r}"
    return line.split()[2]
