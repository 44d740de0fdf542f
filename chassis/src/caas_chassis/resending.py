"""Sending parts of the outbox again, for consumers that have lost them and for operators (promise 4)."""

from datetime import datetime
from typing import Final

from caas_chassis import blocking
from caas_chassis.transaction import Tx
from caas_contracts.streams import ResendStream

INSERT_STREAM: Final = """
INSERT INTO chassis.outbox_resend (topic, key, from_sequence, to_sequence, requested_by)
SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (
    SELECT 1 FROM chassis.outbox_resend WHERE topic = $1 AND key = $2 AND from_sequence <= $3
        AND coalesce(to_sequence, 9223372036854775807) >= coalesce($4, 9223372036854775807))
"""
INSERT_TOPIC: Final = "INSERT INTO chassis.outbox_resend (topic, since, requested_by) VALUES ($1, $2, $3)"


async def record_resend_request(request: ResendStream, service: str, *, tx: Tx) -> None:
    """Note that a consumer misses a part of one of our streams; the relay sends it. Others' requests are ignored."""
    if request.producer == service:
        await tx.execute(
            INSERT_STREAM,
            request.stream_topic,
            request.stream_key,
            request.from_sequence,
            request.to_sequence,
            request.consumer,
        )


async def resend_topic(topic: str, since: datetime, by: str, *, tx: Tx) -> None:
    """Have everything of a topic that was written at or after `since` (database time, UTC) sent again."""
    await tx.execute(INSERT_TOPIC, topic, since, by)


async def unblock_stream(topic: str, key: str, by: str, *, tx: Tx) -> bool:
    """Let a stream that the broker refused go on from the refused message; False when it was not blocked."""
    return await blocking.unblock(tx.connection, (topic, key), whole_topic=False, by=by)
