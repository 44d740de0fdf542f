"""Writes the pinned, hashed requirement files: one for developers, one for each deployable.

Every deployable is locked to versions that `dev.txt` names, so what is tested is what is shipped.
The files carry no address of a package index and no path of the machine that wrote them.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
DEV_IN: Final = ROOT / "requirements" / "dev.in"
DEV_TXT: Final = ROOT / "requirements" / "dev.txt"
UV_TXT: Final = ROOT / "requirements" / "uv.txt"
LOCALSTRIPE_TXT: Final = ROOT / "requirements" / "localstripe.txt"
DISTRIBUTIONS: Final = ("contracts", "chassis", "services/*", "deploy/*")
DEPLOYABLES: Final = ("services/*", "deploy/sandbox")
OLDEST_PYTHON: Final = "3.12"
COMPILE_DEADLINE_S: Final = 300

OURS: Final = re.compile(r"(?P<name>caas-[a-z]+)(\[(?P<extras>[a-z, ]+)\])?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Distribution:
    """One of our own distributions and what it asks for."""

    folder: Path
    name: str
    dependencies: tuple[str, ...]
    extras: dict[str, tuple[str, ...]]

    def wanted(self, extras: tuple[str, ...]) -> Iterator[str]:
        """Its dependencies together with those of `extras`."""
        yield from self.dependencies
        for extra in extras:
            yield from self.extras.get(extra, ())


def main() -> None:
    """Lock the developers' requirements first, then every deployable's within them."""
    known = {each.name: each for each in read_distributions()}
    everything = {DEV_IN.read_text()}
    for each in known.values():
        everything |= outside_requirements(each, tuple(each.extras), known)
    compile_requirements(everything, DEV_TXT)
    # Installed first and by itself, as it installs the others.
    compile_requirements({"uv"}, UV_TXT, within=DEV_TXT)
    # A program of its own that tests start: it shares no environment with ours.
    compile_requirements({"localstripe"}, LOCALSTRIPE_TXT)
    for pattern in DEPLOYABLES:
        for folder in sorted(ROOT.glob(pattern)):
            for each in known.values():
                if each.folder == folder:
                    wanted = outside_requirements(each, (), known)
                    compile_requirements(wanted, folder / "requirements.txt", within=DEV_TXT)


def read_distributions() -> Iterator[Distribution]:
    """Every distribution of this repository that has a pyproject.toml."""
    for pattern in DISTRIBUTIONS:
        for path in sorted(ROOT.glob(f"{pattern}/pyproject.toml")):
            project = tomllib.loads(path.read_text())["project"]
            extras = {name: tuple(wanted) for name, wanted in project.get("optional-dependencies", {}).items()}
            yield Distribution(path.parent, project["name"], tuple(project.get("dependencies", ())), extras)


def outside_requirements(of: Distribution, extras: tuple[str, ...], known: dict[str, Distribution]) -> set[str]:
    """What `of` needs from a package index, through our own distributions too."""
    found: set[str] = set()
    seen: set[tuple[str, tuple[str, ...]]] = set()
    waiting = [(of, extras)]
    while waiting:
        distribution, with_extras = waiting.pop()
        if (distribution.name, with_extras) in seen:
            continue
        seen.add((distribution.name, with_extras))
        for requirement in distribution.wanted(with_extras):
            ours = OURS.match(requirement)
            if ours is None:
                found.add(requirement)
            else:
                asked = tuple(part.strip() for part in (ours["extras"] or "").split(",") if part.strip())
                waiting.append((known[ours["name"].lower()], asked))
    return found


def compile_requirements(wanted: set[str], target: Path, *, within: Path | None = None) -> None:
    """Resolve `wanted` into `target`, keeping the versions it already names where they still fit."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / "wanted.in"
        source.write_text("\n".join(sorted(wanted)) + "\n")
        command = [
            *(sys.executable, "-m", "uv", "pip", "compile", str(source), "--output-file", str(target)),
            *("--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes", "--quiet"),
            *("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"),
            *(["--constraint", str(within)] if within else []),
        ]
        subprocess.run(command, check=True, timeout=COMPILE_DEADLINE_S, cwd=ROOT)
    kept = [line for line in target.read_text().splitlines() if line.startswith((" ", "\t")) or is_pin(line)]
    target.write_text("\n".join(kept) + "\n")
    print(f"{target.relative_to(ROOT)}: {sum(map(is_pin, kept))} packages")


def is_pin(line: str) -> bool:
    """Whether a line names a package and its version, rather than a comment or an option."""
    return re.match(r"[A-Za-z0-9]", line) is not None


if __name__ == "__main__":
    main()
