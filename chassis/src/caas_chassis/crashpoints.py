"""Named places where a test may end the process with SIGKILL, to prove that it continues from there.

Unarmed (without CAAS_CRASH_FILE in the environment) a crash point costs one comparison. Armed, the file
names points, one a line; the process that reaches one takes it off the list, writes the proof beside the
file and kills itself.
"""

import os
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

_file: Path | None = Path(os.environ["CAAS_CRASH_FILE"]) if "CAAS_CRASH_FILE" in os.environ else None


def crash_point(point: str, subjects: Iterable[str] = ("",)) -> None:
    """Die here when the armed file says `<point>` or `<point>:<subject>` for one of the subjects."""
    if _file is None:
        return
    try:
        wanted = _file.read_text().split()
    except FileNotFoundError:
        return
    for subject in subjects:
        name = f"{point}:{subject}" if subject else point
        if name in wanted:
            _die(_file, name, wanted)


def _die(file: Path, point: str, wanted: Sequence[str]) -> None:
    with file.with_suffix(".died").open("a") as proof:
        proof.write(f"{point}\n")
        proof.flush()
        os.fsync(proof.fileno())
    draft = file.with_suffix(".draft")
    draft.write_text("\n".join(name for name in wanted if name != point))
    draft.replace(file)
    os.kill(os.getpid(), signal.SIGKILL)
