"""The vehicles' durable books: every vehicle, its key, its activations and every command it was sent.

Invariant: a command's effect and its acknowledgement are written in one transaction, so a vehicle
that dies in between neither forgets what it did nor does it again.
"""

import base64
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from caas_sandbox.clock import parse_rfc3339, rfc3339
from caas_sandbox.vehicles.messages import Command
from caas_sandbox.vehicles.schema import SCHEMA
from caas_sandbox.vehicles.vehicle import Activation, Behaviour


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A registered vehicle; `highest_counter` is None before its first command."""

    vehicle_id: str
    behaviour: Behaviour
    delay_ms: int
    highest_counter: int | None
    commands: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What is written about a decided command.

    A lost one leaves only when the command is repeated, one with `release_after` only after that
    business time.
    """

    acknowledgement: bytes
    is_final: bool
    is_lost: bool = False
    release_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unsent:
    """An acknowledgement that may leave now, `times` times."""

    command_number: int
    vehicle_id: str
    activation_id: str
    acknowledgement: bytes
    is_final: bool
    times: int
    behaviour: Behaviour


class VehicleBooks:
    """The books on one SQLite file, used by one thread."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(file, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(SCHEMA)
        self._keys: dict[str, Ed25519PrivateKey] = {}

    def close(self) -> None:
        """Closes the file; the books stay."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything written inside is kept together or not at all."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def register(self, vehicle_id: str, behaviour: Behaviour, delay_ms: int) -> None:
        """Adds the vehicle with a new key, or changes its behaviour and keeps its key."""
        self._database.execute(
            "INSERT INTO vehicles (vehicle_id, key_seed, behaviour, delay_ms) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (vehicle_id) DO UPDATE SET behaviour = excluded.behaviour,"
            " delay_ms = excluded.delay_ms",
            (vehicle_id, Ed25519PrivateKey.generate().private_bytes_raw(), behaviour, delay_ms),
        )

    def vehicle(self, vehicle_id: str) -> Vehicle | None:
        """The vehicle, or None when it was never registered."""
        row = self._database.execute(
            "SELECT behaviour, delay_ms, highest_counter, commands FROM vehicles WHERE vehicle_id = ?",
            (vehicle_id,),
        ).fetchone()
        if row is None:
            return None
        return Vehicle(vehicle_id, Behaviour(row[0]), row[1], row[2], row[3])

    def key(self, vehicle_id: str) -> Ed25519PrivateKey:
        """The vehicle's private key; raises LookupError for an unknown vehicle."""
        if vehicle_id not in self._keys:
            row = self._database.execute("SELECT key_seed FROM vehicles WHERE vehicle_id = ?", (vehicle_id,)).fetchone()
            if row is None:
                raise LookupError(f"no vehicle {vehicle_id!r}")
            self._keys[vehicle_id] = Ed25519PrivateKey.from_private_bytes(row[0])
        return self._keys[vehicle_id]

    def public_key(self, vehicle_id: str) -> str:
        """The raw Ed25519 public key in base64; raises LookupError for an unknown vehicle."""
        return base64.b64encode(self.key(vehicle_id).public_key().public_bytes_raw()).decode()

    def count_command(self, command: Command) -> None:
        """Counts a delivery and remembers the highest counter seen."""
        self._database.execute(
            "UPDATE vehicles SET commands = commands + 1,"
            " highest_counter = max(coalesce(highest_counter, ?), ?) WHERE vehicle_id = ?",
            (command.counter, command.counter, command.vehicle_id),
        )

    def open_activation(self, command: Command) -> Activation:
        """The activation that the command is about; its first command opens the record."""
        self._database.execute(
            "INSERT INTO activations (vehicle_id, activation_id, service_code, configuration, not_after,"
            " first_command_ns) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                command.vehicle_id,
                command.activation_id,
                command.service_code,
                json.dumps(command.configuration),
                rfc3339(command.not_after) if command.not_after else None,
                time.time_ns(),
            ),
        )
        row = self._database.execute(
            "SELECT * FROM activations WHERE vehicle_id = ? AND activation_id = ?",
            (command.vehicle_id, command.activation_id),
        ).fetchone()
        return _activation(row)

    def write_activation(self, activation: Activation) -> None:
        """Writes the activation as the vehicle left it; the vehicle then reports its configuration."""
        self._database.execute(
            "UPDATE activations SET service_code = ?, configuration = ?, applied_at = ?, deactivated_at = ?,"
            " cancelled = ?, refused_activations = ?, refused_deactivations = ?"
            " WHERE vehicle_id = ? AND activation_id = ?",
            (
                activation.service_code,
                json.dumps(activation.configuration),
                activation.applied_at,
                activation.deactivated_at,
                activation.cancelled,
                activation.refused_activations,
                activation.refused_deactivations,
                activation.vehicle_id,
                activation.activation_id,
            ),
        )

    def activations(self, vehicle_id: str, *, active: bool = False) -> list[Activation]:
        """The vehicle's activations, the earliest first; only those in force when `active`."""
        rows = self._database.execute(
            "SELECT * FROM activations WHERE vehicle_id = ?"
            " AND (NOT ? OR (applied_at IS NOT NULL AND deactivated_at IS NULL)) ORDER BY activation_number",
            (vehicle_id, active),
        )
        return [_activation(row) for row in rows]

    def report_due(self, vehicle_id: str) -> None:
        """Marks the vehicle's configuration as to be reported."""
        self._database.execute("UPDATE vehicles SET report_due = 1 WHERE vehicle_id = ?", (vehicle_id,))

    def report_all(self) -> None:
        """Marks every vehicle, for a broker that starts without retained messages."""
        self._database.execute("UPDATE vehicles SET report_due = 1")

    def reports_due(self, limit: int) -> list[str]:
        """Vehicles whose configuration is to be reported."""
        rows = self._database.execute("SELECT vehicle_id FROM vehicles WHERE report_due = 1 LIMIT ?", (limit,))
        return [row[0] for row in rows]

    def reported(self, vehicle_ids: list[str]) -> None:
        """The broker has these vehicles' configurations."""
        self._database.executemany(
            "UPDATE vehicles SET report_due = 0 WHERE vehicle_id = ?", [(one,) for one in vehicle_ids]
        )

    def knows(self, command: Command) -> bool:
        """Whether the vehicle has had a command with this id."""
        return (
            self._database.execute(
                "SELECT 1 FROM commands WHERE vehicle_id = ? AND command_id = ?",
                (command.vehicle_id, command.command_id),
            ).fetchone()
            is not None
        )

    def keep_command(
        self, command: Command, *, topic: str, payload: bytes, state: str, stale: bool, delay_ms: int
    ) -> None:
        """Writes a new command down; it is due `delay_ms` from now."""
        self._database.execute(
            "INSERT INTO commands (vehicle_id, command_id, activation_id, topic, payload, state, stale,"
            " due_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                command.vehicle_id,
                command.command_id,
                command.activation_id,
                topic,
                payload,
                state,
                stale,
                time.time_ns() + delay_ms * 1_000_000,
            ),
        )

    def due_commands(self, limit: int) -> list[sqlite3.Row]:
        """The waiting commands (topic, payload, stale) whose time has come, in order."""
        return self._database.execute(
            "SELECT topic, payload, stale FROM commands WHERE state = 'waiting' AND due_ns <= ?"
            " ORDER BY due_ns, command_number LIMIT ?",
            (time.time_ns(), limit),
        ).fetchall()

    def next_due_s(self) -> float | None:
        """Seconds until the next waiting command is due, or None when none waits."""
        (due_ns,) = self._database.execute("SELECT min(due_ns) FROM commands WHERE state = 'waiting'").fetchone()
        return None if due_ns is None else max(0, due_ns - time.time_ns()) / 1_000_000_000

    def take_withheld(self, vehicle_id: str) -> list[tuple[str, bytes]]:
        """Takes out, in order, what a silent vehicle left unanswered (topic and payload)."""
        rows = self._database.execute(
            "SELECT topic, payload FROM commands WHERE vehicle_id = ? AND state = 'withheld' ORDER BY command_number",
            (vehicle_id,),
        ).fetchall()
        self._database.execute("DELETE FROM commands WHERE vehicle_id = ? AND state = 'withheld'", (vehicle_id,))
        return [(row[0], row[1]) for row in rows]

    def decided(self, command: Command, answer: Answer) -> None:
        """Writes the answer to a command."""
        self._database.execute(
            "UPDATE commands SET state = 'decided', acknowledgement = ?, final = ?, release_after = ?,"
            " to_send = ? WHERE vehicle_id = ? AND command_id = ?",
            (
                answer.acknowledgement,
                answer.is_final,
                rfc3339(answer.release_after) if answer.release_after else None,
                0 if answer.is_lost else 1,
                command.vehicle_id,
                command.command_id,
            ),
        )

    def send_again(self, command: Command) -> None:
        """Lets a stored answer leave once more, unless it is held back or the command is not decided."""
        self._database.execute(
            "UPDATE commands SET to_send = to_send + 1 WHERE vehicle_id = ? AND command_id = ?"
            " AND state = 'decided' AND release_after IS NULL",
            (command.vehicle_id, command.command_id),
        )

    def release_late(self, now: datetime) -> None:
        """Lets the answers leave that were late on purpose and whose business time has passed."""
        self._database.execute("UPDATE commands SET release_after = NULL WHERE release_after < ?", (rfc3339(now),))

    def release_late_of(self, vehicle_id: str) -> None:
        """Lets every late answer of one vehicle leave now."""
        self._database.execute("UPDATE commands SET release_after = NULL WHERE vehicle_id = ?", (vehicle_id,))

    def unsent(self, limit: int) -> list[Unsent]:
        """The acknowledgements that may leave, in the order of their commands."""
        rows = self._database.execute(
            "SELECT command_number, vehicle_id, activation_id, acknowledgement, final, to_send, behaviour"
            " FROM commands JOIN vehicles USING (vehicle_id)"
            " WHERE to_send > 0 AND release_after IS NULL ORDER BY command_number LIMIT ?",
            (limit,),
        )
        return [Unsent(row[0], row[1], row[2], row[3], bool(row[4]), row[5], Behaviour(row[6])) for row in rows]

    def sent(self, acknowledgements: list[Unsent], at_ns: int) -> None:
        """The broker has these; the first final one ends the vehicle's own time for its activation."""
        self._database.executemany(
            "UPDATE commands SET to_send = to_send - ? WHERE command_number = ?",
            [(one.times, one.command_number) for one in acknowledgements],
        )
        self._database.executemany(
            "UPDATE activations SET result_ns = ? WHERE vehicle_id = ? AND activation_id = ? AND result_ns IS NULL",
            [(at_ns, one.vehicle_id, one.activation_id) for one in acknowledgements if one.is_final],
        )

    def totals(self) -> sqlite3.Row:
        """One row: vehicles, activations, applied_total, active_now, cancelled, commands."""
        row: sqlite3.Row = self._database.execute(
            "SELECT (SELECT count(*) FROM vehicles) AS vehicles, count(*) AS activations,"
            " count(applied_at) AS applied_total,"
            " count(applied_at) FILTER (WHERE deactivated_at IS NULL) AS active_now,"
            " count(*) FILTER (WHERE cancelled) AS cancelled,"
            " (SELECT coalesce(sum(commands), 0) FROM vehicles) AS commands FROM activations"
        ).fetchone()
        return row

    def active_by_vehicle(self) -> dict[str, int]:
        """How many activations are in force, for each vehicle that has any."""
        rows = self._database.execute(
            "SELECT vehicle_id, count(*) FROM activations"
            " WHERE applied_at IS NOT NULL AND deactivated_at IS NULL GROUP BY vehicle_id"
        )
        return {row[0]: row[1] for row in rows}

    def activation_rows(self, vehicle_id: str | None = None) -> list[sqlite3.Row]:
        """Every activation, or those of one vehicle, with `vehicle_time_ms` (None before its result)."""
        return self._database.execute(
            "SELECT vehicle_id, activation_id, service_code, applied_at, deactivated_at, cancelled,"
            " (result_ns - first_command_ns) / 1000000 AS vehicle_time_ms"
            " FROM activations WHERE ? IS NULL OR vehicle_id = ? ORDER BY activation_number",
            (vehicle_id, vehicle_id),
        ).fetchall()


def _activation(row: sqlite3.Row) -> Activation:
    return Activation(
        vehicle_id=row["vehicle_id"],
        activation_id=row["activation_id"],
        service_code=row["service_code"],
        configuration=json.loads(row["configuration"]),
        not_after=parse_rfc3339(row["not_after"]) if row["not_after"] else None,
        applied_at=row["applied_at"],
        deactivated_at=row["deactivated_at"],
        cancelled=bool(row["cancelled"]),
        refused_activations=row["refused_activations"],
        refused_deactivations=row["refused_deactivations"],
    )
