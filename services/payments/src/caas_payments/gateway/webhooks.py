"""Webhooks of the gateway (GW-5): verified by the Standard Webhooks rules, then read tolerantly.

Invariant: nothing is read from a body whose signature, age and form are not verified.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from caas_contracts.gateway import GatewayWebhookReceived
from caas_payments.errors import WebhookRefused, WebhookTooLarge

MAX_BODY_BYTES: Final = 65_536

CHARGEBACK_OPENED: Final = "chargeback.opened"
MONEY_MOVED: Final = frozenset({"transaction.authorized", "transaction.captured"})
"""What may tell of money that a payment ended without."""

_HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")
_CODE: Final = r"^[A-Za-z0-9._:-]{1,64}$"


class _Subject(BaseModel):
    """What a webhook is about: a transaction, something that belongs to one, or neither."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    id: str = Field(default="", max_length=64)
    transaction_id: str = Field(default="", max_length=64)
    # PostgreSQL keeps no NUL, and no reference of ours has a control character.
    reference: str = Field(default="", max_length=200, pattern=r"^[^\x00-\x1f]*$")


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    type: str = Field(pattern=_CODE)
    data: _Subject


class ChargebackBody(BaseModel):
    """`data` of `chargeback.opened`; the amount is in minor units."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    id: str = Field(pattern=_CODE)
    amount_minor: int = Field(ge=0)
    currency: str
    reason: str = ""


class _ChargebackMessage(BaseModel):
    data: ChargebackBody


def webhook_secrets(secrets: Sequence[str]) -> tuple[Webhook, ...]:
    """The secrets in the form that verifies; raises ValueError at the start for one that is not base64."""
    return tuple(Webhook(secret) for secret in secrets)


def verified_webhook(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[Webhook], now: datetime
) -> GatewayWebhookReceived:
    """The webhook, when one of the secrets signed it within the last five minutes of real time.

    Raises WebhookTooLarge, or WebhookRefused when it is forged, stale or malformed; neither shows the body.
    `now` is only recorded.
    """
    if len(body) > MAX_BODY_BYTES:
        raise WebhookTooLarge(f"a webhook has at most {MAX_BODY_BYTES} bytes")
    signed = {name: headers.get(name, "") for name in _HEADERS}
    if not any(_is_signed_by(secret, signed, body) for secret in secrets):
        raise WebhookRefused("the signature or the timestamp is not valid")
    try:
        read = _Body.model_validate_json(body)
        return GatewayWebhookReceived(
            webhook_id=signed["webhook-id"],
            event_type=read.type,
            transaction_id=read.data.transaction_id or read.data.id or read.type,
            reference=read.data.reference,
            body=body.decode(),
            received_at=now,
        )
    except ValueError as error:
        raise WebhookRefused("the body is not a webhook of this gateway") from error


def read_chargeback(body: str) -> ChargebackBody | None:
    """What a verified `chargeback.opened` says, or None when it does not say it."""
    try:
        return _ChargebackMessage.model_validate_json(body).data
    except ValidationError:
        return None


def _is_signed_by(secret: Webhook, headers: dict[str, str], body: bytes) -> bool:
    try:
        secret.verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):
        # The library lets errors of decoding base64, UTF-8 and the header's form through as they are.
        return False
    return True
