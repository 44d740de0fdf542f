"""Writes what a fleet changed: rows, results, commands to send, timers. One place, so that all agree."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from caas_chassis.cause import Cause
from caas_chassis.transaction import Tx
from caas_ota.domain.fleet import Dispatch, Fleet
from caas_ota.domain.origin import Origin
from caas_ota.gateway.messages import VehicleCommand, command_to_send
from caas_ota.store import fleet as store

ACTOR: Final = "ota"
SEND: Final = "send"
# Commands that become ready together travel in one task: a task each would cost as much as the
# activation itself. A crash sends at most this many again, which vehicles do not mind (OTA-1).
COMMANDS_OF_A_TASK: Final = 100


class Sending(BaseModel):
    """A command to send; `attempt` and `patience_s` say how long its answer is waited for (real time)."""

    command: VehicleCommand
    attempt: int
    patience_s: float


class Sendings(BaseModel):
    """What one task sends."""

    sendings: list[Sending]


def origin_of(cause: Cause) -> Origin:
    """What to remember of a message's cause."""
    return Origin(cause.message_id, cause.correlation_id, cause.traceparent)


def cause_of(origin: Origin) -> Cause:
    """The cause of what follows from a remembered origin."""
    return Cause(origin.cause_id, origin.correlation_id, ACTOR, origin.traceparent)


async def write_changes(fleet: Fleet, *, tx: Tx) -> None:
    """Make the fleet's changes part of the transaction."""
    await store.save_fleet(tx, fleet)
    changes = fleet.changes
    for message, origin in changes.events:
        tx.publish(message, cause=cause_of(origin))
    for alert in changes.alerts:
        tx.alert(alert.kind, alert.subject, alert.detail, cause=cause_of(alert.origin))
    for (timer, key), (due_at, origin) in changes.timers.items():
        tx.schedule(timer, key, due_at, cause=cause_of(origin))
    _enqueue_sendings(fleet, tx)


def _enqueue_sendings(fleet: Fleet, tx: Tx) -> None:
    by_delay: defaultdict[timedelta, list[Dispatch]] = defaultdict(list)
    for dispatch in _still_current(fleet):
        by_delay[dispatch.delay].append(dispatch)
    for delay, dispatches in by_delay.items():
        for start in range(0, len(dispatches), COMMANDS_OF_A_TASK):
            _enqueue(fleet, dispatches[start : start + COMMANDS_OF_A_TASK], delay, tx)


def _still_current(fleet: Fleet) -> Iterable[Dispatch]:
    """Without those that were overtaken within this very transaction."""
    current: dict[UUID, Dispatch] = {}
    for dispatch in fleet.changes.dispatches:
        if fleet.commands[dispatch.command.command_id].is_open:
            current[dispatch.command.command_id] = dispatch
    return current.values()


def _enqueue(fleet: Fleet, dispatches: list[Dispatch], delay: timedelta, tx: Tx) -> None:
    sendings = [
        Sending(
            command=command_to_send(dispatch.command, dispatch.activation),
            attempt=dispatch.command.attempt,
            patience_s=fleet.schedule_of(dispatch.command).delay_after(dispatch.command.attempt).total_seconds(),
        )
        for dispatch in dispatches
    ]
    first = dispatches[0]
    tx.enqueue(
        SEND,
        Sendings(sendings=sendings),
        key=str(first.command.command_id),
        delay=delay,
        cause=cause_of(first.activation.origin),
    )
