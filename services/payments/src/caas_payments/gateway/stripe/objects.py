"""Stripe's objects as far as payments reads them, and the record of a payment that they add up to.

Invariant: unknown members are ignored, unknown states are kept apart; amounts leave here in ISO 4217's minor units.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from caas_payments.domain.gateway_result import Transaction, TransactionStatus
from caas_payments.gateway.hosted_page import hosted_page
from caas_payments.gateway.stripe.amounts import from_stripe
from caas_payments.gateway.stripe.refusals import declined_as

REFERENCE: Final = "reference"
"""Our reference, in the metadata of a PaymentIntent and of its refunds."""

REFUND_REFERENCE: Final = "refund_reference"
"""The refund's own reference, in a refund's metadata."""

_SHORTEST_HOLD: Final = timedelta(days=4, hours=18)
"""Where Stripe does not say when a hold ends: the shortest that a card network grants (Visa, customer absent)."""

_EXPIRED: Final = frozenset({"automatic", "expired"})
_NEVER_PAID_BACK: Final = frozenset({"failed", "canceled"})


class _Object(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _Card(_Object):
    capture_before: int | None = None


class _PaymentMethodDetails(_Object):
    card: _Card | None = None


class Charge(_Object):
    """One try at a card. `created` and `capture_before` are seconds since 1970, UTC."""

    id: str
    created: int
    amount: int
    captured: bool = False
    amount_captured: int | None = None
    payment_method_details: _PaymentMethodDetails | None = None

    @property
    def taken(self) -> int:
        """The amount taken, in Stripe's unit."""
        if self.amount_captured is not None:
            return self.amount_captured
        return self.amount if self.captured else 0

    @property
    def capture_before(self) -> datetime:
        """The end of the hold."""
        card = self.payment_method_details.card if self.payment_method_details else None
        if card is not None and card.capture_before is not None:
            return _instant(card.capture_before)
        return _instant(self.created) + _SHORTEST_HOLD


class _PaymentError(_Object):
    code: str | None = None
    decline_code: str | None = None


class _Redirect(_Object):
    url: str | None = None


class _NextAction(_Object):
    redirect_to_url: _Redirect | None = None


class Refund(_Object):
    """Money on its way back. A pending one is accepted; one that fails does not count."""

    id: str
    amount: int
    status: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return self.status not in _NEVER_PAID_BACK

    @property
    def ours(self) -> bool:
        """Asked for by us: not the released rest of a partial capture, nor made by a person in the dashboard."""
        return REFUND_REFERENCE in self.metadata


class PaymentIntent(_Object):
    """One payment at Stripe."""

    id: str
    amount: int
    currency: str
    status: str
    created: int
    amount_received: int | None = None
    amount_capturable: int | None = None
    cancellation_reason: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    latest_charge: Charge | str | None = None
    last_payment_error: _PaymentError | None = None
    next_action: _NextAction | None = None

    @property
    def page(self) -> str | None:
        """Where the customer confirms it (PAY-9); a step that only Stripe's own library can take has no page."""
        redirect = self.next_action.redirect_to_url if self.next_action else None
        return hosted_page(redirect.url) if redirect else None

    @property
    def reference(self) -> str:
        return self.metadata.get(REFERENCE, "")

    @property
    def captured(self) -> int:
        """What was taken of a payment that succeeded, in Stripe's unit."""
        if self.status != "succeeded":
            return 0
        if self.amount_received is not None:
            return self.amount_received
        return self.latest_charge.taken if isinstance(self.latest_charge, Charge) else 0

    def read(self, refunded: int = 0) -> Transaction:
        """The record; `refunded` is what our refunds add up to, in Stripe's unit.

        Raises ValueError for an amount that is no whole minor unit.
        """
        currency = self.currency.upper()
        charge = self.latest_charge if isinstance(self.latest_charge, Charge) else None
        held = charge is not None and self.status in ("requires_capture", "succeeded")
        failure = self._failure()
        return Transaction(
            id=self.id,
            reference=self.reference,
            status=self._status(refunded),
            amount_minor=from_stripe(self.amount, currency),
            currency=currency,
            captured_minor=from_stripe(self.captured, currency),
            held_minor=from_stripe(self.amount_capturable or 0, currency),
            refunded_minor=from_stripe(refunded, currency),
            action_url=self.page if self.status == "requires_action" else None,
            decline_code=failure,
            capture_failure=failure,
            authorized_at=_instant(charge.created) if charge and held else None,
            capture_before=charge.capture_before if charge and held else None,
        )

    def _failure(self) -> str | None:
        if self.status != "requires_payment_method" or self.last_payment_error is None:
            return None
        return declined_as(self.last_payment_error.code or "", self.last_payment_error.decline_code or "")

    def _status(self, refunded: int) -> TransactionStatus:
        match self.status:
            case "requires_capture":
                return TransactionStatus.AUTHORIZED
            case "succeeded":
                return _taken_status(self.captured, refunded)
            case "requires_action" if self.page is not None:
                return TransactionStatus.REQUIRES_ACTION
            case "requires_action" | "processing":
                return TransactionStatus.PENDING
            case "canceled":
                expired = self.cancellation_reason in _EXPIRED
                return TransactionStatus.EXPIRED if expired else TransactionStatus.VOIDED
            case "requires_payment_method" if self.last_payment_error is not None:
                return TransactionStatus.DECLINED
            case _:
                return TransactionStatus.UNKNOWN


class PaymentIntents(_Object):
    """A page of a list, the newest first."""

    data: list[PaymentIntent]
    has_more: bool = False


class Refunds(_Object):
    """A page of a list."""

    data: list[Refund]
    has_more: bool = False


def expanded(fields: Mapping[str, str | int]) -> dict[str, str | int]:
    """A request that asks for the charge within the PaymentIntent."""
    return {**fields, "expand[0]": "latest_charge"}


def _taken_status(captured: int, refunded: int) -> TransactionStatus:
    if refunded == 0:
        return TransactionStatus.CAPTURED
    return TransactionStatus.REFUNDED if refunded >= captured else TransactionStatus.PARTIALLY_REFUNDED


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
