"""Starts gateway processes and receives their webhooks; every wait has a deadline."""

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, override
from uuid import uuid4

import httpx

from caas_sandbox.clock import CLOCK_FILE_VARIABLE, move_clock

API_KEY = "sandbox-key"
WEBHOOK_SECRET = "whsec_c2FuZGJveC13ZWJob29rLXNlY3JldC0zMi1ieXRlcyE="
HANG_S = 0.4
PENDING_S = 0.3
DEADLINE_S = 45.0
DAY_S = 24 * 3600


def wait_until[T](found: Callable[[], T], what: str, deadline_s: float = DEADLINE_S) -> T:
    """The first truthy result of `found`; fails when there is none before the deadline."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.02)
    raise AssertionError(f"waited {deadline_s} s in vain for {what}")


@dataclass(frozen=True)
class Delivery:
    """One webhook request as it arrived."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content


@dataclass
class WebhookReceiver:
    """An HTTP server of the merchant; the first `failures` requests are answered 500."""

    failures: int = 0
    deliveries: list[Delivery] = field(default_factory=list)
    refused: list[Delivery] = field(default_factory=list)
    url: str = ""

    def of_type(self, kind: str, reference: str) -> list[Delivery]:
        """What has arrived of one type for one reference."""
        deliveries = [(delivery, delivery.message) for delivery in list(self.deliveries)]
        return [
            delivery
            for delivery, message in deliveries
            if message["type"] == kind and message["data"].get("reference") == reference
        ]

    def wait_for(self, kind: str, reference: str) -> dict[str, Any]:
        """The data of the first webhook of a type and reference."""
        found = wait_until(lambda: self.of_type(kind, reference), f"webhook {kind} of {reference}")
        data: dict[str, Any] = found[0].message["data"]
        return data

    @contextlib.contextmanager
    def running(self) -> Iterator["WebhookReceiver"]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(receiver.receive(Delivery(headers, body)))
                self.send_header("content-length", "0")
                self.end_headers()

            @override
            def log_message(self, format: str, *args: Any) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_address[1]}/webhooks"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(DEADLINE_S)

    def receive(self, delivery: Delivery) -> int:
        """Keeps the request; returns the status to answer with."""
        if self.failures > 0:
            self.failures -= 1
            self.refused.append(delivery)
            return 500
        self.deliveries.append(delivery)
        return 204


class Gateway:
    """One gateway process, its state and its clock; it can be killed and started again."""

    def __init__(self, state_dir: Path, webhook_url: str | None = None) -> None:
        self._state_dir = state_dir
        self._webhook_url = webhook_url
        self._process: subprocess.Popen[str] | None = None
        self.http = httpx.Client()

    @property
    def clock_file(self) -> Path:
        return self._state_dir / "clock.json"

    def start(self) -> None:
        """Returns when requests are answered."""
        arguments = [sys.executable, "-m", "caas_sandbox.gateway", "--port", "0"]
        arguments += ["--state-dir", str(self._state_dir), "--api-key", API_KEY]
        arguments += ["--hang-s", str(HANG_S), "--pending-s", str(PENDING_S)]
        if self._webhook_url:
            arguments += ["--webhook-url", self._webhook_url, "--webhook-secret", WEBHOOK_SECRET]
        self._process = subprocess.Popen(
            arguments,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, CLOCK_FILE_VARIABLE: str(self.clock_file)},
        )
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], DEADLINE_S)
        assert readable, "the gateway did not announce itself"
        line = self._process.stdout.readline()
        assert line.startswith("listening on "), f"the gateway printed {line!r}"
        self.http.close()
        self.http = httpx.Client(
            base_url=line.removeprefix("listening on ").strip(),
            headers={"authorization": f"Bearer {API_KEY}"},
            timeout=DEADLINE_S,
        )

    def kill(self) -> None:
        """SIGKILL: nothing of the process can finish what it was doing."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(DEADLINE_S)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(DEADLINE_S)

    def wait(self) -> int:
        """Waits for the process to end by itself; returns the exit status."""
        assert self._process is not None
        return self._process.wait(DEADLINE_S)

    @contextlib.contextmanager
    def running(self) -> Iterator["Gateway"]:
        self.start()
        try:
            yield self
        finally:
            self.kill()
            self.http.close()

    def move_clock(self, days: float) -> None:
        """Sets business time to that many days after real time."""
        move_clock(self.clock_file, int(days * DAY_S))

    def post(self, path: str, body: object, key: str | None = None) -> httpx.Response:
        return self.http.post(path, json=body, headers={"idempotency-key": key or uuid4().hex})

    def authorize(
        self, payment_method: str = "tok_approved", *, key: str | None = None, **changes: Any
    ) -> httpx.Response:
        """Asks for a hold of 10.00 EUR, unless changed."""
        return self.post("/transactions", an_authorization(payment_method=payment_method, **changes), key)

    def a_hold(self, payment_method: str = "tok_approved", **changes: Any) -> dict[str, Any]:
        """A transaction that was authorized."""
        answer = self.authorize(payment_method, **changes)
        assert answer.status_code == 201, answer.text
        transaction: dict[str, Any] = answer.json()
        return transaction

    def a_captured(self, payment_method: str = "tok_approved", **changes: Any) -> dict[str, Any]:
        """A hold that was captured whole."""
        hold = self.a_hold(payment_method, **changes)
        answer = self.capture(hold)
        assert answer.status_code == 200, answer.text
        transaction: dict[str, Any] = answer.json()
        return transaction

    def capture(
        self, transaction: dict[str, Any], amount_minor: int | None = None, key: str | None = None
    ) -> httpx.Response:
        amount_minor = transaction["amount_minor"] if amount_minor is None else amount_minor
        return self.post(f"/transactions/{transaction['id']}/capture", {"amount_minor": amount_minor}, key)

    def void(self, transaction: dict[str, Any], key: str | None = None) -> httpx.Response:
        return self.post(f"/transactions/{transaction['id']}/void", {}, key)

    def refund(
        self, transaction: dict[str, Any], amount_minor: int, key: str | None = None, reference: str | None = None
    ) -> httpx.Response:
        body = {"amount_minor": amount_minor, "reference": reference or a_reference("refund")}
        return self.post(f"/transactions/{transaction['id']}/refund", body, key)

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        answer = self.http.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content

    def found(self, transaction: dict[str, Any]) -> dict[str, Any]:
        """The transaction as the gateway has it now."""
        return self.get(f"/transactions/{transaction['id']}")

    def of_reference(self, reference: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/transactions", reference=reference)["transactions"]
        return found

    def feed(self, limit: int = 100) -> list[dict[str, Any]]:
        """All settlement lines, read page by page."""
        return list(self._pages("/settlements", "lines", limit))

    def books(self) -> list[dict[str, Any]]:
        """All transactions with their effects, read page by page."""
        return list(self._pages("/sandbox/books/transactions", "transactions", 1000))

    def add_fault(self, **fault: Any) -> None:
        answer = self.http.post("/sandbox/faults", json=fault)
        assert answer.status_code == 201, answer.text

    def log_of(self, reference: str) -> list[dict[str, Any]]:
        """What was asked, answered and told about a reference, in order."""
        log: list[dict[str, Any]] = self.get("/sandbox/requests", reference=reference)["requests"]
        return log

    def _pages(self, path: str, member: str, limit: int) -> Iterator[dict[str, Any]]:
        cursor, more = "0", True
        while more:
            page = self.get(path, cursor=cursor, limit=limit)
            yield from page[member]
            cursor, more = page["next_cursor"], page["has_more"]


def a_reference(prefix: str = "payment") -> str:
    return f"{prefix}-{uuid4()}"


def an_authorization(**changes: Any) -> dict[str, Any]:
    """The body of a request for a hold of 10.00 EUR."""
    body = {
        "reference": a_reference(),
        "amount_minor": 1000,
        "currency": "EUR",
        "payment_method": "tok_approved",
        "capture": False,
    }
    return body | changes
