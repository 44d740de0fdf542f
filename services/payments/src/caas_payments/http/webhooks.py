"""Received webhooks for operators (GW-5): list, inspect, have one followed again."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict

from caas_chassis.auth import Principal
from caas_chassis.cause import Cause
from caas_chassis.idempotency import Answer, IdempotentRequest, answer_once
from caas_chassis.ids import new_id
from caas_chassis.runtime import Runtime
from caas_chassis.transaction import Tx
from caas_chassis.web import Depends, cause_of, requires, respond
from caas_contracts.topics import PAYMENTS_EVENTS
from caas_payments.domain.rules import Rules
from caas_payments.errors import WebhookNotFound
from caas_payments.gateway.webhooks import WebhookReader
from caas_payments.handlers.batch import GATEWAY_EFFECT
from caas_payments.handlers.hints import find_payments, follow_again
from caas_payments.http.views import AuditView, PaymentView, Reason, View
from caas_payments.store import audit, payments, webhooks

type Operator = Annotated[Principal, Depends(requires("operator"))]
type Word = Annotated[str | None, Query(min_length=1, max_length=200)]

PAGE: Final = 50


class WebhookLine(View):
    """A webhook in a list."""

    id: str
    event_type: str
    transaction_id: str
    reference: str
    correlation_id: UUID
    received_at: datetime


class WebhookList(BaseModel):
    """The newest first; `next_cursor` is None at the end."""

    webhooks: list[WebhookLine]
    next_cursor: str | None


class PublicationView(View):
    """Its place in the outbox; whether the broker has it, and whether payments itself has followed it."""

    message_id: UUID
    position: int
    sequence: int
    written_at: datetime
    sent: bool
    handled: bool


class ReprocessingView(View):
    """One time that an operator had it followed again."""

    id: UUID
    requested_by: str
    reason: str
    correlation_id: UUID
    requested_at: datetime


class Consequences(BaseModel):
    """What following it has caused, also again: questions that wait, transitions and refusals, events."""

    look_ups_waiting: int
    audit: list[AuditView]
    published: list[str]


class WebhookFile(WebhookLine):
    """A webhook with everything that explains what became of it. `publication` None: older than the outbox keeps."""

    headers: dict[str, str]
    body: str
    publication: PublicationView | None
    payment: PaymentView | None
    caused: Consequences
    reprocessings: list[ReprocessingView]


class ReprocessRequest(BaseModel):
    """Why an operator wants it followed again."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    reason: Reason


def webhooks_router(runtime: Runtime, rules: Rules, reader: WebhookReader) -> APIRouter:
    """`/webhooks`, for operators only."""
    router = APIRouter(prefix="/webhooks", tags=["webhooks"])

    @router.get("")
    async def list_webhooks(
        _: Operator,
        transaction_id: Word = None,
        event_type: Word = None,
        reference: Word = None,
        since: AwareDatetime | None = None,
        cursor: Word = None,
        limit: Annotated[int, Query(ge=1, le=500)] = PAGE,
    ) -> WebhookList:
        """The newest first; `since` is business time, `cursor` the `next_cursor` of the page before."""
        wanted = webhooks.Filter(
            transaction_id=transaction_id, event_type=event_type, reference=reference, since=since, before=cursor
        )
        async with runtime.reading() as tx:
            found = await webhooks.list_webhooks(tx, wanted, limit + 1)
        shown = [WebhookLine.model_validate(line) for line in found[:limit]]
        return WebhookList(webhooks=shown, next_cursor=shown[-1].id if len(found) > limit else None)

    @router.get("/{webhook_id:path}")
    async def show_webhook(webhook_id: str, _: Operator) -> WebhookFile:
        """What came, where it stands, and what it caused."""
        async with runtime.reading() as tx:
            return await _file(tx, await _stored(tx, webhook_id))

    @router.post("/{webhook_id:path}/reprocess", status_code=202)
    async def reprocess_webhook(
        webhook_id: str,
        wish: ReprocessRequest,
        operator: Operator,
        request: Request,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Follow it again, once per Idempotency-Key: nobody who subscribed to the topic sees it twice."""
        asked = IdempotentRequest(
            idempotency_key, operator, f"POST /webhooks/{webhook_id}/reprocess", await request.body()
        )
        cause = cause_of(request, operator)
        async with runtime.transaction(cause) as tx:
            stored = await _stored(tx, webhook_id)

            async def produce() -> Answer:
                again = _reprocessing(cause, wish.reason, tx.now)
                await follow_again(stored, again, tx=tx, rules=rules, reader=reader)
                return Answer(202, _outcome(stored, again, tx))

            return respond(await answer_once(tx, asked, produce))

    return router


def _reprocessing(cause: Cause, reason: str, now: datetime) -> webhooks.Reprocessing:
    return webhooks.Reprocessing(
        id=new_id(),
        requested_by=cause.actor,
        reason=reason,
        correlation_id=UUID(cause.correlation_id),
        requested_at=now,
    )


def _outcome(stored: webhooks.StoredWebhook, again: webhooks.Reprocessing, tx: Tx) -> dict[str, Any]:
    return {
        "webhook_id": stored.message.webhook_id,
        "reprocessing_id": str(again.id),
        "asks_the_gateway": GATEWAY_EFFECT in tx.enqueued,
        "publishes": tx.published,
    }


async def _stored(tx: Tx, webhook_id: str) -> webhooks.StoredWebhook:
    stored = await webhooks.read_webhook(tx, webhook_id)
    if stored is None:
        raise WebhookNotFound("no webhook with this id was accepted")
    return stored


async def _file(tx: Tx, stored: webhooks.StoredWebhook) -> WebhookFile:
    message = stored.message
    reprocessings = await webhooks.read_reprocessings(tx, message.webhook_id)
    stories = [stored.correlation_id, *(again.correlation_id for again in reprocessings)]
    [payment_id] = await find_payments([message], tx=tx)
    payment = await payments.read_payment(tx, payment_id) if payment_id else None
    publication = await webhooks.read_publication(tx, stored)
    return WebhookFile(
        id=message.webhook_id,
        event_type=message.event_type,
        transaction_id=message.transaction_id,
        reference=message.reference,
        correlation_id=stored.correlation_id,
        received_at=message.received_at,
        headers=stored.proof,
        body=message.body,
        publication=PublicationView.model_validate(publication) if publication else None,
        payment=PaymentView.of(payment) if payment else None,
        caused=await _consequences(tx, payment.id if payment else None, stories),
        reprocessings=[ReprocessingView.model_validate(again) for again in reprocessings],
    )


async def _consequences(tx: Tx, payment_id: UUID | None, stories: list[UUID]) -> Consequences:
    waiting = await webhooks.count_look_ups(tx, stories)
    if payment_id is None:
        return Consequences(look_ups_waiting=waiting, audit=[], published=[])
    named = {str(story) for story in stories}
    entries = [entry for entry in await audit.read_audit_of(tx, payment_id) if entry.correlation_id in named]
    return Consequences(
        look_ups_waiting=waiting,
        audit=[AuditView.model_validate(entry) for entry in entries],
        published=await webhooks.read_consequences(tx, PAYMENTS_EVENTS.name, payment_id, stories),
    )
