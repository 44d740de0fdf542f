"""The house style as far as a program can check it; each finding names its file and line."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.sources import (
    EVERYTHING,
    PRODUCTION,
    Source,
    dotted,
    parameters,
    sources,
)

FUNCTION_LINES = 70
MODULE_LINES = 500
MODULE_DOCSTRING_LINES = 5
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}
CLOCK_READINGS = re.compile(r"(^|\.)(datetime\.(now|utcnow|today)|date\.today)$")
NOT_MONEY = re.compile(r"(_s|_ms|jitter)$")


def test_no_function_is_longer_than_a_screen() -> None:
    findings = [
        source.at(function, f"{function.name} has {function.end_lineno - function.lineno + 1} lines")
        for source in sources(*EVERYTHING)
        for function in source.functions()
        if function.end_lineno is not None and function.end_lineno - function.lineno + 1 > FUNCTION_LINES
    ]
    assert not findings


def test_no_module_is_longer_than_500_lines() -> None:
    lengths = {str(source.path): source.text.count("\n") for source in sources(*EVERYTHING)}
    assert not {path: lines for path, lines in lengths.items() if lines > MODULE_LINES}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [str(each.path) for each in sources(*PRODUCTION) if VAGUE_NAMES & {each.path.stem, *each.path.parts}]


def test_every_module_says_in_a_few_lines_what_it_owns() -> None:
    findings = []
    for source in sources(*PRODUCTION):
        docstring = ast.get_docstring(source.tree)
        is_empty = not source.tree.body
        if docstring is None and not is_empty:
            findings.append(f"{source.path}: no docstring")
        elif docstring is not None and len(re.findall(r"\S.*", docstring)) > MODULE_DOCSTRING_LINES:
            findings.append(f"{source.path}: docstring longer than {MODULE_DOCSTRING_LINES} lines")
    assert not findings


def test_public_functions_of_contracts_and_chassis_have_docstrings() -> None:
    findings = [
        source.at(node, node.name)
        for source in sources("contracts/src", "chassis/src")
        for node in source.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert not findings


def test_only_clock_modules_read_the_clock() -> None:
    findings = [
        source.at(call, dotted(call.func))
        for source in sources(*PRODUCTION)
        if source.path.stem != "clock"
        for call in source.calls()
        if CLOCK_READINGS.search(dotted(call.func))
    ]
    assert not findings


def test_no_function_takes_both_a_transaction_and_a_gateway() -> None:
    findings = []
    for source in sources("chassis/src", "services/*/src"):
        for function in source.functions():
            names = [each.arg for each in parameters(function)]
            if "tx" in names and any("gateway" in name for name in names):
                findings.append(source.at(function, function.name))
    assert not findings


def test_only_the_chassis_publishes_to_the_broker() -> None:
    findings = [
        source.at(call, dotted(call.func))
        for source in sources("services/*/src")
        for call in source.calls()
        if re.search(r"(broker|producer)\.(publish|publish_batch|send|send_and_wait|send_batch)$", dotted(call.func))
    ]
    assert not findings


def test_money_never_meets_a_float() -> None:
    findings = [
        source.at(node, "float")
        for source in sources("contracts/src", "services/*/src")
        if source.room == "domain" or source.path.parts[0] == "contracts"
        for node in floats(source.tree)
    ]
    assert not findings


def floats(node: ast.AST) -> Iterator[ast.expr]:
    """Every use of floats, but for names that say they hold seconds or a share of them."""
    named = node.target if isinstance(node, ast.AnnAssign) else node
    name = dotted(named) if isinstance(named, ast.expr) else getattr(named, "arg", None)
    if isinstance(name, str) and NOT_MONEY.search(name):
        return
    if isinstance(node, ast.Name) and node.id == "float":
        yield node
    if isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from floats(child)


def test_handlers_read_like_their_rule_without_exception_handling() -> None:
    findings = [
        source.at(node, f"try in {function.name}")
        for source in sources("services/*/src")
        if source.room == "handlers"
        for function in source.functions()
        if "tx" in {each.arg for each in parameters(function)}
        for node in ast.walk(function)
        if isinstance(node, ast.Try)
    ]
    assert not findings


def test_every_connection_to_a_database_has_deadlines() -> None:
    wanted = {"asyncpg.connect": {"timeout"}, "asyncpg.create_pool": {"timeout", "command_timeout"}}
    findings = [
        source.at(call, f"{dotted(call.func)} without {wanted[dotted(call.func)]}")
        for source in sources(*PRODUCTION)
        for call in source.calls()
        if dotted(call.func) in wanted and not wanted[dotted(call.func)] <= {keyword.arg for keyword in call.keywords}
    ]
    assert not findings


def test_no_test_puts_a_mock_in_the_place_of_our_code() -> None:
    findings = [
        source.at(statement, name)
        for source in sources(*EVERYTHING)
        for statement, name in source.imports()
        if name.startswith(("unittest.mock", "mock", "pytest_mock"))
    ]
    assert not findings


@pytest.mark.parametrize("suppression", ["type: ignore", "pragma: no cover"])
def test_nothing_is_hidden_from_the_checks(suppression: str) -> None:
    marker = f"# {suppression}"
    assert not [str(source.path) for source in sources(*EVERYTHING) if hides(source, marker)]


def hides(source: Source, marker: str) -> bool:
    return source.path.name != "test_house_style.py" and marker in source.text
