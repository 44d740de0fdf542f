"""A process of its own that ends a server when the process that started it is gone.

It reads from a pipe whose other end only the starter holds: the end of the file means that the
starter died, however it died, `kill -9` included.
"""

import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Arguments: the server's pid and the number of the signal to send it."""
    server_pid, signal_number = int(sys.argv[1]), int(sys.argv[2])
    # The terminal's Ctrl-C reaches the whole group; the starter decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while sys.stdin.buffer.read(1):
        pass
    with suppress(ProcessLookupError):
        os.kill(server_pid, signal_number)


if __name__ == "__main__":
    main()
