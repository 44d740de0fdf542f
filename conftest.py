"""Shares the tests out among processes: what needs one long-lived platform stays together, and starts first."""

from pathlib import PurePath
from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# The storm has servers of its own; the flows and the contract tests share one platform and its containers.
_TOGETHER: Final = {"tests/chaos": "storm", "tests/flows": "platform", "tests/contract": "platform"}


class FileScheduling(LoadScopeScheduling):
    """Every file is one process's work; those of `_TOGETHER` are one process's work together."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """The scheduler that is used whatever `--dist` says: groups by mark are lost on this version of pytest."""
    return FileScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest work begins first, so that all end at about the same time."""
    items.sort(key=lambda item: _group(item.nodeid.partition("::")[0]) not in _TOGETHER.values())


def _group(file: str) -> str:
    return _TOGETHER.get("/".join(PurePath(file).parts[:2]), file)
