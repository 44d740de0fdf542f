"""Verified webhooks of the gateway by their webhook-id (GW-5), and what became of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_contracts.gateway import GatewayWebhookReceived
from caas_payments.domain.webhook import VerifiedWebhook

INSERT: Final = """
INSERT INTO webhooks (id, event_type, transaction_id, reference, body, proof, correlation_id, received_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::json[], $7::uuid[],
    $8::timestamptz[]) AS n(id) ORDER BY n.id
ON CONFLICT (id) DO NOTHING RETURNING id
"""
"""In the order of their ids, so that two replicas that get the same webhooks wait for each other in one direction."""

LIST: Final = """
SELECT id, event_type, transaction_id, reference, correlation_id, received_at FROM webhooks
WHERE ($1::text IS NULL OR transaction_id = $1) AND ($2::text IS NULL OR event_type = $2)
    AND ($3::text IS NULL OR reference = $3) AND ($4::timestamptz IS NULL OR received_at >= $4)
    AND ($5::text IS NULL OR (received_at, id) < (SELECT received_at, id FROM webhooks WHERE id = $5))
ORDER BY received_at DESC, id DESC LIMIT $6
"""

PLAN_FOR_THESE_FILTERS: Final = "SET LOCAL plan_cache_mode = force_custom_plan"

READ: Final = """
SELECT id, event_type, transaction_id, reference, correlation_id, received_at, body, proof FROM webhooks WHERE id = $1
"""

READ_PUBLICATION: Final = """
SELECT o.id, o.position, o.sequence, o.created_at, (o.horizon, o.position) <= (c.horizon, c.position) AS sent,
    coalesce(i.sequence >= o.sequence, false) AS handled
FROM chassis.outbox o
CROSS JOIN chassis.relay_cursor c
LEFT JOIN chassis.inbox_position i ON i.topic = o.aggregatetype AND i.key = o.aggregateid AND i.producer = $4
WHERE o.aggregatetype = $1 AND o.aggregateid = $2 AND o.correlationid = $3 AND c.shard = 0
ORDER BY o.position LIMIT 1
"""

READ_CONSEQUENCES: Final = """
SELECT type FROM chassis.outbox
WHERE aggregatetype = $1 AND aggregateid = $2 AND correlationid = ANY($3::text[]) ORDER BY position LIMIT 100
"""

COUNT_LOOK_UPS: Final = "SELECT count(*) FROM chassis.task WHERE correlationid = ANY($1::text[])"

INSERT_REPROCESSING: Final = """
INSERT INTO webhook_reprocessings (id, webhook_id, requested_by, reason, correlation_id, requested_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""

READ_REPROCESSINGS: Final = """
SELECT id, requested_by, reason, correlation_id, requested_at FROM webhook_reprocessings
WHERE webhook_id = $1 ORDER BY requested_at, id LIMIT 100
"""


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A webhook to be stored; `correlation_id` names the story that begins with it."""

    webhook: VerifiedWebhook
    correlation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which webhooks to list; None is any. `before` is the id of the last one that was listed."""

    transaction_id: str | None = None
    event_type: str | None = None
    reference: str | None = None
    since: datetime | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookLine:
    """A stored webhook without its body; `received_at` is business time."""

    id: str
    event_type: str
    transaction_id: str
    reference: str
    correlation_id: UUID
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWebhook:
    """A stored webhook: the message as it was published, and the headers that proved it."""

    message: GatewayWebhookReceived
    proof: dict[str, str]
    correlation_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Where a webhook stands in our outbox: sent by the relay, handled by our own consumer."""

    message_id: UUID
    position: int
    sequence: int
    written_at: datetime
    sent: bool
    handled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reprocessing:
    """An operator had a webhook followed again."""

    id: UUID
    requested_by: str
    reason: str
    correlation_id: UUID
    requested_at: datetime


async def insert_webhooks(tx: Tx, new: Sequence[NewWebhook]) -> set[str]:
    """Stores webhooks, all with different ids, and returns the ids that were not stored before."""
    messages = [one.webhook.message for one in new]
    rows = await tx.fetch(
        INSERT,
        [message.webhook_id for message in messages],
        [message.event_type for message in messages],
        [message.transaction_id for message in messages],
        [message.reference for message in messages],
        [message.body for message in messages],
        [json.dumps(dict(one.webhook.proof)) for one in new],
        [one.correlation_id for one in new],
        [message.received_at for message in messages],
    )
    return {row["id"] for row in rows}


async def list_webhooks(tx: Tx, wanted: Filter, limit: int) -> list[WebhookLine]:
    """The newest first, at most `limit`."""
    await tx.execute(PLAN_FOR_THESE_FILTERS)
    rows = await tx.fetch(
        LIST, wanted.transaction_id, wanted.event_type, wanted.reference, wanted.since, wanted.before, limit
    )
    return [WebhookLine(**row) for row in rows]


async def read_webhook(tx: Tx, webhook_id: str) -> StoredWebhook | None:
    """A stored webhook, or None."""
    row = await tx.fetchrow(READ, webhook_id)
    return _stored(row) if row else None


async def read_publication(tx: Tx, webhook: StoredWebhook) -> Publication | None:
    """Its row of the outbox; None when that is older than what the outbox keeps."""
    message = webhook.message
    row = await tx.fetchrow(
        READ_PUBLICATION, message.TOPIC.name, message.key, str(webhook.correlation_id), message.TOPIC.producers[0]
    )
    if row is None:
        return None
    return Publication(
        message_id=row["id"],
        position=row["position"],
        sequence=row["sequence"],
        written_at=row["created_at"],
        sent=row["sent"],
        handled=row["handled"],
    )


async def read_consequences(tx: Tx, topic: str, payment_id: UUID, stories: Sequence[UUID]) -> list[str]:
    """The types of what was published on a topic about a payment in these stories, in order, at most 100."""
    rows = await tx.fetch(READ_CONSEQUENCES, topic, str(payment_id), [str(story) for story in stories])
    return [row["type"] for row in rows]


async def count_look_ups(tx: Tx, stories: Sequence[UUID]) -> int:
    """How many questions to the gateway still wait in these stories."""
    return int(str(await tx.fetchval(COUNT_LOOK_UPS, [str(story) for story in stories])))


async def insert_reprocessing(tx: Tx, webhook_id: str, reprocessing: Reprocessing) -> None:
    """Writes down that, why and by whom a webhook was followed again."""
    await tx.execute(
        INSERT_REPROCESSING,
        reprocessing.id,
        webhook_id,
        reprocessing.requested_by,
        reprocessing.reason,
        reprocessing.correlation_id,
        reprocessing.requested_at,
    )


async def read_reprocessings(tx: Tx, webhook_id: str) -> list[Reprocessing]:
    """Oldest first, at most 100."""
    return [Reprocessing(**row) for row in await tx.fetch(READ_REPROCESSINGS, webhook_id)]


def _stored(row: Record) -> StoredWebhook:
    message = GatewayWebhookReceived(
        webhook_id=row["id"],
        event_type=row["event_type"],
        transaction_id=row["transaction_id"],
        reference=row["reference"],
        body=row["body"],
        received_at=row["received_at"],
    )
    return StoredWebhook(message=message, proof=json.loads(row["proof"]), correlation_id=row["correlation_id"])
