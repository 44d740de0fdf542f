"""What this deployment decided: terms, risk policy and jitter, read once at the start."""

from dataclasses import dataclass, field

from caas_payments.domain.payment import Terms
from caas_payments.domain.risk import RiskPolicy, released_policies


@dataclass(frozen=True, slots=True)
class Rules:
    """`jitter` is the largest part that is added to a pause, so that retries do not come in step (GW-2)."""

    terms: Terms = field(default_factory=Terms)
    policy: RiskPolicy = field(default_factory=lambda: released_policies()[2])
    jitter: float = 0.25
