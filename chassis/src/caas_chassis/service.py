"""What a service is made of, said once; the runtime brings it to life."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from caas_chassis.effects import Effect
from caas_chassis.handling import BulkHandlers, Handlers
from caas_chassis.loops import Loop
from caas_chassis.processing import OpenTransaction
from caas_chassis.timers import TimerHandler
from caas_contracts.streams import COMMAND_TOPICS
from caas_contracts.topics import Topic


@dataclass(frozen=True, slots=True)
class Service:
    """`migrations` is the import name of the package with the service's SQL files.

    `append_only` names tables in which the serving role may only insert; their triggers refuse it to everybody.
    The topics that are read follow from the handlers; the service's own command topic is always among
    them, because consumers ask there for lost messages. Topics of `bulk` types are read by a group of their own, in
    large batches, and hold no types of `handlers`. `details` are said beside readiness and decide nothing.
    """

    name: str
    migrations: str
    handlers: Handlers
    effects: Sequence[Effect[Any, Any]] = ()
    timers: Mapping[str, TimerHandler] = field(default_factory=dict)
    loops: Sequence[Callable[[OpenTransaction], Loop]] = ()
    append_only: Sequence[str] = ()
    details: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    bulk: BulkHandlers = field(default_factory=dict)

    @property
    def reads(self) -> tuple[Topic, ...]:
        """All topics that this service reads, in name order."""
        topics = {message.TOPIC for message in (*self.handlers, *self.bulk)} | {COMMAND_TOPICS[self.name]}
        return tuple(sorted(topics, key=lambda topic: topic.name))

    @property
    def reads_in_bulk(self) -> tuple[Topic, ...]:
        """Those among them that are read by the group for bulk types, in name order."""
        bulk = {message.TOPIC for message in self.bulk}
        return tuple(topic for topic in self.reads if topic in bulk)
