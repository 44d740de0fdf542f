"""Named places where a test may end the process with SIGKILL, to prove that it continues from there.

Unarmed (without CAAS_CRASH_FILE in the environment) a crash point costs one comparison. Armed, the file
names one point; the process that reaches it writes the proof beside the file and kills itself.
"""

import os
import signal
from collections.abc import Iterable
from pathlib import Path

_file: Path | None = Path(os.environ["CAAS_CRASH_FILE"]) if "CAAS_CRASH_FILE" in os.environ else None


def crash_point(point: str, subjects: Iterable[str] = ("",)) -> None:
    """Die here when the armed file says `<point>` or `<point>:<subject>` for one of the subjects."""
    if _file is None:
        return
    try:
        wanted = _file.read_text().strip()
    except FileNotFoundError:
        return
    for subject in subjects:
        if wanted == (f"{point}:{subject}" if subject else point):
            _die(_file, wanted)


def _die(file: Path, point: str) -> None:
    with file.with_suffix(".died").open("a") as proof:
        proof.write(f"{point}\n")
        proof.flush()
        os.fsync(proof.fileno())
    file.unlink(missing_ok=True)
    os.kill(os.getpid(), signal.SIGKILL)
