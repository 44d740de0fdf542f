"""Gateways and the fault proxy as running processes; each is ended with its block."""

import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from caas_chassis.embedded.ports import LOOPBACK, free_port
from services.payments.tests.gateway.programs import Say, provide_localstripe, provide_stripe_mock

START_DEADLINE_S: Final = 60.0
STOP_DEADLINE_S: Final = 10.0
PROXY: Final = Path(__file__).with_name("fault_proxy.py")


@contextmanager
def running_localstripe(folder: Path, say: Say) -> Iterator[str]:
    """localstripe with empty books; yields its address."""
    port = free_port()
    with _running([*provide_localstripe(say), str(port)], folder / "localstripe.log", port):
        yield f"http://{LOOPBACK}:{port}"


@contextmanager
def running_stripe_mock(folder: Path, say: Say) -> Iterator[str]:
    """stripe-mock, refusing every other version of the API; yields its address."""
    port, encrypted = free_port(), free_port()
    command = [
        str(provide_stripe_mock(say)),
        *("-http-addr", f"{LOOPBACK}:{port}", "-https-addr", f"{LOOPBACK}:{encrypted}", "-strict-version-check"),
    ]
    with _running(command, folder / "stripe-mock.log", port):
        yield f"http://{LOOPBACK}:{port}"


class FaultProxy:
    """A running proxy; `url` is the partner's address with faults."""

    def __init__(self, url: str) -> None:
        self.url = url

    def fault(self, kind: str, times: int = 1) -> None:
        """Script what becomes of the next requests."""
        httpx.post(f"{self.url}/_faults", content=f"{kind} {times}", timeout=STOP_DEADLINE_S).raise_for_status()


@contextmanager
def running_proxy(partner: str) -> Iterator[FaultProxy]:
    """A proxy in front of the partner at this address."""
    address = partner.removeprefix("http://")
    process = subprocess.Popen([sys.executable, str(PROXY), address], stdout=subprocess.PIPE, text=True)
    try:
        yield FaultProxy(_announced(process))
    finally:
        _end(process)


@contextmanager
def _running(command: list[str], log: Path, port: int) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent)
    try:
        _await_port(process, port, log)
        yield
    finally:
        _end(process)


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=1.0):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{log.stem} does not listen, exit status {process.poll()}:\n{log.read_text()[-2000:]}")


def _announced(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: lines.put(process.stdout.readline() if process.stdout else ""), daemon=True).start()
    line = lines.get(timeout=START_DEADLINE_S)
    assert line.startswith("listening on "), f"the proxy did not start: {line!r}"
    return line.split()[2]


def _end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_DEADLINE_S)
