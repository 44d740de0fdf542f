"""Starts services by fork from a process that has imported them already: a test that restarts them often.

What a started process shares with others is imported code alone: it has its own session, environment, files and
death. Importing a service takes over a second of computing, starting it a tenth of that.
"""

import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from caas_chassis import crashpoints

ANSWER_WITHIN_S: Final = 60.0
_MAX_REQUEST_BYTES: Final = 1 << 20


class Nursery:
    """The client of the process that forks. `modules` are imported once, before the first fork."""

    def __init__(self, folder: Path, modules: Sequence[str]) -> None:
        self._modules = modules
        self._log_path = folder / "nursery.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(ANSWER_WITHIN_S)
        command = [sys.executable, "-m", __name__, str(theirs.fileno()), *self._modules]
        with theirs, self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[theirs.fileno()]
            )
        self._socket = ours
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._socket is not None
        self._socket.close()
        self._process.wait(ANSWER_WITHIN_S)

    def launch(self, command: Sequence[str], log_path: Path, cwd: Path, environment: Mapping[str, str]) -> int:
        """Start `python -m module …` and return its process id. Raises OSError when the nursery has ended."""
        assert self._socket is not None
        wish = {"arguments": list(command[2:]), "log": str(log_path), "cwd": str(cwd), "environment": dict(environment)}
        self._socket.send(json.dumps(wish).encode())
        answer = self._socket.recv(64)
        if not answer:
            raise ConnectionError(f"the nursery has ended: see {self._log_path}")
        return int(answer)


def _serve(channel: socket.socket, modules: Sequence[str]) -> None:
    """Fork a process for each request until the client goes away."""
    for module in modules:
        importlib.import_module(module)
    # Ended processes are not waited for: they vanish at once.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while request := channel.recv(_MAX_REQUEST_BYTES):
        pid = os.fork()
        if pid == 0:
            channel.close()
            _become(json.loads(request))
        channel.send(str(pid).encode())


def _become(wish: Mapping[str, Any]) -> None:
    """The forked process: everything that a new interpreter would have of its own, then the module's main."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    with Path(wish["log"]).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.chdir(wish["cwd"])
    os.environ.clear()
    os.environ.update(wish["environment"])
    # It reads the environment when it is imported, and what imported its function sees the module's new state.
    importlib.reload(crashpoints)
    sys.argv = list(wish["arguments"])
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    sys.exit(0)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
