"""Serves the control port until the process is told to stop, and announces itself when MQTT is up too.

The port is bound before anything else starts and the line "listening on ..." is printed only when
commands and requests are answered, so whoever starts the vehicles waits for it and never races.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable, Callable

import uvicorn
from fastapi import FastAPI

LOOPBACK = "127.0.0.1"
# Longest wait for open requests at SIGTERM; a partner's own answers take less than its slowest, 10 s.
SHUTDOWN_GRACE_S = 2


def bind(port: int) -> socket.socket:
    """A socket bound to `port` of the loopback address; 0 takes a free one."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((LOOPBACK, port))
    return bound


def port_of(bound: socket.socket) -> int:
    """The port number that a bound socket really has."""
    port: int = bound.getsockname()[1]
    return port


class _AnnouncingServer(uvicorn.Server):
    """Announces itself as the last step of its startup, when requests are already answered."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        await self._announce()


async def serve(
    app: FastAPI,
    bound: socket.socket,
    ready: Callable[[], Awaitable[str]] | None = None,
) -> None:
    """Answers requests until SIGTERM or SIGINT, then returns normally.

    `ready` is awaited once HTTP answers, and its text ends the printed line; what it raises ends the
    server.
    """

    async def announce() -> None:
        more = await ready() if ready else ""
        sys.stdout.write(f"listening on http://{LOOPBACK}:{port_of(bound)}{more}\n")
        sys.stdout.flush()

    # uvicorn raises the signal again after its shutdown. With a handler of ours in place that does
    # not kill the process, so the caller still closes its books and exits with status 0.
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: None)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=SHUTDOWN_GRACE_S)
    await _AnnouncingServer(config, announce).serve(sockets=[bound])
