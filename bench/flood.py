"""Sends signed webhooks as fast as they are answered: `python -m bench.flood <port> <secret> <number> <connections>`.

Everything is signed and written down before the first byte is sent; each connection is kept and has one request under
way. Prints one line of JSON: seconds, answers by status, and latencies in ms.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from statistics import quantiles
from typing import Final, cast
from uuid import uuid4

import uvloop

DEADLINE_S: Final = 120.0
HEADERS_END: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length: "


def a_request(secret: str) -> bytes:
    """One webhook about a transaction of its own, as the gateway would send it."""
    transaction = uuid4().hex
    body = json.dumps(
        {
            "type": "transaction.captured",
            "timestamp": "2026-11-22T12:00:00Z",
            "data": {
                "id": f"txn_{transaction}",
                "reference": str(uuid4()),
                "status": "captured",
                "amount_minor": 1999,
                "captured_minor": 1999,
                "refunded_minor": 0,
                "currency": "EUR",
                "created_at": "2026-11-22T11:59:58Z",
                "updated_at": "2026-11-22T12:00:00Z",
            },
        }
    )
    name, timestamp = f"msg_{transaction}", str(int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{name}.{timestamp}.{body}".encode(), hashlib.sha256)
    head = (
        "POST /webhooks/gateway HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nwebhook-id: {name}\r\nwebhook-timestamp: {timestamp}\r\n"
        f"webhook-signature: v1,{base64.b64encode(digest).decode()}\r\n\r\n"
    )
    return (head + body).encode()


class _Sender(asyncio.Protocol):
    """One connection: the next request when the answer to the last is whole."""

    def __init__(self, requests: Iterator[bytes], statuses: Counter[int], latencies: list[float]) -> None:
        self.finished = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._statuses = statuses
        self._latencies = latencies
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in behaviour, not by inheritance.
        self._transport = cast(asyncio.Transport, transport)

    def begin(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(HEADERS_END)
        if end < 0:
            return
        at = self._received.lower().index(LENGTH) + len(LENGTH)
        length = int(self._received[at : self._received.index(b"\r", at)])
        if len(self._received) < end + len(HEADERS_END) + length:
            return
        self._statuses[int(self._received[9:12])] += 1
        self._latencies.append(1000 * (time.perf_counter() - self._sent_at))
        self._received = b""
        self.begin()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


async def flood(port: int, requests: list[bytes], connections: int) -> dict[str, object]:
    """Send everything; what came back and how fast."""
    loop = asyncio.get_running_loop()
    pending, statuses, latencies = iter(requests), Counter[int](), list[float]()
    senders = [
        (await loop.create_connection(lambda: _Sender(pending, statuses, latencies), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    began = time.perf_counter()
    for sender in senders:
        sender.begin()
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*[sender.finished for sender in senders])
    seconds = time.perf_counter() - began
    cuts = quantiles(latencies, n=100)
    return {"seconds": seconds, "statuses": statuses, "p50_ms": round(cuts[49], 1), "p99_ms": round(cuts[98], 1)}


def main() -> None:
    """Prepare, send, print."""
    port, secret, number, connections = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    requests = [a_request(secret) for _ in range(number)]
    print(json.dumps(uvloop.run(flood(port, requests, connections))))


if __name__ == "__main__":
    main()
