"""What a subscriber has agreed to: which service of which car, from when to when, at which price.

Prices are in minor units, quantities in units; both are kept as whole millionths, so that no sum is ever rounded.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from caas_sandbox.usage.calendar import micros_of

type Number = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$")]
type MonthName = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]

MILLION = 1_000_000


def millionths(number: str) -> int:
    """A decimal text as whole millionths: "0.25" is 250000."""
    whole, _, rest = number.partition(".")
    return int(whole) * MILLION + int(rest.ljust(6, "0") or 0)


class Kind(StrEnum):
    """How use becomes money."""

    PER_USE = "per_use"
    PER_DAY_USED = "per_day_used"
    FLAT_MONTHLY = "flat_monthly"
    TIERED = "tiered"


class Step(BaseModel):
    """What lies above the step before, up to `up_to`, costs `rate` a unit."""

    model_config = ConfigDict(frozen=True)

    up_to: Number | None = None
    rate: Number


class Price(BaseModel):
    """A price and the first month in which it counts."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    unit: str | None = None
    rate: Number | None = None
    tiers: tuple[Step, ...] = ()
    effective_from: MonthName = "1970-01"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.kind is Kind.TIERED) != bool(self.tiers) or (self.kind is Kind.TIERED) == (self.rate is not None):
            raise ValueError("a tiered price has tiers and no rate, any other a rate and no tiers")
        open_ended = [number for number, step in enumerate(self.tiers, start=1) if step.up_to is None]
        if open_ended != [len(self.tiers)][: len(self.tiers)]:
            raise ValueError("the last tier, and no other, has no end")
        return self


class Agreement(BaseModel):
    """One subscription. `prices` holds the agreed one first, then those that were announced for later months."""

    model_config = ConfigDict(frozen=True)

    subscription_id: Annotated[str, Field(min_length=1, max_length=64)]
    vehicle_id: Annotated[str, Field(min_length=1, max_length=64)]
    service_code: Annotated[str, Field(min_length=1, max_length=64)]
    prices: Annotated[tuple[Price, ...], Field(min_length=1)]
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None

    @property
    def starts(self) -> int:
        """Microseconds since 1970."""
        return micros_of(self.started_at)

    @property
    def ends(self) -> int | None:
        """Microseconds since 1970; from this instant on use costs nothing. None while it runs."""
        return None if self.ended_at is None else micros_of(self.ended_at)

    def price_in(self, month: str) -> Price:
        """The newest price that counts in a month, and never an older one than was agreed."""
        announced = [price for price in self.prices[1:] if price.effective_from <= month]
        return max(announced, key=lambda price: price.effective_from, default=self.prices[0])
