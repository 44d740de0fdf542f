"""The factory: takes orders by the merchant's reference, builds vehicles, brings them to the dealership.

Events: `order.accepted`, `order.delayed` (another estimated delivery), `order.built` (with the VIN), `order.arrived`.
"""

import argparse
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, ClassVar, override

from pydantic import Field

from caas_sandbox.commissions.commission import Commission, CommissionRequest, Facts, Step, Trade, day_of
from caas_sandbox.commissions.partner import run_trade

BUILD_DAYS = 30.0
SHIP_DAYS = 10.0

type Word = Annotated[str, Field(min_length=1, max_length=100)]


class OrderRequest(CommissionRequest):
    """Which vehicle, and where it shall be brought."""

    model: Word
    options: Annotated[list[Word], Field(max_length=100)]
    dealership: Word


class Factory(Trade):
    """Builds, then ships; `estimated_delivery` moves with every delay."""

    name: ClassVar[str] = "factory"
    noun: ClassVar[str] = "order"
    plural: ClassVar[str] = "orders"
    id_prefix: ClassVar[str] = "fac"
    request: ClassVar[type[CommissionRequest]] = OrderRequest
    first_status: ClassVar[str] = "accepted"
    exclusive: ClassVar[str | None] = None

    def __init__(self, build: timedelta, ship: timedelta) -> None:
        self.steps: Sequence[Step] = (Step("built", build), Step("arrived", ship))

    @override
    def begun(self, now: datetime) -> Facts:
        """When the vehicle will be at the dealership."""
        whole = sum((step.after for step in self.steps), timedelta())
        return {"vin": None, "estimated_delivery": day_of(now + whole)}

    @override
    def learned(self, commission: Commission, status: str, now: datetime) -> Facts:
        """A vehicle that is built has its number."""
        if status == "built":
            return {"vin": _vin(commission.serial, now)}
        return {"estimated_delivery": day_of(now)}

    @override
    def delayed(self, commission: Commission, days: int) -> Facts:
        """The new estimate."""
        expected = date.fromisoformat(str(commission.facts["estimated_delivery"]))
        return {"estimated_delivery": (expected + timedelta(days=days)).isoformat()}


def _vin(serial: int, now: datetime) -> str:
    """17 characters without I, O and Q: manufacturer, factory, the second of the build, the serial number."""
    return f"VSC{int(now.timestamp()) % 10**8:08d}{serial % 10**6:06d}"


def _factory(given: argparse.Namespace) -> Factory:
    return Factory(timedelta(days=given.build_days), timedelta(days=given.ship_days))


def main() -> None:
    """Entry point of `python -m caas_sandbox.factory`."""
    run_trade(
        "factory",
        _factory,
        ("--build-days", BUILD_DAYS, "how long building takes"),
        ("--ship-days", SHIP_DAYS, "how long the way to the dealership takes"),
    )


if __name__ == "__main__":
    main()
