"""What becomes of purchases over months: every way in which one goes on, ends or is given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class LifeScenario:
    """One life. `ends` is the status that the purchase must have at the end.

    `is_paid` says whether the gateway keeps money for it then, and `least_periods` how many periods were paid at least.
    `days_ahead` is how long before its date a planned purchase is made; cards and behaviours are the sandbox's.
    """

    name: str
    story: str
    ends: str
    is_paid: bool
    kind: str = "permanent"
    service: str = "premium-audio"
    duration_days: int | None = None
    period_months: int | None = None
    days_ahead: int | None = None
    card: str = "tok_approved"
    behaviour: str = "obey"
    least_periods: int = 1

    @property
    def first_status(self) -> str:
        """Where the purchase stands when it is paid."""
        return "scheduled" if self.days_ahead is not None else "active"


PLANNED: Final = LifeScenario("planned", "paid ahead, active on its date", "active", True, "planned", days_ahead=2)
PLANNED_CANCELLED: Final = LifeScenario(
    "planned_cancelled", "given up before its date", "cancelled", False, "planned", days_ahead=2
)
PLANNED_FAILS: Final = LifeScenario(
    "planned_fails", "the car cannot do it: paid back", "failed", False, "planned", days_ahead=2,
    behaviour="incompatible",
)  # fmt: skip
PLANNED_RECURRING: Final = LifeScenario(
    "planned_recurring", "planned, then renewed each month", "active", True, "planned", period_months=1, days_ahead=2,
    least_periods=3,
)  # fmt: skip
RECURRING: Final = LifeScenario(
    "recurring", "renewed each month", "active", True, "recurring", period_months=1, least_periods=3
)
RECURRING_GIVEN_UP: Final = LifeScenario(
    "recurring_given_up", "renewed, given up, kept to its end", "expired", True, "recurring", period_months=1,
    least_periods=3,
)  # fmt: skip
RECURRING_FAILS: Final = LifeScenario(
    "renewal_fails", "a renewal fails: the period is kept", "expired", True, "recurring", period_months=1,
    card="tok_fails_alone",
)  # fmt: skip
EXPIRES: Final = LifeScenario(
    "expires", "for a week, then taken out", "expired", True, "temporary", "tow-assist", duration_days=7
)
WITHDRAWN: Final = LifeScenario("withdrawn", "withdrawn from on day 13", "withdrawn", False)
WITHDRAWN_SHORT: Final = LifeScenario(
    "withdrawn_short", "for a week, withdrawn from on day 3", "withdrawn", False, "temporary", "tow-assist",
    duration_days=7,
)  # fmt: skip
REFUND_REFUSED: Final = LifeScenario(
    "refund_refused", "withdrawn from, refund refused twice", "withdrawn", False, card="tok_refund_refused_twice"
)
WRITTEN_OFF: Final = LifeScenario(
    "withdrawn_unpaid", "never paid (written off), withdrawn from", "withdrawn", False, card="tok_capture_fails"
)
TOO_LATE: Final = LifeScenario("withdrawn_too_late", "withdrawal refused on day 16", "active", True)
STOLEN_PLANNED: Final = LifeScenario(
    "stolen_planned", "stolen before its date: paid back", "cancelled", False, "planned", days_ahead=5
)
STOLEN_RECURRING: Final = LifeScenario(
    "stolen_recurring", "stolen: not renewed any more", "expired", True, "recurring", period_months=1
)
STOLEN_KEPT: Final = LifeScenario("stolen_kept", "stolen after delivery: nothing changes", "active", True)

SCENARIOS: Final[Sequence[LifeScenario]] = (
    PLANNED, PLANNED_CANCELLED, PLANNED_FAILS, PLANNED_RECURRING, RECURRING, RECURRING_GIVEN_UP, RECURRING_FAILS,
    EXPIRES, WITHDRAWN, WITHDRAWN_SHORT, REFUND_REFUSED, WRITTEN_OFF, TOO_LATE, STOLEN_PLANNED, STOLEN_RECURRING,
    STOLEN_KEPT,
)  # fmt: skip
STOLEN: Final = (STOLEN_PLANNED, STOLEN_RECURRING, STOLEN_KEPT)


@dataclass(frozen=True, slots=True)
class Life:
    """One purchase: its scenario, its car, its owner."""

    number: int
    scenario: LifeScenario

    @property
    def vehicle_id(self) -> str:
        return f"VIN-L{self.number:04d}"

    @property
    def customer_id(self) -> str:
        return f"L-{self.number:05d}"

    def request(self, now: datetime) -> dict[str, Any]:
        """The purchase as its customer asks for it; `now` is in the customer's zone."""
        wanted = self.scenario
        body: dict[str, Any] = {
            "vehicle_id": self.vehicle_id,
            "service_code": wanted.service,
            "kind": wanted.kind,
            "payment_method": f"{wanted.card}:{self.customer_id}",
            "immediate_performance_consent": True,
        }
        if wanted.duration_days is not None:
            body["duration_days"] = wanted.duration_days
        if wanted.period_months is not None:
            body["period_months"] = wanted.period_months
        if wanted.days_ahead is not None:
            body["starts_on"] = (now + timedelta(days=wanted.days_ahead)).date().isoformat()
        return body


def plan_lives(each: int = 4) -> list[Life]:
    """Every scenario so often."""
    chosen = [scenario for scenario in SCENARIOS for _ in range(each)]
    return [Life(number, scenario) for number, scenario in enumerate(chosen, start=1)]
