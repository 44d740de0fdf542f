"""One server process per state directory, findable again by other processes.

Owns the record of the running process (`process.json`). A record counts only while the process
with that id was created when the record says, so a reused process id is never signalled.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import psutil

from caas_chassis.embedded import watchdog
from caas_chassis.embedded.errors import EmbeddedServerError

POLL_S = 0.02
KILL_DEADLINE_S = 10.0
LOG_TAIL_LINES = 20


class Launch(Protocol):
    """Another way to start a process than `subprocess`; returns its id."""

    def __call__(self, command: Sequence[str], log_path: Path, cwd: Path, environment: Mapping[str, str], /) -> int: ...


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """Which process serves a state directory: its id, its creation time (epoch s) and its port."""

    pid: int
    created_at_s: float
    port: int


class ServerProcess:
    """The process of one server. Signals only the process it can prove to be the recorded one."""

    def __init__(self, state_dir: Path, *, name: str) -> None:
        self.name = name
        self.log_path = state_dir / "server.log"
        self._record_path = state_dir / "process.json"
        self._child: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The id of the running process, or None."""
        record = self.record()
        return None if record is None else record.pid

    def record(self) -> ProcessRecord | None:
        """The record of the running process, or None when there is none or it has ended."""
        try:
            record = ProcessRecord(**json.loads(self._record_path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            # Half a record is what a crash while writing leaves: nothing can be proved by it.
            return None
        return record if self._is_alive(record) else None

    def spawn(
        self,
        command: Sequence[str | Path],
        *,
        port: int,
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        launch: Launch | None = None,
    ) -> None:
        """Start `command` in a session of its own, its output appended to the log.

        `environment` None means this process's own.
        """
        start = launch or self._popen
        pid = start(
            [str(part) for part in command], self.log_path, cwd, os.environ if environment is None else environment
        )
        record = ProcessRecord(pid=pid, created_at_s=psutil.Process(pid).create_time(), port=port)
        draft = self._record_path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(record)))
        draft.replace(self._record_path)

    def _popen(self, command: Sequence[str], log_path: Path, cwd: Path, environment: Mapping[str, str]) -> int:
        with log_path.open("ab") as log:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=environment,
                start_new_session=True,
            )
        return self._child.pid

    def end_with_parent(self, signal_number: signal.Signals) -> None:
        """Send the server `signal_number` when this process ends, even by SIGKILL."""
        # A predecessor that ended by itself must not leave a watchdog over a process id of the past.
        self._release_watchdog()
        pid = self.pid
        if pid is not None:
            command = [sys.executable, "-I", "-S", watchdog.__file__, str(pid), str(int(signal_number))]
            self._watchdog = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def wait_until(self, is_ready: Callable[[], bool], *, timeout_s: float) -> bool:
        """Wait for readiness: False when the process ended first.

        Raises EmbeddedServerError, after killing the process, when `timeout_s` pass.
        """
        deadline = time.monotonic() + timeout_s
        while self.pid is not None:
            if is_ready():
                return True
            if time.monotonic() >= deadline:
                self.signal_and_wait(signal.SIGKILL, timeout_s=KILL_DEADLINE_S)
                raise EmbeddedServerError(f"{self.name} was not ready after {timeout_s:.0f} s; {self.log_tail()}")
            time.sleep(POLL_S)
        return False

    def send_signal(self, signal_number: signal.Signals) -> None:
        """Signal the process, if there is one, and do not wait."""
        record = self.record()
        if record is not None:
            # It may end by itself between the look and the signal.
            with suppress(ProcessLookupError):
                os.kill(record.pid, signal_number)

    def signal_and_wait(self, signal_number: signal.Signals, *, timeout_s: float) -> bool:
        """Signal the process, if there is one, and say whether it ended within `timeout_s`."""
        self.send_signal(signal_number)
        deadline = time.monotonic() + timeout_s
        while self.record() is not None:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)
        self._release_watchdog()
        self._record_path.unlink(missing_ok=True)
        return True

    def log_tail(self) -> str:
        """The last lines of the server's log, introduced by where the log is."""
        lines = self.log_path.read_text(errors="replace").splitlines() if self.log_path.exists() else []
        return "\n".join([f"the end of {self.log_path}:", *lines[-LOG_TAIL_LINES:]])

    def _is_alive(self, record: ProcessRecord) -> bool:
        if self._child is not None and self._child.pid == record.pid:
            return self._child.poll() is None
        try:
            process = psutil.Process(record.pid)
            same = abs(process.create_time() - record.created_at_s) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def _release_watchdog(self) -> None:
        """The server is gone: end its watchdog before its process id can be reused."""
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.communicate(timeout=KILL_DEADLINE_S)
            self._watchdog = None
