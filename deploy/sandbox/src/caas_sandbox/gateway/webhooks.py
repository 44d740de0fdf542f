"""Outgoing webhooks: written with the effect they tell of, signed and sent until a 2xx answer (GW-5).

Each is delivered at least once, under one `webhook-id`; order of arrival is not promised.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import sqlite3
import time
from dataclasses import dataclass
from uuid import uuid4

import httpx

from caas_sandbox.clock import BusinessClock, rfc3339
from caas_sandbox.gateway.request_log import Entry, Happening, RequestLog
from caas_sandbox.gateway.timings import Timing, Timings

CONCURRENCY = 16
ANSWER_TIMEOUT_S = 5.0
POLL_S = 0.02
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
HELD_BACK_S = 3600.0
AFTER_ANSWER_S = 0.2
GIVE_UP_AFTER_S = 3 * 24 * 3600.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One message to send; `created_s` is real time, in seconds since the epoch."""

    id: str
    body: str
    created_s: float
    attempts: int


class OutgoingWebhooks:
    """The durable queue. Enqueuing happens inside the caller's transaction; the rest commits by itself."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        clock: BusinessClock,
        timings: Timings,
        log: RequestLog,
        *,
        enabled: bool,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._enabled = enabled
        self._timings = timings
        self._log = log

    def enqueue(self, kind: str, data: dict[str, object]) -> None:
        """Adds a message of type `kind`; its `timestamp` is business time."""
        if not self._enabled:
            return
        reference = str(data.get("reference", ""))
        timing = self._timings.of(reference, kind)
        if timing is Timing.NEVER:
            self._log.add(Entry(happening=Happening.WEBHOOK_WITHHELD, operation=kind, reference=reference))
            return
        body = json.dumps({"type": kind, "timestamp": rfc3339(self._clock.now()), "data": data})
        now_s = time.time()
        webhook_id = f"msg_{uuid4().hex}"
        pause_s = HELD_BACK_S if timing is Timing.AFTER_ANSWER else 0.0
        self._connection.execute(
            "INSERT INTO webhooks (id, body, created_s, next_attempt_s) VALUES (?, ?, ?, ?)",
            (webhook_id, body, now_s, now_s + pause_s),
        )
        if timing is not None:
            self._timings.enqueued(reference, webhook_id, timing)

    def release(self, reference: str) -> None:
        """Lets go the messages that waited for an answer about this reference."""
        for webhook_id in self._timings.released(reference):
            self._connection.execute(
                "UPDATE webhooks SET next_attempt_s = ? WHERE id = ?", (time.time() + AFTER_ANSWER_S, webhook_id)
            )

    def to_send(self, limit: int) -> list[Webhook]:
        """The messages whose next attempt is due, the longest waiting first."""
        rows = self._connection.execute(
            "SELECT id, body, created_s, attempts FROM webhooks"
            " WHERE state = 'pending' AND next_attempt_s <= ? ORDER BY next_attempt_s, seq LIMIT ?",
            (time.time(), limit),
        )
        return [Webhook(**dict(row)) for row in rows]

    async def mark_delivered(self, webhook: Webhook) -> None:
        """The receiver has it."""
        message = json.loads(webhook.body)
        reference = str(message["data"].get("reference", ""))
        entry = Entry(happening=Happening.WEBHOOK_DELIVERED, operation=message["type"], reference=reference)
        self._log.add(entry)
        await self._timings.delivered(reference, webhook.id)
        self._connection.execute(
            "UPDATE webhooks SET state = 'delivered', attempts = attempts + 1 WHERE id = ?", (webhook.id,)
        )

    def mark_failed(self, webhook: Webhook) -> None:
        """Tries again after a pause that doubles, or gives up when the message is three days old."""
        now_s = time.time()
        state = "given_up" if now_s - webhook.created_s > GIVE_UP_AFTER_S else "pending"
        # The exponent is bounded, since three days make more attempts than a float has doublings.
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(webhook.attempts, 10))
        self._connection.execute(
            "UPDATE webhooks SET state = ?, attempts = attempts + 1, next_attempt_s = ? WHERE id = ?",
            (state, now_s + pause_s, webhook.id),
        )

    def counts(self) -> dict[str, int]:
        """How many messages are in each state."""
        rows = self._connection.execute("SELECT state, count(*) FROM webhooks GROUP BY state")
        return {"pending": 0, "delivered": 0, "given_up": 0} | dict(tuple(pair) for pair in rows)


class WebhookSender:
    """The loop that empties the queue, up to 16 messages at a time."""

    def __init__(self, queue: OutgoingWebhooks, url: str, secret: str) -> None:
        self._queue = queue
        self._url = url
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self._in_flight: set[str] = set()

    async def run(self) -> None:
        """Sends for ever; a receiver that fails is tried again, an error of ours ends the process."""
        limits = httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
        async with (
            httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S, limits=limits) as client,
            asyncio.TaskGroup() as group,
        ):
            while True:
                for webhook in self._next_messages():
                    self._in_flight.add(webhook.id)
                    group.create_task(self._deliver(client, webhook))
                await asyncio.sleep(POLL_S)

    def _next_messages(self) -> list[Webhook]:
        free = CONCURRENCY - len(self._in_flight)
        if free == 0:
            return []
        candidates = self._queue.to_send(CONCURRENCY)
        return [webhook for webhook in candidates if webhook.id not in self._in_flight][:free]

    async def _deliver(self, client: httpx.AsyncClient, webhook: Webhook) -> None:
        try:
            answer = await client.post(self._url, content=webhook.body, headers=self._headers(webhook))
            delivered = answer.is_success
        except httpx.HTTPError as error:
            _log.info("webhook %s was not delivered: %s", webhook.id, type(error).__name__)
            delivered = False
        if delivered:
            await self._queue.mark_delivered(webhook)
        else:
            self._queue.mark_failed(webhook)
        self._in_flight.discard(webhook.id)

    def _headers(self, webhook: Webhook) -> dict[str, str]:
        """Standard Webhooks headers; signed here and not by the library that the receiver verifies with,

        so that the two check each other. The timestamp is real time: receivers refuse stale ones.
        """
        timestamp = str(int(time.time()))
        signed = f"{webhook.id}.{timestamp}.{webhook.body}".encode()
        signature = base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256)).decode()
        return {
            "content-type": "application/json",
            "webhook-id": webhook.id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{signature}",
        }
