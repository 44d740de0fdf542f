"""The gateway's transaction and its state machine; refunds never pass captures, captures never pass holds."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self

from caas_sandbox.clock import rfc3339
from caas_sandbox.gateway.calendar import HOLD_BUSINESS_DAYS, after_business_days
from caas_sandbox.gateway.tokens import token_of
from caas_sandbox.problems import StateForbids


class Status(StrEnum):
    """The states of a transaction."""

    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"
    EXPIRED = "expired"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


CAPTURED_ONCE = frozenset({Status.CAPTURED, Status.PARTIALLY_REFUNDED, Status.REFUNDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One transaction; amounts are minor units of `currency`, instants are business time.

    `sale` means captured as soon as authorized. `token` is the test token's name, without suffix. `action_url` is
    the page where the customer confirms it, `action_secret` its last part.
    """

    id: str
    reference: str
    token: str
    sale: bool
    status: Status
    amount_minor: int
    currency: str
    merchant_initiated: bool = False
    action_secret: str | None = None
    action_url: str | None = None
    captured_minor: int = 0
    refunded_minor: int = 0
    decline_code: str | None = None
    capture_failure: str | None = None
    authorized_at: datetime | None = None
    capture_before: datetime | None = None
    created_at: datetime

    @property
    def held_minor(self) -> int:
        """What the customer's bank still holds: the open hold, or what it wrongly keeps of a partial capture."""
        if self.status is Status.AUTHORIZED:
            return self.amount_minor
        keeps = self.status in CAPTURED_ONCE and token_of(self.token).keeps_rest
        return self.amount_minor - self.captured_minor if keeps else 0

    def authorize(self, now: datetime) -> Self:
        """Holds the amount for seven business days (SVC-10)."""
        capture_before = after_business_days(now, HOLD_BUSINESS_DAYS)
        return replace(self, status=Status.AUTHORIZED, authorized_at=now, capture_before=capture_before)

    def decline(self, code: str) -> Self:
        """Ends without any effect on the customer's money."""
        return replace(self, status=Status.DECLINED, decline_code=code)

    def capture(self, amount_minor: int) -> Self:
        """Takes all or part of the hold, once; the rest of the hold is released."""
        self._require_open_hold()
        if amount_minor > self.amount_minor:
            raise StateForbids("amount_too_large", f"the hold is of {self.amount_minor}, not of {amount_minor}")
        return replace(self, status=Status.CAPTURED, captured_minor=amount_minor)

    def fail_capture(self) -> Self:
        """Marks the hold as one that can only be voided."""
        self._require_open_hold()
        return replace(self, capture_failure="capture_failed")

    def await_customer(self, secret: str, url: str) -> Self:
        """Nothing happens until the customer has confirmed it, or refused, on the gateway's page (PAY-9)."""
        return replace(self, status=Status.REQUIRES_ACTION, action_secret=secret, action_url=url)

    def require_customer_awaited(self) -> None:
        """Raises StateForbids when there is nothing left to confirm."""
        if self.status is not Status.REQUIRES_ACTION:
            raise StateForbids("action_over", f"the transaction is {self.status}, nothing is left to confirm")

    def void(self) -> Self:
        """Releases the hold, or gives up what the customer has not confirmed."""
        if self.status is not Status.REQUIRES_ACTION:
            self._require_open_hold()
        return replace(self, status=Status.VOIDED)

    def expire(self) -> Self:
        """Releases a hold that nobody captured in time."""
        return replace(self, status=Status.EXPIRED)

    def refund(self, amount_minor: int) -> Self:
        """Gives back part of what was captured; the sum never passes it (PAY-8)."""
        if self.status not in CAPTURED_ONCE:
            raise StateForbids("not_captured", f"the transaction is {self.status}, nothing was captured")
        refunded_minor = self.refunded_minor + amount_minor
        if refunded_minor > self.captured_minor:
            left = self.captured_minor - self.refunded_minor
            raise StateForbids("amount_too_large", f"{left} can still be refunded, not {amount_minor}")
        whole = refunded_minor == self.captured_minor
        status = Status.REFUNDED if whole else Status.PARTIALLY_REFUNDED
        return replace(self, status=status, refunded_minor=refunded_minor)

    def hold_is_over(self, now: datetime) -> bool:
        """Whether this is a hold whose time has passed."""
        expired = self.capture_before is not None and now >= self.capture_before
        return self.status is Status.AUTHORIZED and expired

    def as_json(self) -> dict[str, object]:
        """The public form of GW-1; the payment method is not part of it."""
        return {
            "id": self.id,
            "reference": self.reference,
            "status": self.status.value,
            "amount_minor": self.amount_minor,
            "currency": self.currency,
            "captured_minor": self.captured_minor,
            "held_minor": self.held_minor,
            "refunded_minor": self.refunded_minor,
            "merchant_initiated": self.merchant_initiated,
            "action_url": self.action_url if self.status is Status.REQUIRES_ACTION else None,
            "decline_code": self.decline_code,
            "capture_failure": self.capture_failure,
            "authorized_at": rfc3339(self.authorized_at) if self.authorized_at else None,
            "capture_before": rfc3339(self.capture_before) if self.capture_before else None,
            "created_at": rfc3339(self.created_at),
        }

    def _require_open_hold(self) -> None:
        if self.status is Status.AUTHORIZED:
            return
        code = _REFUSAL_OF.get(self.status, "not_authorized")
        raise StateForbids(code, f"the transaction is {self.status}, not an open hold")


_REFUSAL_OF = {
    **dict.fromkeys(CAPTURED_ONCE, "already_captured"),
    Status.VOIDED: "already_voided",
    Status.EXPIRED: "hold_expired",
}
