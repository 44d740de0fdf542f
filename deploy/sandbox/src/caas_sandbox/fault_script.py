"""Keeps the script of faults and says which one, if any, strikes."""

import sqlite3
from collections.abc import Set as AbstractSet
from dataclasses import replace

from caas_sandbox.clock import BusinessClock, parse_rfc3339
from caas_sandbox.faults import OF_REQUESTS, Fault, FaultKind

SCHEMA = """
CREATE TABLE IF NOT EXISTS fault_script (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    operation TEXT NOT NULL,
    reference TEXT,
    times INTEGER,
    retry_after_s INTEGER,
    until TEXT,
    reason TEXT,
    days INTEGER,
    hold_s REAL,
    fired INTEGER NOT NULL
) STRICT;
"""


class FaultScript:
    """The script in the order of its entries; a firing is durable before anything goes wrong."""

    def __init__(self, connection: sqlite3.Connection, clock: BusinessClock) -> None:
        self._connection = connection
        self._clock = clock
        rows = connection.execute("SELECT * FROM fault_script ORDER BY seq")
        self._faults: dict[int, Fault] = {row["seq"]: _fault(row) for row in rows}

    def add(self, fault: Fault) -> None:
        """Appends an entry."""
        cursor = self._connection.execute(
            "INSERT INTO fault_script"
            " (kind, operation, reference, times, retry_after_s, until, reason, days, hold_s, fired)"
            " VALUES (:kind, :operation, :reference, :times, :retry_after_s, :until, :reason, :days, :hold_s, :fired)",
            fault.as_json(),
        )
        assert cursor.lastrowid is not None
        self._faults[cursor.lastrowid] = fault

    def clear(self) -> None:
        """Removes all entries, fired or not."""
        self._connection.execute("DELETE FROM fault_script")
        self._faults.clear()

    def entries(self) -> list[Fault]:
        """All entries, also those that have fired as often as they may."""
        return list(self._faults.values())

    def take(self, operation: str, reference: str | None, among: AbstractSet[FaultKind] = OF_REQUESTS) -> Fault | None:
        """The first entry of these kinds that matches, counted as fired; None when nothing shall go wrong."""
        now = self._clock.now()
        for key, fault in self._faults.items():
            if fault.kind in among and fault.matches(operation, reference, now):
                self._connection.execute("UPDATE fault_script SET fired = fired + 1 WHERE seq = ?", (key,))
                self._faults[key] = replace(fault, fired=fault.fired + 1)
                return fault
        return None


def _fault(row: sqlite3.Row) -> Fault:
    stored = {name: row[name] for name in row.keys() if name != "seq"}  # noqa: SIM118
    until = parse_rfc3339(row["until"]) if row["until"] else None
    return Fault(**{**stored, "kind": FaultKind(row["kind"]), "until": until})
