"""The documented state machines are the ones in the code, and no other move is possible (SUB-1)."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

import pytest

from caas_billing.domain import receivable, subscription
from caas_billing.domain.receivable import Receivable, ReceivableStatus
from caas_billing.domain.subscription import Standing, SubscriptionStatus
from services.billing.tests.builders import euros

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DOCUMENT = Path(__file__).parents[3] / "docs/architecture/dunning.md"


def documented(title: str) -> set[tuple[str, str]]:
    """The edges of the mermaid diagram under a heading."""
    section = DOCUMENT.read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    diagram = re.search(r"```mermaid\nstateDiagram-v2\n(.*?)```", section, re.DOTALL)
    assert diagram is not None
    return set(re.findall(r"^\s*(\w+) --> (\w+)", diagram[1], re.MULTILINE))


@pytest.mark.parametrize(
    ("title", "states", "transitions"),
    [
        ("Subscription", SubscriptionStatus, subscription.TRANSITIONS),
        ("Receivable", ReceivableStatus, receivable.TRANSITIONS),
    ],
)
def test_the_diagram_shows_exactly_the_transitions(
    title: str, states: type[StrEnum], transitions: Mapping[StrEnum, frozenset[StrEnum]]
) -> None:
    assert set(states) == set(transitions)
    assert documented(title) == {(str(start), str(end)) for start, ends in transitions.items() for end in ends}


def test_the_states_are_those_of_the_rule() -> None:
    assert {status.name for status in SubscriptionStatus} == {
        "ACTIVE",
        "BILLING",
        "PAYMENT_PROCESSING",
        "PAID",
        "RETRY",
        "CANCELLED_NONPAYMENT",
        "CANCELLED_CUSTOMER",
    }


@pytest.mark.parametrize(("start", "end"), list(itertools.permutations(SubscriptionStatus, 2)))
def test_a_subscription_makes_no_other_move(start: SubscriptionStatus, end: SubscriptionStatus) -> None:
    standing = Standing(
        subscription_id=uuid4(),
        status=start,
        next_period=date(2026, 11, 1),
        ended_at=None,
        payment_method="pm_ok",
        method_refused=False,
        changed_at=NOW,
    )
    if end in subscription.TRANSITIONS[start]:
        assert standing.to(end, NOW).status is end
    else:
        with pytest.raises(ValueError, match="cannot go from"):
            standing.to(end, NOW)


@pytest.mark.parametrize(("start", "end"), list(itertools.product(ReceivableStatus, ReceivableStatus)))
def test_a_receivable_makes_no_other_move(start: ReceivableStatus, end: ReceivableStatus) -> None:
    one = Receivable(
        invoice_id=uuid4(),
        invoice_number="M-2026-000001",
        subscription_id=uuid4(),
        period=date(2026, 10, 1),
        amount=euros(1485),
        due_on=date(2026, 11, 15),
        status=ReceivableStatus.PROCESSING,
        attempts=1,
        failures=0,
        first_failed_at=None,
        next_attempt_at=None,
        changed_at=NOW,
    )
    one = replace(one, status=start)
    if end in receivable.TRANSITIONS[start]:
        assert one.to(end, NOW).status is end
    else:
        with pytest.raises(ValueError, match="cannot go from"):
            one.to(end, NOW)
