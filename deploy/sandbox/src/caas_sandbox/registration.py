"""The administration that registers vehicles: takes applications, decides after days, gives out number plates.

Events: `registration.submitted`, `registration.registered` (with the plates), `registration.rejected` (with the
reason). A vehicle has one open or granted application; a rejected one may be followed by a corrected one.
"""

import argparse
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, override

from pydantic import BaseModel, Field

from caas_sandbox.commissions.commission import Commission, CommissionRequest, Facts, Step, Trade
from caas_sandbox.commissions.partner import run_trade

DECISION_DAYS = 2.0
# Spanish plates have no vowels, Ñ or Q, so that they spell no words.
_LETTERS = "BCDFGHJKLMNPRSTVWXYZ"
_FIRST_SERIES = 14 * 20 * 20


class Holder(BaseModel):
    """In whose name the vehicle is registered."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    tax_id: Annotated[str, Field(min_length=1, max_length=20)] | None = None


class RegistrationRequest(CommissionRequest):
    """Which vehicle, for whom."""

    vin: Annotated[str, Field(pattern=r"^[A-HJ-NPR-Z0-9]{17}$")]
    model: Annotated[str, Field(min_length=1, max_length=100)]
    holder: Holder


class Registration(Trade):
    """Decides once, for or against."""

    name: ClassVar[str] = "registration"
    noun: ClassVar[str] = "registration"
    plural: ClassVar[str] = "registrations"
    id_prefix: ClassVar[str] = "reg"
    request: ClassVar[type[CommissionRequest]] = RegistrationRequest
    first_status: ClassVar[str] = "submitted"
    exclusive: ClassVar[str | None] = "vin"

    def __init__(self, decision: timedelta) -> None:
        self.steps: Sequence[Step] = (Step("registered", decision, rejected="rejected"),)

    @override
    def begun(self, now: datetime) -> Facts:
        """Nothing is decided yet."""
        return {"plates": None, "reason": None}

    @override
    def learned(self, commission: Commission, status: str, now: datetime) -> Facts:
        """The next free plates."""
        return {"plates": _plates(commission.serial)}

    @override
    def delayed(self, commission: Commission, days: int) -> Facts:
        """An administration does not say how long it takes."""
        return {}


def _plates(serial: int) -> str:
    series, number = divmod(serial, 10_000)
    series += _FIRST_SERIES
    letters = [_LETTERS[series // 400 % 20], _LETTERS[series // 20 % 20], _LETTERS[series % 20]]
    return f"{number:04d} {''.join(letters)}"


def _registration(given: argparse.Namespace) -> Registration:
    return Registration(timedelta(days=given.decision_days))


def main() -> None:
    """Entry point of `python -m caas_sandbox.registration`."""
    run_trade("registration", _registration, ("--decision-days", DECISION_DAYS, "how long a decision takes"))


if __name__ == "__main__":
    main()
