"""When the webhook of an operation is sent: of itself, before the operation's answer, after it, or never.

Scripted by reference and webhook type, kept in memory only.
"""

import asyncio
from collections import defaultdict
from enum import StrEnum

LONGEST_WAIT_S = 5.0
"""A receiver that is away holds no answer back for longer."""


class Timing(StrEnum):
    """Beside the answer of the request that caused it."""

    BEFORE_ANSWER = "before_answer"
    AFTER_ANSWER = "after_answer"
    NEVER = "never"


class Timings:
    """What was scripted, and which webhooks of a reference wait for its answer, or its answer for them."""

    def __init__(self) -> None:
        self._script: dict[tuple[str, str], Timing] = {}
        self._awaited: defaultdict[str, set[str]] = defaultdict(set)
        self._held: defaultdict[str, set[str]] = defaultdict(set)
        self._delivered = asyncio.Condition()

    def script(self, reference: str, kind: str, timing: Timing) -> None:
        """From now on webhooks of this type and reference come so."""
        self._script[reference, kind] = timing

    def of(self, reference: str, kind: str) -> Timing | None:
        """What was scripted; None sends it at once and lets the answer go."""
        return self._script.get((reference, kind))

    def enqueued(self, reference: str, webhook_id: str, timing: Timing) -> None:
        """A webhook with this timing waits to be sent."""
        waiting = self._awaited if timing is Timing.BEFORE_ANSWER else self._held
        waiting[reference].add(webhook_id)

    async def delivered(self, reference: str, webhook_id: str) -> None:
        """Its receiver has it: an answer may wait for that."""
        if reference in self._awaited:
            self._awaited[reference].discard(webhook_id)
            async with self._delivered:
                self._delivered.notify_all()

    async def until_delivered(self, reference: str) -> None:
        """Returns when no webhook has to come before the answer any more, at the latest after five seconds."""
        if not self._awaited.get(reference):
            return
        try:
            async with asyncio.timeout(LONGEST_WAIT_S), self._delivered:
                await self._delivered.wait_for(lambda: not self._awaited[reference])
        except TimeoutError:
            self._awaited.pop(reference)

    def released(self, reference: str) -> set[str]:
        """The webhooks that had to wait for the answer that is over now."""
        return self._held.pop(reference, set())
