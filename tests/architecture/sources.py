"""The repository's Python files as syntax trees, for the tests of the house style."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SERVICES: Final = ("payments", "orders", "ota", "billing", "reconciliation")
PRODUCTION: Final = ("contracts/src", "chassis/src", "services/*/src", "deploy/*/src")
EVERYTHING: Final = ("contracts", "chassis", "services", "deploy", "tests", "bench", "requirements")

type Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file: where it is below the root, its text and its syntax tree."""

    path: Path
    text: str
    tree: ast.Module

    def at(self, node: ast.stmt | ast.expr, what: str) -> str:
        """A finding, as `path:line: what`."""
        return f"{self.path}:{node.lineno}: {what}"

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def calls(self) -> Iterator[ast.Call]:
        """Every call."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield node

    def imports(self) -> Iterator[tuple[ast.stmt, str]]:
        """Every absolute import: its statement and the module's dotted name."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node, node.module

    @property
    def room(self) -> str:
        """The room of a service this file belongs to, such as `domain`; empty elsewhere."""
        parts = self.path.parts
        inside = parts[parts.index("src") + 2 :] if parts[0] == "services" and "src" in parts else ()
        return inside[0].removesuffix(".py") if inside else ""


@cache
def sources(*patterns: str) -> tuple[Source, ...]:
    """The Python files below the folders that `patterns` name."""
    found = []
    for pattern in patterns:
        for folder in sorted(ROOT.glob(pattern)):
            for path in sorted(folder.rglob("*.py")):
                text = path.read_text()
                found.append(Source(path.relative_to(ROOT), text, ast.parse(text, str(path))))
    return tuple(found)


def parameters(function: Function) -> list[ast.arg]:
    """The named parameters of a function."""
    arguments = function.args
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def dotted(node: ast.expr) -> str:
    """`a.b.c` as written; empty for anything that is not a plain dotted name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""
