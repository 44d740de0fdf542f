"""Sending commands, and noticing that a vehicle stays silent (OTA-2)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from caas_chassis.effects import Done
from caas_chassis.transaction import Tx
from caas_ota.domain.answering import notice_silence
from caas_ota.domain.policy import Policy
from caas_ota.gateway.vehicles import Publication, Vehicles
from caas_ota.handlers.writing import Sendings, write_changes
from caas_ota.store.fleet import load_fleet

WATCH: Final = "watch"
# The broker did not take a command: soon enough for a reconnected session, rare enough for a dead one.
RESEND_DELAY: Final = timedelta(seconds=1)


class Watched(BaseModel):
    """A command whose answer to this attempt is waited for."""

    command_id: UUID
    vehicle_id: str
    attempt: int


class Watch(BaseModel):
    """What one task looks after; `was_sent` False when the broker had not taken the commands."""

    watched: list[Watched]
    was_sent: bool


@dataclass(frozen=True, slots=True)
class TimeIsUp:
    """The result of a wait."""


async def send_commands(payload: Sendings, *, vehicles: Vehicles) -> Publication:
    """Hand the commands to the broker. If the process dies after this, they are sent once more, unchanged."""
    return await vehicles.publish([sending.command for sending in payload.sendings])


async def record_sendings(done: Sequence[Done[Sendings, Publication]], /, *, tx: Tx) -> None:
    """Look after the answers: after the retry delay for what was sent, soon for what was not."""
    for one in done:
        groups: defaultdict[tuple[bool, timedelta], list[Watched]] = defaultdict(list)
        for sending in one.payload.sendings:
            command = sending.command
            was_sent = command.command_id in one.result.confirmed
            delay = timedelta(seconds=sending.patience_s) if was_sent else RESEND_DELAY
            watched = Watched(command_id=command.command_id, vehicle_id=command.vehicle_id, attempt=sending.attempt)
            groups[was_sent, delay].append(watched)
        for (was_sent, delay), commands in groups.items():
            tx.enqueue(WATCH, Watch(watched=commands, was_sent=was_sent), key=one.key, delay=delay, cause=one.cause)


async def wait_is_over(_: Watch) -> TimeIsUp:
    """Nothing to call: the task's delay was the wait."""
    return TimeIsUp()


async def follow_up(done: Sequence[Done[Watch, TimeIsUp]], /, *, tx: Tx, policy: Policy) -> None:
    """Send again, or give up on, what is still unanswered."""
    watched = [(one.payload.was_sent, command) for one in done for command in one.payload.watched]
    fleet = await load_fleet(tx, policy, {command.vehicle_id for _, command in watched})
    for was_sent, one in watched:
        command = fleet.commands.get(one.command_id)
        if command is not None:
            notice_silence(fleet, command, one.attempt, was_sent=was_sent)
    await write_changes(fleet, tx=tx)
