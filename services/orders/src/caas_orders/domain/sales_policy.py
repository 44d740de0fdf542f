"""What the business decides about selling vehicles, apart from prices: deadlines, and what forfeits (FIN-5, FIN-6)."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class ForfeitOn(StrEnum):
    """FIN-5: which failed final payment costs the customer the vehicle."""

    DECLINED = "declined"
    ANY_FAILURE = "any_failure"


@dataclass(frozen=True, slots=True)
class SalesPolicy:
    """All durations are business time.

    `retry_grace` is what a customer has left at least, after a final payment failed for a technical reason:
    our failure must not cost them their deadline.
    """

    payment_deadline: timedelta = timedelta(days=14)
    retry_grace: timedelta = timedelta(days=1)
    forfeit_on: ForfeitOn = ForfeitOn.DECLINED
    invitation_life: timedelta = timedelta(days=7)
    platform_url: str = "https://my.caas.example"
