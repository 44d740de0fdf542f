"""Idempotency-Key: the same request asked twice gets the stored answer and has one effect."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from caas_chassis.auth import Principal
from caas_chassis.errors import Problem
from caas_chassis.transaction import Tx

MAX_KEY_LENGTH: Final = 200

CLAIM: Final = """
INSERT INTO chassis.http_answer (principal, route, key, fingerprint) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
SELECT: Final = """
SELECT fingerprint, status, body, headers FROM chassis.http_answer WHERE principal = $1 AND route = $2 AND key = $3
"""
STORE: Final = """
UPDATE chassis.http_answer SET status = $4, body = $5::json, headers = $6::json
WHERE principal = $1 AND route = $2 AND key = $3
"""
DELETE_ANSWERS: Final = "DELETE FROM chassis.http_answer WHERE created_at < now() - interval '90 days'"


class IdempotencyKeyMissing(Problem):
    """A POST that moves money without the header."""

    status = 400
    code = "idempotency_key_missing"
    title = "Idempotency-Key is needed"


class IdempotencyKeyReused(Problem):
    """The same key with another request."""

    status = 422
    code = "idempotency_key_reused"
    title = "This Idempotency-Key was used for another request"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with; JSON."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request as far as it decides whether it is the same: who, where, under which key, with which body."""

    key: str | None
    principal: Principal
    route: str
    body: bytes


async def answer_once(tx: Tx, request: IdempotentRequest, produce: Callable[[], Awaitable[Answer]]) -> Answer:
    """The stored answer of this key, or the one that `produce` gives now, stored in the same transaction.

    A concurrent request with the same key waits for the first one's transaction. Raises
    IdempotencyKeyMissing, and IdempotencyKeyReused when the body is another one.
    """
    if not request.key or len(request.key) > MAX_KEY_LENGTH or not request.key.isprintable():
        raise IdempotencyKeyMissing(f"send an Idempotency-Key header of 1 to {MAX_KEY_LENGTH} printable characters")
    identity = (request.principal.subject, request.route, request.key)
    fingerprint = hashlib.sha256(_canonical(request.body)).digest()
    claimed = await tx.execute(CLAIM, *identity, fingerprint)
    if claimed.endswith(" 0"):
        return await _stored(tx, identity, fingerprint)
    answer = await produce()
    await tx.execute(STORE, *identity, answer.status, json.dumps(answer.body), json.dumps(dict(answer.headers)))
    return answer


async def _stored(tx: Tx, identity: tuple[str, str, str], fingerprint: bytes) -> Answer:
    row = await tx.fetchrow(SELECT, *identity)
    assert row is not None
    if row["fingerprint"] != fingerprint:
        raise IdempotencyKeyReused("use a new key for a new request, or repeat the first one unchanged")
    return Answer(row["status"], json.loads(row["body"]), json.loads(row["headers"]))


def _canonical(body: bytes) -> bytes:
    try:
        return json.dumps(json.loads(body), sort_keys=True).encode()
    except ValueError:
        return body
