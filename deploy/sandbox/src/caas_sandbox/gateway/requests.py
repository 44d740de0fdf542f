"""The bodies of requests; strict, without unknown fields, and never holding a card number (GW-6)."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from caas_sandbox.gateway.cards import holds_card_number
from caas_sandbox.gateway.faults import Fault, FaultKind, Operation
from caas_sandbox.gateway.timings import Timing

# The largest amount that the well-known gateways take has twelve digits.
MAX_AMOUNT_MINOR = 999_999_999_999


def _without_card_number(text: str) -> str:
    if holds_card_number(text):
        raise PydanticCustomError("card_number", "card numbers are not accepted here; send a token")
    return text


type AmountMinor = Annotated[int, Field(gt=0, le=MAX_AMOUNT_MINOR)]
type Reference = Annotated[str, Field(min_length=1, max_length=200)]
type CardFreeText = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_without_card_number)]


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class AuthorizeRequest(_Request):
    """A hold, or with `capture` a sale; `description` is accepted and not kept."""

    reference: Reference
    amount_minor: AmountMinor
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    payment_method: CardFreeText
    capture: bool
    description: CardFreeText | None = None


class CaptureRequest(_Request):
    """How much of the hold is taken."""

    amount_minor: AmountMinor


class VoidRequest(_Request):
    """A void needs to say nothing."""


class RefundRequest(_Request):
    """How much is given back; `reference` is the merchant's name of this refund."""

    amount_minor: AmountMinor
    reference: Reference


class FaultRequest(BaseModel):
    """One entry of the fault script; an outage has no number of times."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind
    operation: Operation = Operation.ANY
    reference: Reference | None = None
    times: Annotated[int, Field(ge=1)] = 1
    retry_after_s: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _pause_belongs_to_an_answer(self) -> Self:
        if self.retry_after_s is not None and self.kind not in (
            FaultKind.TOO_MANY_REQUESTS,
            FaultKind.UNAVAILABLE,
        ):
            raise ValueError("retry_after_s goes with the kinds 429 and 503 only")
        return self

    def fault(self) -> Fault:
        """The entry as the script keeps it."""
        outage = self.kind is FaultKind.OUTAGE
        times = None if outage else self.times
        return Fault(**{**self.model_dump(), "times": times})


class TimingRequest(BaseModel):
    """When webhooks of this type (as `transaction.captured`) and reference come."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: Reference
    webhook: Annotated[str, Field(pattern=r"^[a-z._]{1,64}$")]
    timing: Timing
