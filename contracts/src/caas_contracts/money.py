"""Money as every message carries it: an integer number of minor units and an ISO 4217 code, never a float."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code")]
MinorUnits = Annotated[int, Field(ge=0, le=10**12, description="amount in minor units (cents for EUR)")]


class Money(BaseModel):
    """An amount of one currency, at least zero. `Money(amount_minor=1999, currency="EUR")` is 19.99 EUR."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    amount_minor: MinorUnits
    currency: Currency

    def __add__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(amount_minor=self.amount_minor + other.amount_minor, currency=self.currency)

    def __sub__(self, other: "Money") -> "Money":
        """Raises pydantic.ValidationError when the result would be negative."""
        self._same_currency(other)
        return Money(amount_minor=self.amount_minor - other.amount_minor, currency=self.currency)

    def _same_currency(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise ValueError(f"cannot combine {self.currency} with {other.currency}: convert one of them first")
