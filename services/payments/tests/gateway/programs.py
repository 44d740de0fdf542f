"""The gateways that we did not write, as programs: installed once into the cache, never imported (GW-7).

`localstripe` (GPL) has a virtual environment of its own; `stripe-mock` is built from its pinned Go module.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Final

from caas_chassis.embedded.locking import exclusive

ROOT: Final = Path(__file__).resolve().parents[4]
REQUIREMENTS: Final = ROOT / "requirements" / "localstripe.txt"
STRIPE_MOCK: Final = "github.com/stripe/stripe-mock"
STRIPE_MOCK_VERSION: Final = "v0.203.0"
"""Its bundled OpenAPI document has the version that the adapter sends; see `STRIPE_VERSION`."""

INSTALL_DEADLINE_S: Final = 600

type Say = Callable[[str], None]


class Missing(Exception):
    """A program cannot be had here; the message says why."""


def required() -> bool:
    """Whether a missing program is a failure here, as in CI, rather than a reason to skip."""
    return os.environ.get("CAAS_REQUIRE_CONTAINERS") == "1" or bool(os.environ.get("CI"))


def provide_localstripe(say: Say) -> list[str]:
    """The command that runs localstripe. Raises Missing."""
    stamp = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = _cache() / "localstripe" / stamp
    python = folder / "bin" / "python"
    with exclusive(_cache() / "localstripe.lock", timeout_s=INSTALL_DEADLINE_S):
        if not (folder / "complete").exists():
            say("installing localstripe into an environment of its own")
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=False)
            _install(python)
            (folder / "complete").touch()
    return [str(python), "-m", "localstripe", "--from-scratch", "--port"]


def provide_stripe_mock(say: Say) -> Path:
    """The binary of stripe-mock. Raises Missing."""
    binary = _cache() / "stripe-mock" / STRIPE_MOCK_VERSION / "stripe-mock"
    with exclusive(_cache() / "stripe-mock.lock", timeout_s=INSTALL_DEADLINE_S):
        if not binary.exists():
            if shutil.which("go") is None:
                raise Missing("stripe-mock is built with Go, which is not installed")
            say("building stripe-mock, which takes about a minute")
            draft = binary.parent.with_name(f"{STRIPE_MOCK_VERSION}.draft")
            # A module is what the checksum database says, or is not built.
            _run(["go", "install", f"{STRIPE_MOCK}@{STRIPE_MOCK_VERSION}"], GOBIN=str(draft), GOTOOLCHAIN="local")
            shutil.rmtree(binary.parent, ignore_errors=True)
            draft.rename(binary.parent)
    return binary


def _cache() -> Path:
    return Path(os.environ.get("CAAS_CACHE_DIR") or ROOT / ".local" / "cache").absolute()


def _install(python: Path) -> None:
    """By hash, with the installers of the environment that runs the tests."""
    given = ["--quiet", "--require-hashes", "-r", str(REQUIREMENTS)]
    try:
        _run([sys.executable, "-m", "uv", "pip", "install", "--system-certs", "--python", str(python), *given])
    except Missing:
        _run([sys.executable, "-m", "pip", "--python", str(python), "install", *given])


def _run(command: list[str], **variables: str) -> None:
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=INSTALL_DEADLINE_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{command[0]} did not finish: {error}") from error
    if done.returncode != 0:
        raise Missing(f"{' '.join(command[:4])} failed:\n{done.stdout.strip()[-2000:]}")
