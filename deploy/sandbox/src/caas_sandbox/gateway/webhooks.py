"""The gateway's webhooks, which can be scripted to come before the answer of their operation, after it, or never."""

import json
import sqlite3
import time
from typing import override

from caas_sandbox.clock import BusinessClock
from caas_sandbox.gateway.request_log import Entry, Happening, RequestLog
from caas_sandbox.gateway.timings import Timing, Timings
from caas_sandbox.webhooks import OutgoingWebhooks, Webhook

HELD_BACK_S = 3600.0
AFTER_ANSWER_S = 0.2


class GatewayWebhooks(OutgoingWebhooks):
    """The durable queue with the timings of each message, and a log of what was told."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        clock: BusinessClock,
        timings: Timings,
        log: RequestLog,
        *,
        enabled: bool,
    ) -> None:
        super().__init__(connection, clock, enabled=enabled)
        self._timings = timings
        self._log = log

    @override
    def enqueue(self, kind: str, data: dict[str, object], *, hold_s: float = 0.0, repeats: int = 0) -> str | None:
        reference = str(data.get("reference", ""))
        timing = self._timings.of(reference, kind)
        if timing is Timing.NEVER:
            self._log.add(Entry(happening=Happening.WEBHOOK_WITHHELD, operation=kind, reference=reference))
            return None
        pause_s = HELD_BACK_S if timing is Timing.AFTER_ANSWER else hold_s
        webhook_id = super().enqueue(kind, data, hold_s=pause_s, repeats=repeats)
        if webhook_id is not None and timing is not None:
            self._timings.enqueued(reference, webhook_id, timing)
        return webhook_id

    def release(self, reference: str) -> None:
        """Lets go the messages that waited for an answer about this reference."""
        for webhook_id in self._timings.released(reference):
            self._connection.execute(
                "UPDATE webhooks SET next_attempt_s = ? WHERE id = ?", (time.time() + AFTER_ANSWER_S, webhook_id)
            )

    @override
    async def mark_delivered(self, webhook: Webhook) -> None:
        message = json.loads(webhook.body)
        reference = str(message["data"].get("reference", ""))
        entry = Entry(happening=Happening.WEBHOOK_DELIVERED, operation=message["type"], reference=reference)
        self._log.add(entry)
        await self._timings.delivered(reference, webhook.id)
        await super().mark_delivered(webhook)
