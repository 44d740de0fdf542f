"""The business clock: real UTC plus an offset that demos and tests may move by writing a file.

The file holds `{"offset_s": <whole seconds>}` and is replaced atomically. Without a file the clock is real
time. Leases, retries and timeouts never use this clock: they belong to the database's.
"""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path


class BusinessClock:
    """Tells the business time, aware, in UTC."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._stamp: tuple[int, int] | None = None
        self._offset = timedelta(0)

    def now(self) -> datetime:
        """The present business instant."""
        if self._file is not None:
            self._read(self._file)
        return datetime.now(UTC) + self._offset

    def _read(self, file: Path) -> None:
        try:
            status = file.stat()
        except FileNotFoundError:
            self._stamp, self._offset = None, timedelta(0)
            return
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._offset = timedelta(seconds=int(json.loads(file.read_text())["offset_s"]))
            self._stamp = stamp


class MovableClock(BusinessClock):
    """A clock that this process moves itself, for tests and dry runs."""

    def move(self, by: timedelta) -> None:
        """Move business time forward."""
        self._offset += by


def write_offset(file: Path, offset: timedelta) -> None:
    """Move every clock that reads this file, atomically."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(json.dumps({"offset_s": int(offset.total_seconds())}))
    draft.replace(file)
