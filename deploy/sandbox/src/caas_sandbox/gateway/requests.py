"""The bodies of requests; strict, without unknown fields, and never holding a card number (GW-6)."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from caas_sandbox.cards import holds_card_number
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
    """A hold, or with `capture` a sale; `description` is accepted and not kept.

    `merchant_initiated`: under the customer's mandate, with nobody there to confirm it (PAY-9).
    """

    reference: Reference
    amount_minor: AmountMinor
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    payment_method: CardFreeText
    capture: bool
    merchant_initiated: bool = False
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


class TimingRequest(BaseModel):
    """When webhooks of this type (as `transaction.captured`) and reference come."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: Reference
    webhook: Annotated[str, Field(pattern=r"^[a-z._]{1,64}$")]
    timing: Timing
