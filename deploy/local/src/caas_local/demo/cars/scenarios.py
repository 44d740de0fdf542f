"""What becomes of the cars that the demo sells: every outcome of a vehicle order, with how often it is wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class CarScenario:
    """One outcome; `ends` is the status of the order, or `refused` where there is none. Cards are the sandbox's."""

    name: str
    story: str
    ends: str
    number: int
    card: str = "tok_approved"
    final_card: str | None = "tok_approved"
    from_stock: bool = False

    @property
    def is_delivered(self) -> bool:
        """Whether the customer gets the car."""
        return self.ends == "delivered"


PAID_IN_FULL: Final = CarScenario("paid_in_full", "reserved, built, paid, registered", "delivered", 20)
DECLINED: Final = CarScenario(
    "reservation_declined", "reservation declined: no order", "declined", 6, card="tok_declined"
)
FORFEITED: Final = CarScenario(
    "final_declined", "final payment declined: car on sale", "payment_failed", 6, final_card="tok_insufficient_funds"
)
RESOLD: Final = CarScenario("resold", "that car, bought from stock", "delivered", 6, from_stock=True)
TOO_LATE: Final = CarScenario("too_late", "the same car in the same instant", "refused", 6, from_stock=True)
GATEWAY_DOWN: Final = CarScenario("gateway_down", "gateway down, paid when it is back", "delivered", 6)
GATEWAY_BUSY: Final = CarScenario("gateway_unavailable", "gateway unavailable, paid again", "delivered", 6)
FACTORY_DOWN: Final = CarScenario("factory_down", "factory down for six hours", "delivered", 6)
REJECTED: Final = CarScenario("registration_rejected", "registration rejected, then accepted", "delivered", 6)
OVERDUE: Final = CarScenario("deadline_missed", "never pays the rest: forfeited", "payment_failed", 6, final_card=None)

CAR_SCENARIOS: Final[Sequence[CarScenario]] = (
    PAID_IN_FULL, DECLINED, FORFEITED, RESOLD, TOO_LATE, GATEWAY_DOWN, GATEWAY_BUSY,
    FACTORY_DOWN, REJECTED, OVERDUE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CarSale:
    """One customer who wants one car."""

    number: int
    scenario: CarScenario

    @property
    def customer_id(self) -> str:
        """Nobody buys two cars."""
        return f"B-{self.number:05d}"

    @property
    def model(self) -> str:
        return ("caas-one", "caas-cross", "caas-van")[self.number % 3]

    @property
    def options(self) -> list[str]:
        return ["seat-heating", "front-radar"] if self.number % 2 else []


def plan_cars() -> list[CarSale]:
    """Every scenario as often as it wants."""
    wanted = [scenario for scenario in CAR_SCENARIOS for _ in range(scenario.number)]
    return [CarSale(number, scenario) for number, scenario in enumerate(wanted, start=1)]
