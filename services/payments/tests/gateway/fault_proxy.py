"""A process between a client and a partner that does what networks do: `python fault_proxy.py HOST:PORT`.

Every connection carries one request. `POST /_faults` with `KIND TIMES` scripts what becomes of the next ones; kinds
that end in `_after` reach the partner first, so that their effect happens.
"""

import asyncio
import sys
from collections import deque
from typing import Final

HANG_S: Final = 4.0
LIMIT_BYTES: Final = 1 << 20

_ANSWERS: Final = {
    "500": b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops",
    "503": b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy",
    "garbage": b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>",
    "429": b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
}
_ACCEPTED: Final = b"HTTP/1.1 204 Done\r\nConnection: close\r\n\r\n"


class Proxy:
    """One partner, and the faults that wait for the next requests."""

    def __init__(self, host: str, port: int) -> None:
        self._partner = (host, port)
        self._faults: deque[str] = deque()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, or do not."""
        try:
            head, body = await _request(reader)
            if head.startswith(b"POST /_faults "):
                kind, times = body.decode().split()
                self._faults.extend([kind] * int(times))
                writer.write(_ACCEPTED)
            else:
                fault = self._faults.popleft() if self._faults else ""
                await self._answer(fault, head, body, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client went away: that is its right.
        finally:
            writer.close()

    async def _answer(self, fault: str, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        kind, _, when = fault.partition("_")
        if (kind and when == "before") or kind == "429":
            await _misbehave(kind, b"", writer)
            return
        said = await self._forward(head, body)
        if kind:
            await _misbehave(kind, said, writer)
        else:
            writer.write(said)

    async def _forward(self, head: bytes, body: bytes) -> bytes:
        lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(b"connection:")]
        reader, writer = await asyncio.open_connection(*self._partner)
        writer.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
        await writer.drain()
        said = await reader.read(-1)
        writer.close()
        return said


async def _misbehave(kind: str, said: bytes, writer: asyncio.StreamWriter) -> None:
    if kind == "silence":
        await asyncio.sleep(HANG_S)
    elif kind == "half":
        writer.write(said[: len(said) * 2 // 3])
    elif kind != "reset":
        writer.write(_ANSWERS[kind])


async def _request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head, await reader.readexactly(lengths[0]) if lengths else b""


async def main() -> None:
    """Serve until the process is ended."""
    host, _, port = sys.argv[1].rpartition(":")
    proxy = Proxy(host, int(port))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=LIMIT_BYTES)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
