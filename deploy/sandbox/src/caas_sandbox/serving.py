"""Runs one partner's HTTP application with its background loops on 127.0.0.1.

A loop that fails takes the process down with its traceback: a partner that quietly stopped
settling or sending would make every test that relies on it lie.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Generator
from typing import override

import uvicorn
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Long enough for a request that hangs on purpose to end, short enough for a test to wait for.
SHUTDOWN_TIMEOUT_S = 4

LOOPBACK = "127.0.0.1"

type Loop = Callable[[], Awaitable[None]]
type Ready = Callable[[], Awaitable[str]]


def run_partner(app: FastAPI, port: int, *loops: Loop) -> None:
    """Serves `app` and its `loops` until SIGTERM or SIGINT; port 0 takes a free one.

    Prints `listening on http://127.0.0.1:<port>` when requests are answered.
    """
    with bind(port) as listener:
        asyncio.run(_serve_beside(app, listener, loops), loop_factory=_config(app).get_loop_factory())


async def serve(app: FastAPI, listener: socket.socket, ready: Ready | None = None) -> None:
    """Answers requests until SIGTERM or SIGINT, then returns normally.

    `ready` is awaited once HTTP answers, and its text ends the printed line; what it raises ends the server.
    """
    await _Server(_config(app), ready).serve(sockets=[listener])


def bind(port: int) -> socket.socket:
    """A socket bound to `port` of the loopback address; 0 takes a free one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((LOOPBACK, port))
    return listener


async def close_without_answer(scope: Scope, receive: Receive) -> None:
    """Closes the connection of a request at once; what was not sent yet is never sent."""
    scope["extensions"][_TRANSPORT]["transport"].close()
    async with asyncio.timeout(SHUTDOWN_TIMEOUT_S):
        while (await receive())["type"] != "http.disconnect":
            pass


async def send_half(body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
    """Announces a JSON answer of full length, sends half of it, and closes the connection."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    start: Message = {"type": "http.response.start", "status": 200, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    await close_without_answer(scope, receive)


_TRANSPORT = "caas.transport"


class _ClosableProtocol(HttpToolsProtocol):
    """Hands each request its connection, since ASGI has no way to end one without an answer."""

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_TRANSPORT: {"transport": self.transport}}


class _Server(uvicorn.Server):
    """Announces itself, and ends with status 0 on SIGTERM instead of raising the signal again."""

    def __init__(self, config: uvicorn.Config, ready: Ready | None) -> None:
        super().__init__(config)
        self._ready = ready

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        more = await self._ready() if self._ready else ""
        for listener in sockets or []:
            print(f"listening on http://{LOOPBACK}:{listener.getsockname()[1]}{more}", flush=True)

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_ClosableProtocol,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
    )


async def _serve_beside(app: FastAPI, listener: socket.socket, loops: tuple[Loop, ...]) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_forever(loop)) for loop in loops]
        await serve(app, listener)
        for task in tasks:
            task.cancel()


async def _forever(loop: Loop) -> None:
    await loop()
    raise RuntimeError(f"background loop {loop!r} ended, but it must run as long as the process")
