"""Who may import whom, and that everything imported is declared."""

import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from requirements.lock import Distribution, outside_requirements, read_distributions
from tests.architecture.sources import ROOT, SERVICES, sources

DISTRIBUTIONS = {each.name: each for each in read_distributions()}


def test_imports_point_the_way_the_architecture_says() -> None:
    command = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--config",
        "pyproject.toml",
        "--no-cache",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_domain_imports_the_standard_library_and_the_contracts_only() -> None:
    for source in sources("services/*/src"):
        if source.room != "domain":
            continue
        own = source.path.parts[3]
        allowed = (f"{own}.domain", f"{own}.errors", f"{own}.settings", "caas_contracts")
        strangers = [
            source.at(statement, name)
            for statement, name in source.imports()
            if name.split(".")[0] not in sys.stdlib_module_names
            and not any(name == each or name.startswith(f"{each}.") for each in allowed)
        ]
        assert not strangers


def normalized(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name.group()).lower()


# What these distributions document as part of themselves, though it is packaged separately.
COMPANIONS = {"pydantic-core": "pydantic", "starlette": "fastapi"}


@cache
def installed() -> Mapping[str, list[str]]:
    return packages_distributions()


def providers(module: str) -> set[str]:
    """The distributions that an import of `module` may come from."""
    top = module.split(".", maxsplit=1)[0]
    if top.startswith("caas_"):
        return {normalized(top)}
    found = {normalized(each) for each in installed().get(top, [])}
    return found | {COMPANIONS[each] for each in found if each in COMPANIONS}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS.keys())
def test_every_import_is_declared_here_or_by_a_distribution_of_ours(distribution: Distribution) -> None:
    extras = tuple(distribution.extras)
    wanted = outside_requirements(distribution, extras, DISTRIBUTIONS) | set(distribution.wanted(extras))
    known = {normalized(requirement) for requirement in wanted} | {distribution.name}
    undeclared = {
        f"{source.path}: {name}"
        for source in sources(f"{distribution.folder.relative_to(ROOT)}/src")
        for _, name in source.imports()
        if name.split(".")[0] not in sys.stdlib_module_names and not known & providers(name)
    }
    assert not undeclared


def test_every_service_is_under_these_rules() -> None:
    assert sorted(path.name for path in (ROOT / "services").iterdir() if path.is_dir()) == sorted(SERVICES)
