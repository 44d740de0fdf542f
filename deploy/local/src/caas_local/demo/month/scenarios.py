"""Who subscribes in the demo: how each pays the monthly bill, and what must become of it (SUB-6, SUB-7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SERVICES: Final = ("lane-keeping", "range-extension", "seat-heating", "premium-audio", "adaptive-cruise")
"""Services of the catalogue with a rate plan, of all four kinds, that every car of the demo can have."""
ACTIVE: Final = "active"
UNPAID: Final = "cancelled_nonpayment"
GIVEN_UP: Final = "cancelled_customer"


@dataclass(frozen=True, slots=True)
class Payer:
    """One way to pay. `ends` is where the subscription stands afterwards, `attempts` how often it was charged.

    `late` payers pay when the invoice is in collections. Of `number` None there are as many as are left.
    """

    name: str
    story: str
    ends: str
    is_paid: bool
    attempts: int
    number: int | None
    card: str = "tok_approved"
    late: bool = False

    @property
    def goes_to_collections(self) -> bool:
        """Whether the invoice is given away, be it paid afterwards or not."""
        return self.ends == UNPAID


PAYS: Final = Payer("pays", "pays at once", ACTIVE, True, 1, None)
FAILS_ONCE: Final = Payer("fails_once", "no money, paid 3 days later", ACTIVE, True, 2, 40, "tok_fails_once")
FAILS_TWICE: Final = Payer("fails_twice", "no money twice, paid after 7 days", ACTIVE, True, 3, 20, "tok_fails_twice")
NEVER_PAYS: Final = Payer("never_pays", "never any money", UNPAID, False, 3, 20, "tok_insufficient_funds")
PAYS_LATE: Final = Payer(
    "pays_late", "pays when it is in collections", UNPAID, True, 4, 10, "tok_insufficient_funds", late=True
)
LOST_CARD: Final = Payer("lost_card", "card lost, gives another one", ACTIVE, True, 2, 20, "tok_lost_card")
CLOSED: Final = Payer("closed_account", "account closed, gives no other", UNPAID, False, 3, 10, "tok_closed_account")
CONFIRMS: Final = Payer("confirms", "the bank asks, the customer confirms", ACTIVE, True, 1, 10, "tok_requires_action")
IGNORES: Final = Payer("lets_expire", "the bank asks, the link expires", UNPAID, False, 3, 10, "tok_requires_action")
GIVES_UP: Final = Payer("gives_up", "given up in mid-month, pays", GIVEN_UP, True, 1, 20)

PAYERS: Final[Sequence[Payer]] = (
    PAYS, FAILS_ONCE, FAILS_TWICE, NEVER_PAYS, PAYS_LATE, LOST_CARD, CLOSED, CONFIRMS, IGNORES, GIVES_UP,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One subscription that is bought. Whoever owns a car has all of its services."""

    number: int
    payer: Payer

    @property
    def vehicle_id(self) -> str:
        return f"SUB-{(self.number - 1) // len(SERVICES):05d}"

    @property
    def customer_id(self) -> str:
        """One car each, so that nobody's failures make others wait."""
        return f"S-{(self.number - 1) // len(SERVICES):05d}"

    @property
    def service_code(self) -> str:
        return SERVICES[(self.number - 1) % len(SERVICES)]

    @property
    def payment_method(self) -> str:
        """A method of its own, since some tokens remember what was paid with them."""
        return f"{self.payer.card}:{self.number}"


def plan_subscribers(number: int, *, each: int | None = None, first: int = 1) -> list[Subscriber]:
    """So many subscribers, numbered from `first`, everyone of a car paying alike.

    With `each` there are so many of every payer but the plain one.
    """
    special = [(payer, each or payer.number) for payer in PAYERS if payer.number is not None]
    chosen = [payer for payer, wanted in special for _ in range(wanted or 0)]
    chosen += [PAYS] * max(0, number - len(chosen))
    return [Subscriber(place, payer) for place, payer in enumerate(chosen, start=first)]
