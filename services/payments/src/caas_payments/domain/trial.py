"""A dry run of a risk policy over past payments (RSK-2): what it would have decided, and what that would have spared.

Each decision is taken anew from what was known of the customer then. A policy that decides otherwise would have led to
other histories, too: those are not followed.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from caas_contracts.payments import DeliveryDecision
from caas_payments.domain.risk import CustomerHistory, Question, RiskPolicy, decide_delivery

EXAMPLES = 20
"""How many payments a report names that would have been decided otherwise; a file of them all helps nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastDecision:
    """A payment, what its decision was taken from, and what came of it in minor units."""

    payment_id: UUID
    decided_at: datetime
    question: Question
    history: CustomerHistory
    decision: DeliveryDecision
    policy_version: int
    settled_minor: int
    written_off_minor: int


@dataclass(frozen=True, slots=True)
class Otherwise:
    """A payment that would have been decided otherwise, and why."""

    payment_id: UUID
    was: DeliveryDecision
    would_be: DeliveryDecision
    reasons: list[str]


@dataclass(slots=True)
class Outcome:
    """The payments that were decided one way and would be decided another (or the same)."""

    payments: int = 0
    amount_minor: int = 0
    settled_minor: int = 0
    written_off_minor: int = 0


@dataclass(slots=True)
class Trial:
    """What has been found out so far about one policy, in minor units of its currency alone."""

    policy: RiskPolicy
    decisions: int = 0
    otherwise: int = 0
    outcomes: dict[tuple[DeliveryDecision, DeliveryDecision], Outcome] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[Otherwise] = field(default_factory=list)

    def judge(self, past: PastDecision) -> None:
        """Decide a past payment anew."""
        delivery = decide_delivery(self.policy, past.question, past.history)
        outcome = self.outcomes.setdefault((past.decision, delivery.decision), Outcome())
        outcome.payments += 1
        outcome.amount_minor += past.question.amount.amount_minor
        outcome.settled_minor += past.settled_minor
        outcome.written_off_minor += past.written_off_minor
        self.decisions += 1
        self.reasons.update(delivery.reasons)
        if delivery.decision is not past.decision:
            self.otherwise += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append(
                    Otherwise(past.payment_id, past.decision, delivery.decision, list(delivery.reasons))
                )

    @property
    def spared_minor(self) -> int:
        """Losses of services that were delivered on authorization, and would not have been."""
        return sum(
            outcome.written_off_minor
            for (was, would_be), outcome in self.outcomes.items()
            if was is DeliveryDecision.ON_AUTHORIZATION and would_be is not was
        )
