"""What the demo found: counts, amounts, both sides' books, and the invariants that must hold."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from caas_local.demo.cars.assessing import CarReport
from caas_local.demo.life.assessing import LifeReport
from caas_local.demo.month.assessing import MonthReport


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the accepted request to activated, without the car's own time.

    `p50` and `p99` are of purchases without a planned fault; `p99_all` includes those that had to wait for
    retries of a partner.
    """

    p50: float
    p99: float
    p99_all: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """Genuine webhooks that were sent again, and forgeries of them."""

    sent_again: int = 0
    answered_again: int = 0
    forged: int = 0
    refused: int = 0
    forged_stored: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The gateway's process was dead for some seconds while so many purchases were made."""

    seconds: float
    purchases: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """What was done to us on purpose."""

    webhooks: Webhooks
    outage: Outage


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """One scenario: how many were sold, what they ended as, what the gateway holds for them."""

    scenario: str
    story: str
    purchases: int
    ended: Mapping[str, int]
    captured_minor: int
    as_expected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The demo's result, written to `report.json`. Amounts are minor units of EUR."""

    purchases: int
    activated: int
    not_activated: int
    declined: int
    captured_minor: int
    gateway_captured_minor: int
    charged_without_activation: int
    activated_without_charge: int
    written_off_minor: int
    ledger_imbalance_minor: int
    settlement_lines: int
    settlement_unmatched: int
    open_cases: int
    parked_messages: int
    double_captures: int
    audit_rows_broken: int
    proof_difference_minor: int
    mails: int
    webhooks_delivered: int
    webhooks_pending: int
    webhooks_stored: int
    webhooks_published: int
    webhooks_duplicate: int
    webhooks_duplicate_not_answered: int
    webhooks_forged: int
    webhooks_forged_refused: int
    webhooks_forged_stored: int
    gateway_outage: Mapping[str, float] | None
    latency_ms: Latency
    duration_s: float
    cars: CarReport
    lives: LifeReport | None = None
    months: MonthReport | None = None
    outcomes: Sequence[OutcomeRow] = field(default_factory=list)
    cases: Mapping[str, int] = field(default_factory=dict)

    @property
    def broken(self) -> list[str]:
        """The invariants that do not hold, in words."""
        zero = (
            "charged_without_activation", "activated_without_charge", "ledger_imbalance_minor", "settlement_unmatched",
            "parked_messages", "double_captures", "audit_rows_broken", "proof_difference_minor",
            "webhooks_duplicate_not_answered", "webhooks_forged_stored",
        )  # fmt: skip
        found = [f"{name} is {getattr(self, name)}, it must be 0" for name in zero if getattr(self, name) != 0]
        if self.captured_minor != self.gateway_captured_minor:
            found.append(f"we captured {self.captured_minor}, the gateway says {self.gateway_captured_minor}")
        found += self._broken_webhooks
        found += [f"{row.scenario}: ended as {dict(row.ended)}" for row in self.outcomes if not row.as_expected]
        if self.purchases < 200:
            found.append(f"only {self.purchases} purchases")
        parts = (self.cars, self.lives, self.months)
        return [*found, *(words for part in parts if part is not None for words in part.broken)]

    @property
    def _broken_webhooks(self) -> list[str]:
        found = []
        unanswered = self.webhooks_stored - self.webhooks_delivered
        if self.webhooks_published != self.webhooks_stored or not 0 <= unanswered <= self.webhooks_pending:
            found.append(
                f"the gateway delivered {self.webhooks_delivered} webhooks, {self.webhooks_stored} are stored and "
                f"{self.webhooks_published} published"
            )
        if self.webhooks_forged_refused != self.webhooks_forged:
            found.append(f"{self.webhooks_forged_refused} of {self.webhooks_forged} forged webhooks were refused")
        outage = self.gateway_outage
        if outage is not None and not (self.webhooks_duplicate and self.webhooks_forged and outage["tried_again"]):
            found.append("duplicates, forgeries or the outage did not happen")
        return found

    @property
    def holds(self) -> bool:
        """Whether every invariant holds."""
        return not self.broken

    def write(self, file: Path) -> None:
        """Write the report as JSON."""
        own = asdict(self)
        del own["cars"], own["lives"], own["months"]
        parts = [part.as_json() for part in (self.cars, self.lives, self.months) if part is not None]
        body: dict[str, Any] = {**own, **{name: value for part in parts for name, value in part.items()}}
        body["broken"] = self.broken
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(body, indent=2) + "\n")


def percentile(values: Sequence[float], percent: int) -> float:
    """The percentile by linear interpolation, rounded to 0.1; 0 without values."""
    if len(values) < 2:
        return round(values[0], 1) if values else 0.0
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 1)
