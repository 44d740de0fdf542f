"""Shares the tests out among processes: what needs one long-lived platform stays together, and starts first."""

from pathlib import PurePath
from typing import Final

import pytest

# The storm has servers of its own; the flows and the contract tests share one platform and its containers.
_TOGETHER: Final = {"tests/chaos": "storm", "tests/flows": "platform", "tests/contract": "platform"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every file is one process's work, and the longest work begins first, so that all end at about the same time.

    Before the hook of pytest-xdist, which reads the groups in its own.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=lambda item: _group(item) not in _TOGETHER.values())


def _group(item: pytest.Item) -> str:
    file = PurePath(item.path).relative_to(item.config.rootpath)
    return _TOGETHER.get("/".join(file.parts[:2]), str(file))
