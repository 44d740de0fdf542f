"""What the gateway may answer, or fail to, as closed alternatives (GW-2, GW-4)."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import assert_never


class TransactionStatus(StrEnum):
    """The gateway's states; an unknown word is read as `unknown` and never acted on."""

    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"
    EXPIRED = "expired"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """The gateway's record of one payment. Amounts are minor units of `currency`, instants are aware.

    `held_minor` is what the customer's bank still holds for it; `action_url` the gateway's page where the customer
    has to confirm it (PAY-9).
    """

    id: str
    reference: str
    status: TransactionStatus
    amount_minor: int
    currency: str
    captured_minor: int = 0
    held_minor: int = 0
    refunded_minor: int = 0
    action_url: str | None = None
    decline_code: str | None = None
    capture_failure: str | None = None
    authorized_at: datetime | None = None
    capture_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """The gateway answered with its record, to an operation or to a look-up."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway refused the operation; asking again would change nothing."""

    code: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """The gateway has no record under our reference."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The operation certainly did not happen: nothing was sent, or the gateway turned it away (429).

    `retry_after_s` is what the gateway asked for, in seconds. `outage`: nobody answered.
    """

    reason: str
    retry_after_s: int | None = None
    outage: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Unknown:
    """The operation may have happened: a timeout, a 5xx, or an answer that cannot be read (GW-4).

    `outage`: there was no answer, or a 5xx; such results in a row open the circuit.
    """

    reason: str
    outage: bool = field(default=False, compare=False)


type GatewayResult = Answered | Refused | NotFound | Unavailable | Unknown


def describe(result: GatewayResult) -> str:
    """A result in a word or two, for the attempt's history."""
    match result:
        case Answered(transaction):
            return f"answered:{transaction.status}"
        case Refused(code):
            return f"refused:{code}"
        case NotFound():
            return "not_found"
        case Unavailable(reason) | Unknown(reason):
            return reason
        case _:
            assert_never(result)
