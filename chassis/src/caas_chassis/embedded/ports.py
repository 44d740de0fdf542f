"""Free TCP ports of this machine."""

import random
import socket
import time

from caas_chassis.embedded.errors import EmbeddedServerError

LOOPBACK = "127.0.0.1"

# Below the range from which Linux and macOS take the ports of outgoing connections (32768 and
# 49152), so that a client cannot take the port between our choosing it and the server binding it.
FIRST_PORT = 15_000
LAST_PORT = 32_000
ATTEMPTS = 200
POLL_S = 0.02


def free_port() -> int:
    """A loopback port that nothing listens on now; another process may still take it first."""
    for _ in range(ATTEMPTS):
        port = random.randint(FIRST_PORT, LAST_PORT)
        if is_free(port):
            return port
    raise EmbeddedServerError(f"no free port found between {FIRST_PORT} and {LAST_PORT}")


def is_free(port: int) -> bool:
    """Whether a server could bind `port` on the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def becomes_free(port: int, *, timeout_s: float) -> bool:
    """Whether `port` is free now or within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not is_free(port):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True
