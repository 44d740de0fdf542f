"""Decides, without touching anything, what becomes of each record of a batch.

For a numbered message: at or below the stream's position it is a duplicate; the next one is applied; beyond
it there is a gap, the message is parked and the missing part asked for again. Behind a parked message all
later ones of its stream wait, others do not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from caas_chassis.records import Decoded, Stream


class ParkReason(StrEnum):
    """Why a message is parked."""

    INVALID = "invalid"
    REFUSED = "refused"
    FAILED = "failed"
    GAP = "gap"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Parking:
    """A record to park. `retry_s` set means that it will be tried again by itself after so many seconds."""

    decoded: Decoded
    reason: ParkReason
    detail: str
    retry_s: float | None = None


@dataclass(slots=True)
class StreamState:
    """What is stored of a stream: the last applied number, and the open parked numbers beyond it."""

    position: int = 0
    parked: set[int] = field(default_factory=set)

    @property
    def blocked(self) -> bool:
        """The next message is here but parked."""
        return self.position + 1 in self.parked


@dataclass(slots=True)
class Plan:
    """The fate of a batch. `before` and `positions` are the positions it was planned on and those it ends at."""

    apply: list[Decoded] = field(default_factory=list)
    park: list[Parking] = field(default_factory=list)
    before: dict[Stream, int] = field(default_factory=dict)
    positions: dict[Stream, int] = field(default_factory=dict)
    missing: dict[Stream, tuple[int, int]] = field(default_factory=dict)
    drain: set[Stream] = field(default_factory=set)
    unnumbered: list[Decoded] = field(default_factory=list)
    duplicates: int = 0

    @property
    def held(self) -> dict[Stream, int]:
        """The positions of streams that are only parked in: they must stay where they are until that is done."""
        parked = {parking.decoded.stream for parking in self.park}
        return {stream: at for stream, at in self.before.items() if stream in parked and stream not in self.positions}


def plan_batch(
    batch: Sequence[Decoded], states: Mapping[Stream, StreamState], seen: Iterable[tuple[str, str]] = ()
) -> Plan:
    """`states` holds every stream of the batch as stored; `seen` the (source, id) of known unnumbered messages.

    `states` is advanced in place.
    """
    plan = Plan()
    known = set(seen)
    for decoded in batch:
        stream = decoded.stream
        if stream is not None:
            _plan_numbered(decoded, stream, states[stream], plan)
        elif decoded.envelope is None or decoded.problem is not None:
            plan.park.append(Parking(decoded, ParkReason.INVALID, decoded.problem or "no envelope"))
        elif (decoded.envelope.source, decoded.envelope.id) in known:
            plan.duplicates += 1
        elif decoded.message is not None:
            known.add((decoded.envelope.source, decoded.envelope.id))
            plan.unnumbered.append(decoded)
            plan.apply.append(decoded)
    return plan


def _plan_numbered(decoded: Decoded, stream: Stream, state: StreamState, plan: Plan) -> None:
    plan.before.setdefault(stream, state.position)
    sequence = decoded.sequence
    if sequence <= state.position or sequence in state.parked:
        plan.duplicates += 1
    elif state.blocked:
        _park(decoded, ParkReason.WAITING, f"waits for number {state.position + 1} of its stream", state, plan)
    elif sequence > state.position + 1:
        _park(decoded, ParkReason.GAP, f"number {state.position + 1} of its stream has not arrived", state, plan)
        plan.missing[stream] = (state.position + 1, min(state.parked) - 1)
    else:
        _apply_next(decoded, stream, state, plan)


def _park(decoded: Decoded, reason: ParkReason, detail: str, state: StreamState, plan: Plan) -> None:
    state.parked.add(decoded.sequence)
    plan.park.append(Parking(decoded, reason, detail))


def _apply_next(decoded: Decoded, stream: Stream, state: StreamState, plan: Plan) -> None:
    state.position += 1
    plan.positions[stream] = state.position
    plan.missing.pop(stream, None)
    if decoded.problem is not None:
        plan.park.append(Parking(decoded, ParkReason.INVALID, decoded.problem))
    elif decoded.message is not None:
        plan.apply.append(decoded)
    if state.blocked:
        plan.drain.add(stream)
