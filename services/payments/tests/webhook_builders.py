"""Webhooks as the sandbox's gateway makes them, and as others forge them."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
from prometheus_client import REGISTRY
from standardwebhooks import Webhook

from services.payments.tests.web import SECRET


def a_body(reference: str = "another-merchant", kind: str = "transaction.authorized", **data: Any) -> bytes:
    return json.dumps({"type": kind, "data": {"id": "txn_1", "reference": reference} | data}).encode()


def signed(
    body: bytes, *, secret: str = SECRET, webhook_id: str = "msg_1", at: datetime | None = None
) -> dict[str, str]:
    """The headers of a webhook; `at` is when it was signed, now unless said otherwise."""
    moment = at or datetime.now(UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, moment, body.decode(errors="replace")),
        "content-type": "application/json",
    }


async def send(api: httpx.AsyncClient, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return await api.post("/webhooks/gateway", content=body, headers=headers)


def counted(outcome: str) -> float:
    """How many webhooks this process has counted with an outcome."""
    return REGISTRY.get_sample_value("webhooks_received_total", {"outcome": outcome}) or 0.0
