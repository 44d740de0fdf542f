"""The webhook bridge's door (GW-5): verified, stored and published together with whatever arrives at the same time.

Invariant: a 2xx is sent only after the commit; a refusal changes nothing, is counted, and shows nothing of what came.
"""

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from prometheus_client import Counter
from starlette.types import Receive, Scope, Send

from caas_chassis.cause import Cause
from caas_chassis.errors import Problem
from caas_chassis.group_commit import GroupCommit, Limits, Overloaded
from caas_chassis.runtime import Runtime
from caas_chassis.web import PROBLEM_JSON, CardNumberRefused, Door, objection_to, refusal
from caas_payments.errors import WebhookFault, WebhookRefused, WebhookTooLarge, WebhookTooSlow
from caas_payments.gateway.webhooks import MAX_BODY_BYTES, WebhookReader
from caas_payments.handlers.bridging import Arrival, accept_webhooks

PATH: Final = "/webhooks/gateway"
BODY_WITHIN_S: Final = 10.0
"""A sender that dawdles holds a connection and memory; the gateway sends in one piece."""

_ACCEPTED: Final = b'{"received":true}'

_received = Counter(
    "webhooks_received_total",
    "Webhooks by outcome: stored, repeated, forged, stale, malformed, too_large, too_slow, card_number, overloaded, "
    "unavailable",
    ["outcome"],
)


def webhook_door(runtime: Runtime, reader: WebhookReader, limits: Limits | None = None) -> Door:
    """`POST /webhooks/gateway`: no bearer token, the signature is the caller's proof."""
    return Door(PATH, _Bridge(runtime, reader, limits or Limits()), _DOCUMENTATION)


class _Bridge:
    """An ASGI application for one route."""

    def __init__(self, runtime: Runtime, reader: WebhookReader, limits: Limits) -> None:
        self._clock = runtime.clock
        self._reader = reader
        cause = Cause.of_person("gateway")
        self._group = GroupCommit("webhooks", partial(runtime.transaction, cause), accept_webhooks, limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            body = await _read(headers, receive)
            if body is None:
                return
            is_new = await self._accept(headers, body)
        except Problem as problem:
            _received.labels(_outcome_of(problem)).inc()
            await _refuse(problem, send)
        else:
            _received.labels("stored" if is_new else "repeated").inc()
            await _respond(send, 200, _ACCEPTED, "application/json", {})

    async def _accept(self, headers: Mapping[str, str], body: bytes) -> bool:
        objection = objection_to(body, "\n".join(headers.values()).encode("latin-1"))
        if isinstance(objection, CardNumberRefused):
            raise objection
        if objection is not None:
            raise WebhookRefused(WebhookFault.MALFORMED, objection.detail)
        webhook = self._reader.verify(headers, body, self._clock.now())
        return await self._group.submit(Arrival(webhook, Cause.of_person("gateway")))


async def _read(headers: Mapping[str, str], receive: Receive) -> bytes | None:
    """The body; None when the sender went away. Raises WebhookTooLarge after at most the limit, WebhookTooSlow."""
    announced = headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > MAX_BODY_BYTES:
        raise WebhookTooLarge(f"a webhook has at most {MAX_BODY_BYTES} bytes")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > MAX_BODY_BYTES:
                    raise WebhookTooLarge(f"a webhook has at most {MAX_BODY_BYTES} bytes")
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError as error:
        raise WebhookTooSlow(f"a webhook is sent within {BODY_WITHIN_S:.0f} s") from error


def _outcome_of(problem: Problem) -> str:
    match problem:
        case WebhookRefused():
            return problem.fault.value
        case WebhookTooLarge():
            return "too_large"
        case WebhookTooSlow():
            return "too_slow"
        case Overloaded():
            return "overloaded"
        case CardNumberRefused():
            return "card_number"
        case _:
            return "unavailable"


async def _refuse(problem: Problem, send: Send) -> None:
    answer = refusal(problem)
    # What was not read of a body must not be taken for the next request.
    closing = {"Connection": "close"} if isinstance(problem, WebhookTooLarge | WebhookTooSlow) else {}
    headers = {**answer.headers, **closing}
    await _respond(send, answer.status, json.dumps(answer.body).encode(), PROBLEM_JSON, headers)


async def _respond(send: Send, status: int, body: bytes, media_type: str, headers: Mapping[str, str]) -> None:
    fields = {"Content-Type": media_type, "Content-Length": str(len(body)), **headers}
    encoded = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": description, "schema": {"type": "string"}}


_DOCUMENTATION: Final[Mapping[str, Any]] = {
    "tags": ["webhooks"],
    "summary": "Receive a webhook of the gateway",
    "description": "Verified, stored and published, and only then answered. A repeated webhook is answered alike.",
    "operationId": "receive_webhook",
    "parameters": [
        _header("webhook-id", "the same whenever this webhook is sent again"),
        _header("webhook-timestamp", "seconds since the epoch, at most 5 minutes from now"),
        _header("webhook-signature", "v1,<base64 HMAC-SHA256 of id.timestamp.body>, several separated by spaces"),
    ],
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
    "responses": {
        "200": {"description": "stored and on its way, now or earlier"},
        "400": {"description": "forged, stale or malformed: nothing changed"},
        "408": {"description": "the body did not arrive in time"},
        "413": {"description": f"larger than {MAX_BODY_BYTES} bytes"},
        "503": {"description": "not stored for certain: send it again after Retry-After"},
    },
}
