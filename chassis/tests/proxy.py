"""A TCP proxy in front of a server that can lose the answer of a COMMIT, as a broken network does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Forwards bytes; armed, it lets one COMMIT through and cuts the connection before its answer."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._armed = False
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self.cuts = 0

    @property
    def url(self) -> str:
        """The server's URL through this proxy."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        user = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}"))

    def lose_next_commit_answer(self) -> None:
        """The next COMMIT reaches the server, its answer does not come back."""
        self._armed = True

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        host, port = self._target.hostname, self._target.port
        server_reader, server_writer = await asyncio.open_connection(host, port)
        cut = asyncio.Event()
        try:
            await asyncio.gather(
                self._forward(reader, server_writer, cut, watch=True),
                self._forward(server_reader, writer, cut, watch=False),
            )
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            self._links.discard(task)
            writer.close()
            server_writer.close()

    async def _forward(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, cut: asyncio.Event, *, watch: bool
    ) -> None:
        while data := await source.read(65536):
            if watch and self._armed and b"COMMIT" in data:
                self._armed = False
                self.cuts += 1
                cut.set()
            elif not watch and cut.is_set():
                break  # The server has answered, so it has committed.
            target.write(data)
            await target.drain()
        target.close()
        with contextlib.suppress(ConnectionError):
            await target.wait_closed()


@asynccontextmanager
async def a_proxy(url: str) -> AsyncIterator[Proxy]:
    """A proxy before the server of this URL."""
    proxy = Proxy(url)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
