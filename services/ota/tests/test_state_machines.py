"""The documented state machines are the ones in the code, and no other move is possible."""

import itertools
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import pytest

from caas_chassis.ids import new_id
from caas_ota.domain import activation, command, deactivation
from caas_ota.domain.command import Command, CommandKind, CommandState

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DOCUMENT = Path(__file__).parents[3] / "docs/architecture/ota.md"


def documented(title: str) -> set[tuple[str, str]]:
    """The edges of the mermaid diagram under a heading."""
    section = DOCUMENT.read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    diagram = re.search(r"```mermaid\nstateDiagram-v2\n(.*?)```", section, re.DOTALL)
    assert diagram is not None
    edges = re.findall(r"^\s*(\w+) --> (\w+)", diagram[1], re.MULTILINE)
    return {(start, end) for start, end in edges}


@pytest.mark.parametrize(
    ("title", "transitions"),
    [
        ("Activation", activation.TRANSITIONS),
        ("Command", command.TRANSITIONS),
        ("Deactivation", deactivation.TRANSITIONS),
    ],
)
def test_the_diagram_shows_exactly_the_transitions(
    title: str, transitions: Mapping[StrEnum, frozenset[StrEnum]]
) -> None:
    edges = {(str(start), str(end)) for start, ends in transitions.items() for end in ends}
    assert documented(title) == edges


def test_every_state_has_an_entry() -> None:
    for states, transitions in (
        (activation.ActivationStatus, activation.TRANSITIONS),
        (command.CommandState, command.TRANSITIONS),
        (deactivation.DeactivationStatus, deactivation.TRANSITIONS),
    ):
        assert set(states) == set(transitions)


def moved(one: Command, end: CommandState) -> Command | None:
    match end:
        case CommandState.ANSWERED:
            return one.answered("applied", NOW)
        case CommandState.UNANSWERED:
            return one.given_up()
        case CommandState.SUPERSEDED:
            return one.superseded()
        case CommandState.IN_FLIGHT:
            return one.dispatched(counter=1, nonce="nonce", at=NOW)
        case CommandState.QUEUED:
            return None


@pytest.mark.parametrize(("start", "end"), list(itertools.product(CommandState, CommandState)))
def test_a_command_makes_no_other_move(start: CommandState, end: CommandState) -> None:
    one = Command(new_id(), "vehicle", new_id(), CommandKind.ACTIVATE, 1, state=start)
    if end in command.TRANSITIONS[start]:
        after = moved(one, end)
        assert after is not None
        assert after.state is end
    elif end is not CommandState.QUEUED:
        with pytest.raises(ValueError, match="cannot go from"):
            moved(one, end)
