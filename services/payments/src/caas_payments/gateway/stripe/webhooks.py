"""Stripe's webhooks (GW-5): verified over the raw bytes by Stripe's own library, then read tolerantly.

Invariant: nothing is read from a body whose signature, age and form are not verified.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from stripe import SignatureVerificationError, WebhookSignature

from caas_contracts.gateway import GatewayWebhookReceived
from caas_payments.errors import WebhookFault, WebhookRefused
from caas_payments.gateway.stripe.amounts import from_stripe
from caas_payments.gateway.webhooks import Changed, Disputed, Held, Meaning, Unreadable, VerifiedWebhook

SIGNATURE: Final = "stripe-signature"
TOLERANCE_S: Final = 300
"""GW-5: how far the instant that was signed may be from now, in either direction."""

MONEY_EVENTS: Final = frozenset({"payment_intent.amount_capturable_updated", "payment_intent.succeeded"})
DISPUTE_EVENT: Final = "charge.dispute.created"

_CODE: Final = r"^[A-Za-z0-9._:-]{1,64}$"
# PostgreSQL keeps no NUL, and no reference of ours has a control character.
_PLAIN: Final = r"^[^\x00-\x1f]*$"


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _Metadata(_Read):
    reference: str = Field(default="", max_length=200, pattern=_PLAIN)


class _Object(_Read):
    """What an event is about: a PaymentIntent, or what belongs to one."""

    id: str = Field(default="", max_length=64)
    payment_intent: str | None = Field(default=None, max_length=64)
    metadata: _Metadata | None = None


class _Data(_Read):
    object: _Object


class _Event(_Read):
    id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,200}$")
    type: str = Field(pattern=_CODE)
    data: _Data


class _Dispute(_Read):
    id: str = Field(pattern=_CODE)
    amount: int = Field(ge=0)
    currency: str = Field(pattern=r"^[A-Za-z]{3}$")
    reason: str = ""


class _DisputeData(_Read):
    object: _Dispute


class _DisputeEvent(_Read):
    data: _DisputeData


class StripeWebhooks:
    """Webhooks signed with one of `secrets` (an endpoint's `whsec_...`): one, or two during a rotation.

    Without a secret every webhook is refused.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secrets)

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> VerifiedWebhook:
        """As `WebhookReader.verify`."""
        signature = headers.get(SIGNATURE, "")
        if not signature:
            raise WebhookRefused(WebhookFault.MALFORMED, "the header of Stripe's signature is missing")
        if not any(_is_signed_by(secret, signature, body) for secret in self._secrets):
            raise WebhookRefused(WebhookFault.FORGED, "the signature or the timestamp is not valid")
        if abs(time.time() - _signed_at(signature)) > TOLERANCE_S:
            raise WebhookRefused(WebhookFault.STALE, "the signature or the timestamp is not valid")
        return VerifiedWebhook(message=_read(body, now), proof={SIGNATURE: signature})

    def meaning(self, webhook: GatewayWebhookReceived) -> Meaning:
        """As `WebhookReader.meaning`."""
        if webhook.event_type in MONEY_EVENTS:
            return Held()
        if webhook.event_type != DISPUTE_EVENT:
            return Changed()
        try:
            said = _DisputeEvent.model_validate_json(webhook.body).data.object
            currency = said.currency.upper()
            return Disputed(said.id, from_stripe(said.amount, currency), currency, said.reason)
        except ValueError:
            return Unreadable()


def _is_signed_by(secret: str, signature: str, body: bytes) -> bool:
    try:
        WebhookSignature.verify_header(body, signature, secret)
    except (SignatureVerificationError, ValueError, IndexError):
        # The library lets errors of decoding and of the header's form through as they are.
        return False
    return True


def _signed_at(signature: str) -> int:
    """The instant in a header that the library has read before; it refuses the past alone, not the future."""
    return next(int(part[2:]) for part in signature.split(",") if part.startswith("t="))


def _read(body: bytes, now: datetime) -> GatewayWebhookReceived:
    try:
        event = _Event.model_validate_json(body)
        subject = event.data.object
        return GatewayWebhookReceived(
            webhook_id=event.id,
            event_type=event.type,
            transaction_id=subject.payment_intent or subject.id or event.type,
            reference=subject.metadata.reference if subject.metadata else "",
            body=body.decode(),
            received_at=now,
        )
    except ValueError as error:
        raise WebhookRefused(WebhookFault.MALFORMED, "the body is not a webhook of this gateway") from error
