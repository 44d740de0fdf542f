"""The movable business clock that all partners share.

Business time is real UTC plus the offset kept in the file named by `CAAS_CLOCK_FILE`
(`{"offset_s": <int>}`). Only `move_clock` writes that file, and it replaces it atomically, so a
reader never sees half of it. Real time (webhook timestamps, retries) comes from `real_now`.
"""

import json
import os
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

CLOCK_FILE_VARIABLE = "CAAS_CLOCK_FILE"


def real_now() -> datetime:
    """The machine's own time, aware, in UTC."""
    return datetime.now(UTC)


def rfc3339(instant: datetime) -> str:
    """An aware instant as RFC 3339 in UTC with milliseconds and a `Z`, so that text order is time order."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """The aware instant of an RFC 3339 text; raises ValueError for a text without a time zone."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"an instant needs a time zone, {text!r} has none")
    return instant.astimezone(UTC)


def clock_file_from_environment() -> Path | None:
    """The clock file named by the environment, or None when business time is real time."""
    name = os.environ.get(CLOCK_FILE_VARIABLE)
    return Path(name) if name else None


def move_clock(file: Path, offset_s: int) -> None:
    """Sets the offset, in seconds, that every process reading `file` adds to real time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump({"offset_s": offset_s}, stream)
    Path(temporary).replace(file)


@dataclass
class BusinessClock:
    """Business now = real now + offset; the file is read again only when it was replaced."""

    file: Path | None = field(default_factory=clock_file_from_environment)
    _seen: tuple[int, int, int] | None = field(default=None, init=False)
    _offset: timedelta = field(default=timedelta(0), init=False)

    def now(self) -> datetime:
        """The business instant, aware, in UTC.

        A missing file means offset 0; a malformed one raises ValueError, since going on with a
        wrong time would settle or expire money at the wrong moment.
        """
        return real_now() + self._current_offset()

    def _current_offset(self) -> timedelta:
        if self.file is None:
            return timedelta(0)
        try:
            status = self.file.stat()
            # The inode is part of the mark: two replacements within one clock tick of the file
            # system have equal times and maybe equal sizes.
            mark = (status.st_mtime_ns, status.st_size, status.st_ino)
            if mark != self._seen:
                self._offset = _offset_in(self.file)
                self._seen = mark
        except FileNotFoundError:
            self._seen = None
            self._offset = timedelta(0)
        return self._offset


def _offset_in(file: Path) -> timedelta:
    content = json.loads(file.read_text(encoding="utf-8"))
    offset_s = content.get("offset_s") if isinstance(content, dict) else None
    if not isinstance(offset_s, int) or isinstance(offset_s, bool):
        raise ValueError(f'{file} must hold {{"offset_s": <int>}}, not {content!r}')
    return timedelta(seconds=offset_s)
