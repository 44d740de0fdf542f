"""One process at a time: a lock that the operating system frees when its holder dies."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from caas_chassis.embedded.errors import EmbeddedServerError

POLL_S = 0.1


@contextmanager
def exclusive(path: Path, *, timeout_s: float, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path`, waiting at most `timeout_s` for another process to release it.

    `on_wait` is called once when there is something to wait for. Raises EmbeddedServerError past
    the deadline. The file itself stays: removing it would let two processes lock two files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_s
    with path.open("a") as handle:
        waited = False
        while not _try_lock(handle.fileno()):
            if not waited and on_wait is not None:
                on_wait()
            waited = True
            if time.monotonic() >= deadline:
                raise EmbeddedServerError(f"another process still held {path} after {timeout_s:.0f} s")
            time.sleep(POLL_S)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
