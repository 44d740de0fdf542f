"""The state machine is PAY-2's, and the published diagram is the state machine."""

import re
from pathlib import Path

import pytest

from caas_payments.domain.payment import Change
from caas_payments.domain.status import TRANSITIONS, IllegalTransition, PaymentStatus
from services.payments.tests.builders import a_payment

DIAGRAM = Path(__file__).parents[3] / "docs" / "architecture" / "payments.md"

PAY_2 = """
INITIATED→PROCESSING PROCESSING→AUTHORIZED PROCESSING→CONFIRMED PROCESSING→PENDING PROCESSING→FAILED
PROCESSING→RETRY RETRY→PROCESSING RETRY→ABANDONED PENDING→AUTHORIZED PENDING→SETTLED PENDING→FAILED
AUTHORIZED→CAPTURING AUTHORIZED→VOIDED CONFIRMED→SETTLED CONFIRMED→SETTLEMENT_FAILED CONFIRMED→REFUNDING
CAPTURING→SETTLED CAPTURING→SETTLEMENT_FAILED CAPTURING→REFUNDING SETTLED→REFUNDING
SETTLEMENT_FAILED→REFUNDING REFUNDING→REFUNDED
"""


def edges() -> set[tuple[str, str]]:
    return {(source.value, target.value) for source, targets in TRANSITIONS.items() for target in targets}


def test_the_transitions_are_those_of_pay_2() -> None:
    assert edges() == {tuple(edge.split("→")) for edge in PAY_2.split()}


def test_the_diagram_in_the_documentation_shows_the_same_edges() -> None:
    drawn = re.findall(r"^\s+([A-Z_]+) --> ([A-Z_]+)", DIAGRAM.read_text(), flags=re.MULTILINE)
    assert set(drawn) == edges()


def test_every_state_has_its_transitions_written_down() -> None:
    assert set(TRANSITIONS) == set(PaymentStatus)


@pytest.mark.parametrize("target", sorted(set(PaymentStatus) - TRANSITIONS[PaymentStatus.PROCESSING]))
def test_no_verb_can_take_an_edge_that_is_not_there(target: PaymentStatus) -> None:
    with pytest.raises(IllegalTransition):
        Change(a_payment()).moving(target)
