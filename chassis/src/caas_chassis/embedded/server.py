"""What both embedded servers have in common: one state directory, one process, the same verbs.

The process is whatever `process.json` proves it to be, so any process may build a server object
for the same directory and see, use or stop the same server.
"""

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from caas_chassis.embedded.errors import EmbeddedServerError
from caas_chassis.embedded.locking import exclusive
from caas_chassis.embedded.ports import becomes_free, free_port
from caas_chassis.embedded.process import KILL_DEADLINE_S, ServerProcess

Progress = Callable[[str], None]

# A port taken between choosing and binding, or the dying backends of a killed predecessor, end a
# first attempt; neither lasts.
START_ATTEMPTS: Final = 5
ATTEMPT_PAUSE_S: Final = 0.3
STOP_DEADLINE_S: Final = 20.0
# The threads of a killed server close their sockets a moment after its process counts as ended.
PORT_RELEASE_DEADLINE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a server: its command line, the port it will listen on, its working directory."""

    command: Sequence[str | Path]
    port: int
    cwd: Path


class EmbeddedServer(ABC):
    """A real server whose data, port and log live in one state directory."""

    name: ClassVar[str]
    start_deadline_s: ClassVar[float]
    # What ends the server in order, and what ends it when the process that started it has died.
    stop_signal: ClassVar[signal.Signals]
    orphan_signal: ClassVar[signal.Signals]

    def __init__(self, state_dir: Path, port: int, progress: Progress | None) -> None:
        self.state_dir = state_dir.absolute()
        self._wanted_port = port
        self._progress: Progress = progress or _say_nothing
        self._process = ServerProcess(self.state_dir, name=self.name)

    @property
    def log_path(self) -> Path:
        """Where the server's output goes."""
        return self._process.log_path

    @property
    def is_running(self) -> bool:
        """Whether the server's process is alive; it may not answer yet, or not any more."""
        return self._process.pid is not None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid

    @property
    def port(self) -> int:
        """The TCP port for clients. Raises EmbeddedServerError when the server is not running."""
        record = self._process.record()
        if record is None:
            raise EmbeddedServerError(f"{self.name} in {self.state_dir} is not running")
        return record.port

    def start(self, *, end_with_parent: bool = False, timeout_s: float | None = None) -> None:
        """Return when the server answers; a server that already runs is left as it is.

        With `end_with_parent` the server is ended when this process ends, however it ends; without,
        it outlives it. Raises EmbeddedServerError, with the end of the log, when the server does not
        come up within `timeout_s` (default: the deadline of its class).
        """
        deadline_s = self.start_deadline_s if timeout_s is None else timeout_s
        self._provide()
        self.state_dir.mkdir(parents=True, exist_ok=True)
        with exclusive(self.state_dir / ".lock", timeout_s=deadline_s):
            for _ in range(START_ATTEMPTS):
                if not self.is_running:
                    self._spawn(end_with_parent=end_with_parent)
                if self._process.wait_until(self._answers, timeout_s=deadline_s):
                    return
                time.sleep(ATTEMPT_PAUSE_S)
        raise EmbeddedServerError(f"{self.name} ended while starting; {self._process.log_tail()}")

    def stop(self, *, timeout_s: float = STOP_DEADLINE_S) -> None:
        """End the server in order, and by SIGKILL when it has not ended after `timeout_s`."""
        if not self._process.signal_and_wait(self.stop_signal, timeout_s=timeout_s):
            self.kill()

    def kill(self) -> None:
        """End the server by SIGKILL, as a crash would. Returns when its process is gone."""
        if not self._process.signal_and_wait(signal.SIGKILL, timeout_s=KILL_DEADLINE_S):
            raise EmbeddedServerError(f"{self.name} did not die of SIGKILL within {KILL_DEADLINE_S:.0f} s")

    def _spawn(self, *, end_with_parent: bool) -> None:
        launch = self._prepare()
        self._progress(f"starting {self.name}")
        self._process.spawn(launch.command, port=launch.port, cwd=launch.cwd)
        if end_with_parent:
            self._process.end_with_parent(self.orphan_signal)

    def _choose_port(self) -> int:
        """The wanted port; else the one of last time, so that addresses stay true; else a free one."""
        if self._wanted_port:
            return self._wanted_port
        remembered = self.state_dir / "port"
        port = int(remembered.read_text()) if remembered.exists() else free_port()
        if not becomes_free(port, timeout_s=PORT_RELEASE_DEADLINE_S):
            port = free_port()
        remembered.write_text(str(port))
        return port

    @abstractmethod
    def _provide(self) -> None:
        """Get what the server is made of."""

    @abstractmethod
    def _prepare(self) -> Launch:
        """Create the data if there is none yet, choose the port, and say how to start."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether clients can be served now."""


def _say_nothing(message: str) -> None:
    """The progress of a caller who did not ask for any."""
