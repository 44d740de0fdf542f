"""The transport company: takes bookings, brings vehicles from the dealership to their customers, and reports it.

Events: `delivery.booked`, `delivery.delayed` (another day), `delivery.delivered`.
"""

import argparse
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, ClassVar, override

from pydantic import Field

from caas_sandbox.clock import rfc3339
from caas_sandbox.commissions.commission import Commission, CommissionRequest, Facts, Step, Trade, day_of
from caas_sandbox.commissions.partner import run_trade

DELIVERY_DAYS = 3.0


class DeliveryRequest(CommissionRequest):
    """Which vehicle, from where, to whom."""

    vin: Annotated[str, Field(pattern=r"^[A-HJ-NPR-Z0-9]{17}$")]
    plates: Annotated[str, Field(min_length=1, max_length=16)]
    dealership: Annotated[str, Field(min_length=1, max_length=100)]
    recipient: Annotated[str, Field(min_length=1, max_length=200)]


class Transport(Trade):
    """Delivers on the day that it said at the booking, unless it is late."""

    name: ClassVar[str] = "transport"
    noun: ClassVar[str] = "delivery"
    plural: ClassVar[str] = "deliveries"
    id_prefix: ClassVar[str] = "trp"
    request: ClassVar[type[CommissionRequest]] = DeliveryRequest
    first_status: ClassVar[str] = "booked"
    exclusive: ClassVar[str | None] = None

    def __init__(self, way: timedelta) -> None:
        self.steps: Sequence[Step] = (Step("delivered", way),)

    @override
    def begun(self, now: datetime) -> Facts:
        """The day of the delivery."""
        return {"delivery_on": day_of(now + self.steps[0].after), "delivered_at": None}

    @override
    def learned(self, commission: Commission, status: str, now: datetime) -> Facts:
        """When the customer got the vehicle."""
        return {"delivered_at": rfc3339(now)}

    @override
    def delayed(self, commission: Commission, days: int) -> Facts:
        """The new day."""
        expected = date.fromisoformat(str(commission.facts["delivery_on"]))
        return {"delivery_on": (expected + timedelta(days=days)).isoformat()}


def _transport(given: argparse.Namespace) -> Transport:
    return Transport(timedelta(days=given.delivery_days))


def main() -> None:
    """Entry point of `python -m caas_sandbox.transport`."""
    run_trade("transport", _transport, ("--delivery-days", DELIVERY_DAYS, "how long the way to the customer takes"))


if __name__ == "__main__":
    main()
