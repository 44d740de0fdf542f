"""Keeps the script of faults and says which one, if any, spoils a request."""

import sqlite3
from dataclasses import replace

from caas_sandbox.gateway.faults import Fault, FaultKind, Operation


class FaultScript:
    """The script in the order of its entries; a firing is durable before the request goes wrong."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        rows = connection.execute("SELECT * FROM faults ORDER BY seq")
        self._faults: dict[int, Fault] = {row["seq"]: _fault(row) for row in rows}

    def add(self, fault: Fault) -> None:
        """Appends an entry."""
        cursor = self._connection.execute(
            "INSERT INTO faults (kind, operation, reference, times, retry_after_s, fired)"
            " VALUES (:kind, :operation, :reference, :times, :retry_after_s, :fired)",
            fault.as_json(),
        )
        assert cursor.lastrowid is not None
        self._faults[cursor.lastrowid] = fault

    def clear(self) -> None:
        """Removes all entries, fired or not."""
        self._connection.execute("DELETE FROM faults")
        self._faults.clear()

    def entries(self) -> list[Fault]:
        """All entries, also those that have fired as often as they may."""
        return list(self._faults.values())

    def take(self, operation: Operation, reference: str | None) -> Fault | None:
        """The first entry that matches, counted as fired; None when the request is left in peace."""
        for key, fault in self._faults.items():
            if fault.matches(operation, reference):
                self._connection.execute("UPDATE faults SET fired = fired + 1 WHERE seq = ?", (key,))
                self._faults[key] = replace(fault, fired=fault.fired + 1)
                return fault
        return None


def _fault(row: sqlite3.Row) -> Fault:
    return Fault(
        kind=FaultKind(row["kind"]),
        operation=Operation(row["operation"]),
        reference=row["reference"],
        times=row["times"],
        retry_after_s=row["retry_after_s"],
        fired=row["fired"],
    )
