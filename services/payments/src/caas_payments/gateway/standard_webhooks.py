"""Standard Webhooks, as the gateway of GW-1 signs its webhooks, read tolerantly."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caas_chassis.signed_webhooks import Objection, SignatureVerifier, Signed
from caas_contracts.gateway import GatewayWebhookReceived
from caas_payments.errors import WebhookFault, WebhookRefused
from caas_payments.gateway.webhooks import Changed, Disputed, Held, Meaning, Unreadable, Unsettled, VerifiedWebhook

CHARGEBACK_OPENED: Final = "chargeback.opened"
SETTLEMENT_FAILED: Final = "settlement.failed"
MONEY_EVENTS: Final = frozenset({"transaction.authorized", "transaction.captured"})

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


class _Chargeback(BaseModel):
    """`data` of `chargeback.opened`."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    id: str = Field(pattern=_CODE)
    amount_minor: int = Field(ge=0)
    currency: str
    reason: str = ""


class _Failure(BaseModel):
    """`data` of `settlement.failed`."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    reason: str = Field(default="settlement_failed", pattern=_CODE)


class _FailureBody(BaseModel):
    data: _Failure


class _ChargebackBody(BaseModel):
    data: _Chargeback


class StandardWebhooks:
    """Webhooks signed with one of `secrets` (`whsec_...`): one, or two during a rotation.

    Without a secret every webhook is refused. Raises ValueError for one that is not base64.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._signatures = SignatureVerifier(secrets)

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> VerifiedWebhook:
        """As `WebhookReader.verify`."""
        signed = self._signatures.verify(headers, body)
        match signed:
            case Signed():
                return VerifiedWebhook(message=_read(signed.id, body, now), proof=signed.proof)
            case Objection.MALFORMED:
                raise WebhookRefused(WebhookFault.MALFORMED, "one of the headers of Standard Webhooks is missing")
            case _:
                raise WebhookRefused(WebhookFault(signed), "the signature or the timestamp is not valid")

    def meaning(self, webhook: GatewayWebhookReceived) -> Meaning:
        """As `WebhookReader.meaning`."""
        if webhook.event_type in MONEY_EVENTS:
            return Held()
        try:
            return _meaning_of_loss(webhook)
        except ValidationError:
            return Unreadable()


def _meaning_of_loss(webhook: GatewayWebhookReceived) -> Meaning:
    if webhook.event_type == CHARGEBACK_OPENED:
        said = _ChargebackBody.model_validate_json(webhook.body).data
        return Disputed(said.id, said.amount_minor, said.currency, said.reason)
    if webhook.event_type == SETTLEMENT_FAILED:
        return Unsettled(_FailureBody.model_validate_json(webhook.body).data.reason)
    return Changed()


def _read(webhook_id: str, body: bytes, now: datetime) -> GatewayWebhookReceived:
    try:
        read = _Body.model_validate_json(body)
        return GatewayWebhookReceived(
            webhook_id=webhook_id,
            event_type=read.type,
            transaction_id=read.data.transaction_id or read.data.id or read.type,
            reference=read.data.reference,
            body=body.decode(),
            received_at=now,
        )
    except ValueError as error:
        raise WebhookRefused(WebhookFault.MALFORMED, "the body is not a webhook of this gateway") from error
