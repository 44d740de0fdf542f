"""Stored answers: a request repeated under its idempotency key has no second effect (GW-3)."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from caas_sandbox.clock import BusinessClock, rfc3339
from caas_sandbox.gateway.errors import IdempotencyConflict, KeyExpired, Problem

# Keys are forgotten after a day of business time, as at the well-known gateways.
KEY_LIFETIME = timedelta(hours=24)

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a request is answered with; `replayed` tells that it was answered so before."""

    status: int
    body: dict[str, object]
    media_type: str = JSON
    replayed: bool = False


def problem_answer(problem: Problem) -> Answer:
    """A problem as an answer."""
    return Answer(status=problem.status, body=problem.body(), media_type=PROBLEM_JSON)


class StoredAnswers:
    """The answers of the last day by key; runs inside the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection, clock: BusinessClock) -> None:
        self._connection = connection
        self._clock = clock

    def once(self, key: str, fingerprint: str, run: Callable[[], Answer]) -> Answer:
        """The stored answer of `key`, or that of `run`, which is then stored in the same transaction.

        A problem raised by `run` had no effect and is not stored: repeating the request asks anew.
        Raises IdempotencyConflict when the key belongs to a request with another fingerprint.
        """
        self._forget_before(self._clock.now() - KEY_LIFETIME)
        row = self._connection.execute("SELECT * FROM answers WHERE idempotency_key = ?", (key,)).fetchone()
        if row is None:
            answer = run()
            self._store(key, fingerprint, answer)
            return answer
        if row["fingerprint"] != fingerprint:
            raise IdempotencyConflict("idempotency_conflict", "this Idempotency-Key belongs to another request")
        body = json.loads(row["body"])
        return Answer(status=row["status"], body=body, media_type=row["media_type"], replayed=True)

    def expire(self, key: str) -> None:
        """From now on the key is known to have been used, and what for is not: 409 for whoever sends it again."""
        problem = problem_answer(KeyExpired("idempotency_key_expired", "this Idempotency-Key was used too long ago"))
        self._connection.execute(
            "UPDATE answers SET status = ?, media_type = ?, body = ? WHERE idempotency_key = ?",
            (problem.status, problem.media_type, json.dumps(problem.body), key),
        )

    def _store(self, key: str, fingerprint: str, answer: Answer) -> None:
        self._connection.execute(
            "INSERT INTO answers (idempotency_key, fingerprint, status, media_type, body, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                key,
                fingerprint,
                answer.status,
                answer.media_type,
                json.dumps(answer.body),
                rfc3339(self._clock.now()),
            ),
        )

    def _forget_before(self, instant: datetime) -> None:
        self._connection.execute("DELETE FROM answers WHERE created_at < ?", (rfc3339(instant),))
