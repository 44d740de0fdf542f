"""How messages meet handlers: batches by type that keep every stream's order."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from caas_chassis.cause import Cause
from caas_chassis.errors import Refused
from caas_chassis.transaction import Tx
from caas_contracts import Message


@dataclass(frozen=True, slots=True)
class Received[M: Message]:
    """A message that is to be applied now, and what it will be the cause of."""

    message: M
    cause: Cause


class Handler[M: Message](Protocol):
    """Applies messages of one type in one transaction; no two of a call belong to the same stream."""

    async def __call__(self, received: Sequence[Received[M]], /, *, tx: Tx) -> None: ...


type Handlers = Mapping[type[Message], Handler[Any]]


class BulkHandler[M: Message](Protocol):
    """Applies messages of one type, thousands in one transaction, deduplicating them by a key of its own.

    The chassis keeps no position and no id of such messages: a call may hold copies of one another and of messages
    applied long ago, in any order, and each must count once. It answers, by their index, which messages it refuses
    and why (`Refused`, `NotYet`); all others are applied. What it raises is the fault of one of them, or of all.
    """

    async def __call__(self, messages: Sequence[M], /, *, tx: Tx) -> Mapping[int, Refused]: ...


type BulkHandlers = Mapping[type[Message], BulkHandler[Any]]


def each[M: Message](handler: Callable[..., Awaitable[None]]) -> Handler[M]:
    """A handler for rare messages: `async def verb_noun(message, *, tx)`, called one by one."""

    async def handle_each(received: Sequence[Received[M]], /, *, tx: Tx) -> None:
        outer = tx.cause
        for one in received:
            tx.cause = one.cause
            await handler(one.message, tx=tx)
        tx.cause = outer

    return handle_each


def waves(streams: Sequence[tuple[str, str, str]], types: Sequence[type[Message]]) -> list[list[int]]:
    """Indices grouped for handler calls: each group has one type and at most one message of a stream.

    The groups, in order, keep the order within every stream. `streams` and `types` are parallel.
    """
    depth: dict[tuple[str, str, str], int] = {}
    groups: dict[tuple[int, type[Message]], list[int]] = {}
    for index, (stream, kind) in enumerate(zip(streams, types, strict=True)):
        level = depth.get(stream, 0)
        depth[stream] = level + 1
        groups.setdefault((level, kind), []).append(index)
    return [groups[group] for group in sorted(groups, key=lambda group: group[0])]


async def dispatch(
    handlers: Handlers,
    streams: Sequence[tuple[str, str, str]],
    received: Sequence[Received[Message]],
    *,
    tx: Tx,
) -> None:
    """Give every message to its handler. Messages of types without a handler are not ours and are skipped."""
    for group in waves(streams, [type(one.message) for one in received]):
        handler = handlers.get(type(received[group[0]].message))
        if handler is not None:
            tx.cause = received[group[0]].cause
            await handler([received[index] for index in group], tx=tx)
