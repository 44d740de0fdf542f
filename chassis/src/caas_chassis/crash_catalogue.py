"""The list of all crash points of a service, derived from the code of the chassis and the service's parts.

Invariant: a `crash_point(...)` or a named transaction that is added to the chassis is in the list without
anybody having to write it down.
"""

import ast
from collections.abc import Iterator, Sequence
from importlib import resources

from caas_chassis.service import Service

_TRANSACTION_OPENERS = ("_transaction", "transaction")


def crash_points(service: Service) -> list[str]:
    """Every `point` or `point:subject` at which a process of this service can be made to die, in name order."""
    subjects = {
        "handle": sorted(message.__name__ for message in (*service.handlers, *service.bulk)),
        "effect": sorted(effect.name for effect in service.effects),
        "timer": sorted(service.timers),
    }
    found: set[str] = set()
    for point, has_subjects in _declared():
        if not has_subjects:
            found.add(point)
        else:
            found.update(f"{point}:{subject}" for subject in subjects[point.partition(".")[0]])
    return sorted(found)


def _declared() -> Iterator[tuple[str, bool]]:
    """Each point in the code, and whether it is reached once for each of several subjects."""
    for tree in chassis_trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield from _named_by(node)
    yield from _of_transaction(["http"])


def _named_by(call: ast.Call) -> Iterator[tuple[str, bool]]:
    name = called(call)
    if name == "crash_point" and isinstance(call.args[0], ast.Constant):
        yield str(call.args[0].value), len(call.args) > 1
    elif name in _TRANSACTION_OPENERS and len(call.args) > 1 and isinstance(call.args[1], ast.Tuple):
        yield from _of_transaction(call.args[1].elts)


def _of_transaction(subjects: Sequence[ast.expr | str]) -> Iterator[tuple[str, bool]]:
    """As `Runtime.transaction` names them: with subjects, the caller has a point of its own after the commit."""
    prefix = str(subjects[0].value if isinstance(subjects[0], ast.Constant) else subjects[0])
    yield f"{prefix}.before_commit", len(subjects) > 1
    if len(subjects) == 1:
        yield f"{prefix}.after_commit", False


def chassis_trees() -> Iterator[ast.Module]:
    """The syntax trees of the chassis' own modules."""
    for file in resources.files("caas_chassis").iterdir():
        if file.name.endswith(".py"):
            yield ast.parse(file.read_text())


def called(call: ast.Call) -> str:
    """The last word of what is called."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""
