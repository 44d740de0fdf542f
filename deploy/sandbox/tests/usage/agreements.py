"""Agreements as tests make them."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from caas_sandbox.usage.agreement import Agreement, Kind, Price, Step

MADRID = ZoneInfo("Europe/Madrid")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

PER_USE = Price(kind=Kind.PER_USE, unit="km", rate="3.5")
PER_DAY = Price(kind=Kind.PER_DAY_USED, unit="km", rate="149")
FLAT = Price(kind=Kind.FLAT_MONTHLY, rate="990")
TIERED = Price(
    kind=Kind.TIERED,
    unit="km",
    tiers=(Step(up_to="100", rate="4"), Step(up_to="500", rate="2.5"), Step(rate="1.25")),
)


def an_agreement(price: Price, **changes: Any) -> Agreement:
    """One that has run for ever, unless told otherwise."""
    plain = {"subscription_id": "s-1", "vehicle_id": "VIN-1", "service_code": "lane-keeping", "started_at": LONG_AGO}
    return Agreement.model_validate({**plain, "prices": (price,), **changes})


def at(text: str) -> datetime:
    """An instant as a clock in Madrid shows it."""
    return datetime.fromisoformat(text).replace(tzinfo=MADRID)
