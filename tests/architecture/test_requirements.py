"""What is installed is what was tested: pinned, hashed, and current with what is declared."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from requirements.lock import Distribution, outside_requirements, read_distributions
from tests.architecture.sources import ROOT

DISTRIBUTIONS = {each.name: each for each in read_distributions()}
DEV = ROOT / "requirements" / "dev.txt"
LOCALSTRIPE = ROOT / "requirements" / "localstripe.txt"
LOCKED = [LOCALSTRIPE, ROOT / "requirements" / "uv.txt", DEV, *sorted(ROOT.glob("*/*/requirements.txt"))]

PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[a-z0-9,-]+\])?==(?P<version>\S+)( ; [^/]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def pins(path: Path) -> dict[str, str]:
    """The locked version of each package."""
    found = (PIN.fullmatch(line) for line in path.read_text().splitlines())
    return {canonicalize_name(pin["name"]): pin["version"] for pin in found if pin}


@pytest.mark.parametrize("path", LOCKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_locked_file_has_pins_and_hashes_and_nothing_else(path: Path) -> None:
    strangers = [line for line in path.read_text().splitlines() if not PIN.fullmatch(line) and not HASH.fullmatch(line)]
    assert not strangers


@pytest.mark.parametrize("distribution", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS.keys())
def test_the_lock_fits_what_a_distribution_declares(distribution: Distribution) -> None:
    locked = pins(DEV)
    wanted = map(Requirement, outside_requirements(distribution, tuple(distribution.extras), DISTRIBUTIONS))
    misfits = [
        f"{each} is locked to {locked.get(canonicalize_name(each.name))}: run `make lock`"
        for each in wanted
        if not each.specifier.contains(locked.get(canonicalize_name(each.name), "0"), prereleases=True)
    ]
    assert not misfits


@pytest.mark.parametrize("path", LOCKED[3:], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_deployable_ships_the_versions_that_were_tested(path: Path) -> None:
    tested = pins(DEV)
    assert {name: version for name, version in pins(path).items() if tested.get(name) != version} == {}
