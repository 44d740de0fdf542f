"""The verbs of payments as requests to Stripe: a payment is one PaymentIntent with manual capture.

Invariant: an operation is one request that can move money, under the attempt's key; what follows it only reads, and
a failure to read after a success is never taken for a failure of the operation.
"""

from datetime import timedelta
from typing import Final, assert_never
from uuid import UUID

import httpx
import structlog
from pydantic import ValidationError

from caas_payments.domain.gateway_result import (
    Answered,
    GatewayResult,
    NotFound,
    Refused,
    TransactionStatus,
    Unavailable,
    Unknown,
)
from caas_payments.gateway.port import GatewayTask
from caas_payments.gateway.stripe.amounts import to_stripe
from caas_payments.gateway.stripe.api import Content, Form, Objection, Reply, StripeApi
from caas_payments.gateway.stripe.objects import (
    REFERENCE,
    REFUND_REFERENCE,
    PaymentIntent,
    PaymentIntents,
    Refund,
    Refunds,
    expanded,
)
from caas_payments.gateway.stripe.refusals import is_final, refused_as

_log = structlog.get_logger(__name__)

_INTENTS: Final = "/v1/payment_intents"
_REFUNDS: Final = "/v1/refunds"
_PAGE: Final = 100
"""The most that Stripe puts into one page."""
_MOST_PAGES: Final = 50
"""5,000 payments since the one that is looked for: beyond that the listing is given up, not believed."""
_CLOCK_DIFFERENCE: Final = timedelta(minutes=10)
"""How far the clock that minted a reference may be ahead of Stripe's."""
_NOT_FOUND: Final = 404


class StripeGateway:
    """The adapter for Stripe. The HTTP client brings base address, secret key and timeouts."""

    def __init__(self, http: httpx.AsyncClient, return_url: str = "") -> None:
        self._api = StripeApi(http)
        self._return_url = return_url

    async def authorize(self, task: GatewayTask) -> GatewayResult:
        """Hold the amount; a decline is an answer."""
        return await self._create(task, "manual")

    async def sale(self, task: GatewayTask) -> GatewayResult:
        """Hold and take the amount in one step; a decline is an answer."""
        return await self._create(task, "automatic")

    async def capture(self, task: GatewayTask) -> GatewayResult:
        """Take the amount of the task, at most what is held; Stripe releases the rest."""
        amount = to_stripe(task.amount_minor, task.currency)
        if amount is None:
            return Refused("amount_not_chargeable")
        return await self._operate(task, "capture", expanded({"amount_to_capture": amount}))

    async def void(self, task: GatewayTask) -> GatewayResult:
        """Release the hold."""
        return await self._operate(task, "cancel", expanded({}))

    async def refund(self, task: GatewayTask) -> GatewayResult:
        """Give captured money back, under the refund's own reference."""
        amount = to_stripe(task.amount_minor, task.currency)
        if amount is None:
            return Refused("amount_not_chargeable")
        form: Form = {
            "payment_intent": task.transaction_id,
            "amount": amount,
            f"metadata[{REFERENCE}]": task.reference,
            f"metadata[{REFUND_REFERENCE}]": str(task.refund_id),
        }
        reply = await self._api.post(_REFUNDS, form, task.idempotency_key)
        match reply:
            case Content(body):
                return await self._after_refund(task, body)
            case Objection(status, error):
                return NotFound() if status == _NOT_FOUND else Refused(refused_as(status, error))
            case Unavailable() | Unknown():
                return reply
            case _:
                assert_never(reply)

    async def look_up(self, reference: str, transaction_id: str = "", /) -> GatewayResult:
        """Stripe's own record of what it did under our reference (GW-4).

        A known PaymentIntent is read by its id. Otherwise the newest PaymentIntents are listed back to the instant in
        the reference, a UUIDv7: unlike the search, a list shows what was written before it was asked for.
        """
        return await (self._record(transaction_id) if transaction_id else self._find(reference))

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def _create(self, task: GatewayTask, capture_method: str) -> GatewayResult:
        amount = to_stripe(task.amount_minor, task.currency)
        if amount is None:
            return Refused("amount_not_chargeable")
        form: Form = {
            "amount": amount,
            "currency": task.currency.lower(),
            "capture_method": capture_method,
            "confirm": "true",
            "payment_method_types[0]": "card",
            f"metadata[{REFERENCE}]": task.reference,
            **_payer(task, self._return_url),
        }
        reply = await self._api.post(_INTENTS, expanded(form), task.idempotency_key)
        if isinstance(reply, Objection):
            return _refused_creation(task, reply)
        return _answer(reply)

    async def _operate(self, task: GatewayTask, verb: str, form: Form) -> GatewayResult:
        """Capture or cancel; a refusal is explained by the state in which the PaymentIntent is."""
        reply = await self._api.post(f"{_INTENTS}/{task.transaction_id}/{verb}", form, task.idempotency_key)
        if not isinstance(reply, Objection):
            return _answer(reply)
        if reply.status == _NOT_FOUND:
            return NotFound()
        return _explained(reply, await self._record(task.transaction_id))

    async def _after_refund(self, task: GatewayTask, body: bytes) -> GatewayResult:
        try:
            refund = Refund.model_validate_json(body)
        except ValidationError:
            return Unknown("unreadable_answer")
        if not refund.accepted:
            return Refused("refund_failed")
        record = await self._record(task.transaction_id)
        # The refund was made: that the record could not be read must not look like a refund that was not sent.
        return record if isinstance(record, Answered | Unknown) else Unknown("record_not_read")

    async def _record(self, transaction_id: str) -> GatewayResult:
        """The PaymentIntent with the sum of its refunds."""
        reply = await self._api.get(f"{_INTENTS}/{transaction_id}", expanded({}))
        intent = _intent(reply)
        if not isinstance(intent, PaymentIntent):
            return intent
        refunded = await self._refunded(intent) if intent.status == "succeeded" else 0
        return _read(intent, refunded) if isinstance(refunded, int) else refunded

    async def _refunded(self, intent: PaymentIntent) -> int | Unavailable | Unknown:
        """What our refunds of a PaymentIntent add up to, in Stripe's unit."""
        reply = await self._api.get(_REFUNDS, {"payment_intent": intent.id, "limit": _PAGE})
        if not isinstance(reply, Content):
            return _no_list(reply)
        try:
            page = Refunds.model_validate_json(reply.body)
        except ValidationError:
            return Unknown("unreadable_answer")
        if page.has_more:
            return Unknown("too_many_refunds")
        return sum(refund.amount for refund in page.data if refund.ours and refund.accepted)

    async def _find(self, reference: str) -> GatewayResult:
        since = _minted_at(reference)
        found: list[PaymentIntent] = []
        params: dict[str, str | int] = {"limit": _PAGE}
        for _ in range(_MOST_PAGES):
            reply = await self._api.get(_INTENTS, params)
            if not isinstance(reply, Content):
                return _no_list(reply)
            try:
                page = PaymentIntents.model_validate_json(reply.body)
            except ValidationError:
                return Unknown("unreadable_answer")
            found += [intent for intent in page.data if intent.reference == reference]
            if not page.has_more or not page.data or page.data[-1].created < since:
                return await self._chosen(found)
            params["starting_after"] = page.data[-1].id
        return Unknown("too_many_payments_to_list")

    async def _chosen(self, found: list[PaymentIntent]) -> GatewayResult:
        """The PaymentIntent that counts: one that holds or moved money before one that was declined."""
        live = [intent for intent in found if intent.status not in ("requires_payment_method", "canceled")]
        if len(live) > 1:
            _log.error("gateway_has_several_transactions", reference=live[0].reference, count=len(live))
            return Unknown("several_transactions")
        chosen = live or found
        return await self._record(chosen[0].id) if chosen else NotFound()


def _payer(task: GatewayTask, return_url: str) -> Form:
    """The payment method, alone (`pm_...`) or as one that a customer of Stripe's has saved (`cus_...:pm_...`).

    Without the customer present Stripe declines what needs a confirmation, instead of waiting for it (PAY-9). With a
    customer it names a page for that only when it knows where to lead them afterwards.
    """
    customer, _, method = task.payment_method.rpartition(":")
    presence = {"return_url": return_url} if return_url else {}
    if task.merchant_initiated:
        presence = {"off_session": "true"}
    return {"payment_method": method} | ({"customer": customer} if customer else {}) | presence


def _answer(reply: Content | Unavailable | Unknown) -> GatewayResult:
    intent = _intent(reply)
    return _read(intent, 0) if isinstance(intent, PaymentIntent) else intent


def _intent(reply: Reply) -> PaymentIntent | NotFound | Unavailable | Unknown:
    match reply:
        case Content(body):
            try:
                return PaymentIntent.model_validate_json(body)
            except ValidationError:
                return Unknown("unreadable_answer")
        case Objection(status, error):
            return NotFound() if status == _NOT_FOUND else Unknown(refused_as(status, error))
        case Unavailable() | Unknown():
            return reply
        case _:
            assert_never(reply)


def _read(intent: PaymentIntent, refunded: int) -> GatewayResult:
    try:
        return Answered(intent.read(refunded))
    except ValueError:
        return Unknown("unreadable_answer")


def _no_list(reply: Objection | Unavailable | Unknown) -> Unavailable | Unknown:
    return Unknown(refused_as(reply.status, reply.error)) if isinstance(reply, Objection) else reply


def _refused_creation(task: GatewayTask, refusal: Objection) -> GatewayResult:
    """A decline comes with the PaymentIntent that records it."""
    if refusal.error.payment_intent is not None:
        try:
            intent = PaymentIntent.model_validate(refusal.error.payment_intent)
        except ValidationError:
            return Unknown("unreadable_answer")
        if intent.reference == task.reference and intent.last_payment_error is not None:
            return _read(intent, 0)
    if refusal.status == _NOT_FOUND:
        # Nothing but the payment method is named in the request.
        return Refused("invalid_payment_method")
    return Refused(refused_as(refusal.status, refusal.error))


def _explained(refusal: Objection, record: GatewayResult) -> GatewayResult:
    """Why a capture or a cancellation was refused; without the record nothing is known about it."""
    if not isinstance(record, Answered):
        return Unknown("refused_without_record")
    match record.transaction.status:
        case TransactionStatus.CAPTURED | TransactionStatus.PARTIALLY_REFUNDED | TransactionStatus.REFUNDED:
            return Refused("already_captured")
        case TransactionStatus.VOIDED:
            return Refused("already_voided")
        case TransactionStatus.EXPIRED:
            return Refused("hold_expired")
        case _ if is_final(refusal.status, refusal.error):
            return Refused(refused_as(refusal.status, refusal.error))
        case _:
            # Still held, and refused for what may be a mistake of ours: nothing is given up for that.
            return Unknown(refused_as(refusal.status, refusal.error))


def _minted_at(reference: str) -> float:
    """The earliest second since 1970 at which a payment of this reference can be at Stripe.

    References are UUIDv7, whose first 48 bits are milliseconds; for another one everything is listed.
    """
    try:
        name = UUID(reference)
    except ValueError:
        return 0.0
    if name.version != 7:
        return 0.0
    minted_ms = name.int >> 80
    return minted_ms / 1000 - _CLOCK_DIFFERENCE.total_seconds()
