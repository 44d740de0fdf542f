"""What a service is made of, said once; the runtime brings it to life."""

from collections.abc import Callable, Mapping, Sequence, Set
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
        """The topics of this service's consumer group, in name order."""
        return _sorted({message.TOPIC for message in self.handlers} | {COMMAND_TOPICS[self.name]})

    @property
    def reads_in_bulk(self) -> tuple[Topic, ...]:
        """The topics of its consumer group for bulk types, in name order."""
        return _sorted({message.TOPIC for message in self.bulk})


def _sorted(topics: Set[Topic]) -> tuple[Topic, ...]:
    return tuple(sorted(topics, key=lambda topic: topic.name))
