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

type Loop = Callable[[], Awaitable[None]]


def run_partner(app: FastAPI, port: int, *loops: Loop) -> None:
    """Serves `app` and its `loops` until SIGTERM or SIGINT; port 0 takes a free one.

    Prints `listening on http://127.0.0.1:<port>` when requests are answered.
    """
    config = uvicorn.Config(
        app,
        http=_ClosableProtocol,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
    )
    asyncio.run(_serve(config, port, loops), loop_factory=config.get_loop_factory())


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

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def _serve(config: uvicorn.Config, port: int, loops: tuple[Loop, ...]) -> None:
    with _listener(port) as listener:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_forever(loop)) for loop in loops]
            await _Server(config).serve(sockets=[listener])
            for task in tasks:
                task.cancel()


async def _forever(loop: Loop) -> None:
    await loop()
    raise RuntimeError(f"background loop {loop!r} ended, but it must run as long as the process")


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener
