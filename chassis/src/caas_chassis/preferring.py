"""HTTP callers who prefer to wait for an outcome (RFC 7240): bounded, and honest when the time is over (RES-1)."""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Response

from caas_chassis.idempotency import Answer
from caas_chassis.runtime import Runtime
from caas_chassis.transaction import Tx
from caas_chassis.web import respond

MAX_WAIT_S: Final = 30
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,5})\b")


def wait_of(prefer: str | None) -> int:
    """`Prefer: wait=N`, in seconds, at most 30; 0 without it."""
    found = _WAIT.search(prefer or "")
    return min(int(found.group(1)), MAX_WAIT_S) if found else 0


async def answer_when_known(
    runtime: Runtime, accepted: Answer, key: str, look: Callable[[Tx], Awaitable[Answer | None]], wait_s: int
) -> Response:
    """The outcome, in whichever replica it becomes known, or what was accepted when the caller's wait is over.

    `key` is what `tx.notify` announces; `look` gives the outcome, or None while it is not known.
    """

    async def check() -> Answer | None:
        async with runtime.reading() as tx:
            return await look(tx)

    answer = (await runtime.wait(key, check, wait_s) if wait_s else None) or accepted
    applied = {"Preference-Applied": f"wait={wait_s}"} if wait_s else {}
    return respond(Answer(answer.status, answer.body, {**answer.headers, **applied}))
