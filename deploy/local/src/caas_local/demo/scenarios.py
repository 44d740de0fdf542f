"""What the demo sells: every outcome that a purchase can have, each with what must become of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Scenario:
    """One outcome. `card` and `behaviour` are the sandbox's; `ends` is the status that the purchase must reach.

    `charged` None means that it is not known beforehand how much; true and false are checked. With `outage` it is sold
    while the gateway's process is dead, and with `may_fail` some may be given up, uncharged, as retries end (GW-2).
    """

    name: str
    story: str
    ends: str
    charged: bool
    card: str = "tok_approved"
    behaviour: str = "obey"
    maintenance: str = "current"
    cancel: bool = False
    outage: bool = False
    may_fail: bool = False
    faultless: bool = False
    least: int = 6


SCENARIOS: Final[Sequence[Scenario]] = (
    Scenario("approved", "paid, activated, invoiced", "active", True, faultless=True, least=60),
    Scenario("declined", "the card is declined", "declined", False, card="tok_declined"),
    Scenario("insufficient_funds", "no money on the card", "declined", False, card="tok_insufficient_funds"),
    Scenario("invalid_card", "the card is invalid", "declined", False, card="tok_invalid_card"),
    Scenario("timeout_before_effect", "gateway silent, nothing held", "active", True, card="tok_timeout_before"),
    Scenario("timeout_after_effect", "gateway silent, money held", "active", True, card="tok_timeout_after"),
    Scenario(
        "gateway_outage", "bought while the gateway is down", "active", True, outage=True, may_fail=True, least=12
    ),
    Scenario("gateway_503_twice", "gateway answers 503 twice", "active", True, card="tok_503_twice"),
    Scenario("pending_then_authorized", "authorized later, by webhook", "active", True, card="tok_pending"),
    Scenario("pending_then_declined", "declined later, by webhook", "declined", False, card="tok_pending_declined"),
    Scenario("capture_fails", "delivered, capture refused: written off", "active", False, card="tok_capture_fails"),
    Scenario("settles_partially", "half of the money arrives", "active", True, card="tok_settles_partially"),
    Scenario("settles_late", "the money arrives days late", "active", True, card="tok_settles_late"),
    Scenario("chargeback", "settled, then taken back", "active", True, card="tok_chargeback"),
    Scenario("car_fails_twice", "the car refuses twice, then obeys", "active", True, behaviour="fail_twice"),
    Scenario("car_silent", "the car never answers", "failed", False, behaviour="silent"),
    Scenario("car_incompatible", "the car can never do it", "failed", False, behaviour="incompatible"),
    Scenario("acknowledgement_lost", "applied, the answer is lost", "active", True, behaviour="lost_ack"),
    Scenario("acknowledged_too_late", "applied, told after the void", "failed", False, behaviour="late_ack"),
    Scenario("duplicate_acknowledgements", "every answer three times", "active", True, behaviour="duplicate_acks"),
    Scenario("maintenance_overdue", "blocked before any payment", "blocked", False, maintenance="overdue"),
    Scenario("maintenance_unknown", "maintenance system away", "blocked", False, maintenance="unavailable", least=3),
    Scenario("cancelled_in_time", "the customer gives it up", "cancelled", False, behaviour="silent", cancel=True),
)


@dataclass(frozen=True, slots=True)
class Sale:
    """One purchase that the demo makes: its scenario, its car, its owner."""

    number: int
    scenario: Scenario

    @property
    def vehicle_id(self) -> str:
        return f"VIN-{self.number:05d}"

    @property
    def customer_id(self) -> str:
        """Two cars a customer, so that nobody's open exposure reaches the limit of the risk policy."""
        return f"C-{self.number // 2:05d}"

    @property
    def service_code(self) -> str:
        """A service that asks for maintenance where the maintenance system is the point."""
        if self.scenario.maintenance != "current":
            return "adaptive-cruise"
        return ("seat-heating", "range-extension", "premium-audio", "lane-keeping", "tow-assist")[self.number % 5]

    @property
    def duration_days(self) -> int | None:
        """Thirty or ninety days, or seven; None is for ever."""
        return {
            "adaptive-cruise": 30, "seat-heating": 90, "range-extension": 30, "premium-audio": None,
            "lane-keeping": 30, "tow-assist": 7,
        }[self.service_code]  # fmt: skip


def plan_sales(number: int) -> list[Sale]:
    """So many sales, in mixed order, with every scenario at least as often as it wants; the rest simply works."""
    chosen = [scenario for scenario in SCENARIOS for _ in range(scenario.least)]
    plain = [SCENARIOS[0]] * max(0, number - len(chosen))
    every = chosen + plain
    # A fixed stride mixes the scenarios the same way in every run.
    stride = next(step for step in range(37, 200) if _coprime(step, len(every)))
    return [Sale(index + 1, every[index * stride % len(every)]) for index in range(len(every))]


def _coprime(a: int, b: int) -> bool:
    while b:
        a, b = b, a % b
    return a == 1
