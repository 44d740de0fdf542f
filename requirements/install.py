"""Fills .venv: the locked requirements, then our own distributions in place.

Runs with the standard library alone, before anything is installed; `./bootstrap` calls it. One run at
a time. The stamp is written last and removed first, and a .venv in which the packages were cut short
is built anew, so that an interruption at any point costs time only.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
VENV: Final = ROOT / ".venv"
STAMP: Final = VENV / "stamp"
UNFINISHED: Final = VENV / "unfinished"
PYTHON: Final = VENV / "bin" / "python"
REQUIREMENTS: Final = ROOT / "requirements" / "dev.txt"
UV_REQUIREMENTS: Final = ROOT / "requirements" / "uv.txt"
DISTRIBUTIONS: Final = ("contracts", "chassis", "services/*", "deploy/*")
# A minute is usual; a slow line gets a quarter of an hour.
STEP_DEADLINE_S: Final = 900
LOCK_DEADLINE_S: Final = 1800
LOCK_POLL_S: Final = 0.5


class SetupError(Exception):
    """A step failed; the message says which and how."""


def main() -> int:
    """Build or complete .venv; 0 when it is ready."""
    started = time.monotonic()
    fingerprint = os.environ["FINGERPRINT"]
    try:
        with one_at_a_time():
            if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == fingerprint:
                return 0
            build()
            STAMP.write_text(fingerprint)
    except SetupError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; run `make setup` again to repair and finish")
        return 130
    say(f"ready after {time.monotonic() - started:.0f} s")
    return 0


def build() -> None:
    """Make .venv what the requirement files say."""
    STAMP.unlink(missing_ok=True)
    if UNFINISHED.exists() or not works():
        make_venv()
    UNFINISHED.touch()
    install_requirements()
    UNFINISHED.unlink()
    install_distributions()


def works() -> bool:
    """Whether .venv has a Python that is new enough and its pip."""
    probe = "import sys, pip; sys.exit(sys.version_info < (3, 12))"
    try:
        return subprocess.run([PYTHON, "-c", probe], capture_output=True, check=False, timeout=60).returncode == 0
    except OSError:
        return False


def make_venv() -> None:
    """An empty .venv in place of whatever is there."""
    say(f"making .venv with Python {sys.version.split()[0]}")
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    # Before anything else, so that even a half made folder is known for what it is.
    UNFINISHED.touch()
    venv.create(VENV, with_pip=True)


def install_requirements() -> None:
    """Every locked package, by hash: quickly with uv; with pip where uv cannot reach the index."""
    say("installing the locked packages")
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    run([*pip, "-r", str(UV_REQUIREMENTS)], "installing uv")
    # A company's own certificate authority is known to its machines, not to uv.
    uv = [str(PYTHON), "-m", "uv", "pip", "install", "--quiet", "--python", str(PYTHON), "--system-certs"]
    try:
        run([*uv, "--require-hashes", "-r", str(REQUIREMENTS)], "installing with uv")
    except SetupError as error:
        say(f"{error}\n[setup] trying again with pip, which takes about a minute")
        run([*pip, "-r", str(REQUIREMENTS)], "installing with pip")


def install_distributions() -> None:
    """Our own distributions, in place: their dependencies are in the locked list already."""
    paths = (path for pattern in DISTRIBUTIONS for path in sorted(ROOT.glob(f"{pattern}/pyproject.toml")))
    folders = [path.parent for path in paths]
    say("installing " + ", ".join(str(folder.relative_to(ROOT)) for folder in folders))
    command = [str(PYTHON), "-m", "uv", "pip", "install", "--quiet", "--python", str(PYTHON), "--offline"]
    editables = [part for folder in folders for part in ("--editable", str(folder))]
    run([*command, "--no-deps", "--no-build-isolation", *editables], "installing our distributions")


def run(command: list[str], step: str) -> None:
    """Run one step to its end; its output is shown only when it fails."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=STEP_DEADLINE_S,
            cwd=ROOT,
        )
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{step} took more than {STEP_DEADLINE_S} s and was stopped") from error
    if done.returncode != 0:
        raise SetupError(f"{step} failed:\n{done.stdout.strip()}")


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the lock of this work tree; the system frees it when its holder dies."""
    local = ROOT / ".local"
    local.mkdir(exist_ok=True)
    deadline = time.monotonic() + LOCK_DEADLINE_S
    with (local / "setup.lock").open("a") as handle:
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise SetupError("another setup of this folder did not finish") from None
                if not told:
                    say("waiting for another setup of this folder")
                    told = True
                time.sleep(LOCK_POLL_S)
        yield


def say(message: str) -> None:
    """One line of progress."""
    print(f"[setup] {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
