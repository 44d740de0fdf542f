"""Group commit: what arrives together is written in one transaction, and each is answered after that commit.

While one commit is under way the next group gathers, so groups grow with the load and nobody waits for a timer.
Invariant: an outcome is given only after the commit that holds it; memory is bounded by `Limits.waiting`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from caas_chassis import metrics
from caas_chassis.database import TRANSIENT
from caas_chassis.errors import Problem
from caas_chassis.transaction import Tx

_log = structlog.get_logger(__name__)


class Overloaded(Problem):
    """More is waiting than can be kept: nothing was done."""

    status = 503
    code = "overloaded"
    title = "The service has too much to do"
    retry_after_s = 1


class NotCommitted(Problem):
    """The database did not confirm in time. It may have been written all the same: repeat it unchanged."""

    status = 503
    code = "not_committed"
    title = "The service cannot answer now"
    retry_after_s = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """`together` is the largest group, `waiting` how many may wait for theirs, `deadline_s` how long each does.

    500 is where larger transactions stop being faster; 2,000 bodies of 64 KiB are the 128 MB that they may take at
    worst; 5 s is the shortest time after which senders of webhooks give up waiting.
    """

    together: int = 500
    waiting: int = 2_000
    deadline_s: float = 5.0


class Write[Item, Outcome](Protocol):
    """Writes items and returns the outcome of each. Must be safe to repeat: a lost COMMIT answer is not known."""

    def __call__(self, items: Sequence[Item], /, *, tx: Tx) -> Awaitable[Sequence[Outcome]]: ...


@dataclass(slots=True, eq=False)
class _Waiter[Item, Outcome]:
    item: Item
    outcome: asyncio.Future[Outcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class GroupCommit[Item, Outcome]:
    """Gathers items of concurrent callers; `open_transaction` opens the transaction of one group."""

    def __init__(
        self,
        name: str,
        open_transaction: Callable[[], AbstractAsyncContextManager[Tx]],
        write: Write[Item, Outcome],
        limits: Limits = Limits(),
    ) -> None:
        self._name = name
        self._open_transaction = open_transaction
        self._write = write
        self._limits = limits
        self._waiting: deque[_Waiter[Item, Outcome]] = deque()
        self._committing: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Outcome:
        """The outcome of the item, committed. Raises Overloaded, NotCommitted, or what `write` raises for it.

        A caller that is cancelled leaves; its item may be written or not.
        """
        if len(self._waiting) >= self._limits.waiting:
            raise Overloaded("repeat the request unchanged after a pause")
        waiter = _Waiter[Item, Outcome](item)
        self._waiting.append(waiter)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_groups(), name=f"group-commit-{self._name}")
        try:
            async with asyncio.timeout(self._limits.deadline_s):
                return await waiter.outcome
        except TRANSIENT as error:
            self._leave(waiter)
            raise NotCommitted("the database did not confirm it; repeat the request unchanged") from error
        except asyncio.CancelledError:
            self._leave(waiter)
            raise

    def _leave(self, waiter: _Waiter[Item, Outcome]) -> None:
        """Nobody takes up room who has stopped waiting: those who come next would be turned away for them."""
        with suppress(ValueError):  # Its group has begun: it is in the queue no more.
            self._waiting.remove(waiter)

    async def _commit_groups(self) -> None:
        try:
            while self._waiting:
                number = min(len(self._waiting), self._limits.together)
                await self._commit([self._waiting.popleft() for _ in range(number)])
        finally:
            self._committing = None

    async def _commit(self, group: Sequence[_Waiter[Item, Outcome]]) -> None:
        """Together, or one by one when something in the group breaks it: each gets what is its own."""
        present = [waiter for waiter in group if not waiter.outcome.done()]
        if not present:
            return
        try:
            outcomes = await self._write_together([waiter.item for waiter in present])
        except TRANSIENT as error:
            _log.warning("group_not_committed", group=self._name, size=len(present), error=type(error).__name__)
            _refuse(present, error)
        except Exception as error:
            _log.exception("group_broken", group=self._name, size=len(present))
            if len(present) == 1:
                _refuse(present, error)
                return
            for waiter in present:
                await self._commit([waiter])
        else:
            metrics.observe_group(self._name, len(present))
            for waiter, outcome in zip(present, outcomes, strict=True):
                if not waiter.outcome.done():
                    waiter.outcome.set_result(outcome)

    async def _write_together(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Bounded as its waiters are: a database that hangs must not hold those who come after it."""
        async with asyncio.timeout(self._limits.deadline_s), self._open_transaction() as tx:
            return await self._write(items, tx=tx)


def _refuse[Item, Outcome](waiters: Sequence[_Waiter[Item, Outcome]], error: Exception) -> None:
    for waiter in waiters:
        if not waiter.outcome.done():
            waiter.outcome.set_exception(error)
