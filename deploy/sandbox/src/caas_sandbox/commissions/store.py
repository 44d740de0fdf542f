"""Reads and writes commissions, what was done for them, and what is due next; nothing here commits."""

import json
import sqlite3
from datetime import datetime

from caas_sandbox.clock import parse_rfc3339, rfc3339
from caas_sandbox.commissions.commission import Commission

SCHEMA = """
CREATE TABLE IF NOT EXISTS commissions (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    reference TEXT NOT NULL,
    status TEXT NOT NULL,
    steps_done INTEGER NOT NULL,
    facts TEXT NOT NULL,
    created_at TEXT NOT NULL,
    changed_at TEXT NOT NULL,
    next_due_at TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS commissions_by_reference ON commissions (reference);
CREATE INDEX IF NOT EXISTS commissions_due ON commissions (next_due_at) WHERE next_due_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS effects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    commission_id TEXT NOT NULL REFERENCES commissions (id),
    effect TEXT NOT NULL,
    at TEXT NOT NULL,
    idempotency_key TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS effects_by_commission ON effects (commission_id);
"""


class Store:
    """The statements of the books."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def next_serial(self) -> int:
        """The number that the next commission will have."""
        row = self._connection.execute("SELECT coalesce(max(serial), 0) + 1 FROM commissions").fetchone()
        return int(row[0])

    def insert(self, new: Commission, due_at: datetime | None) -> None:
        """Adds a commission whose first step is due at that business instant."""
        self._connection.execute(
            "INSERT INTO commissions"
            " (serial, id, reference, status, steps_done, facts, created_at, changed_at, next_due_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                new.serial,
                new.id,
                new.reference,
                new.status,
                new.steps_done,
                json.dumps(dict(new.facts)),
                rfc3339(new.created_at),
                rfc3339(new.changed_at),
                rfc3339(due_at) if due_at else None,
            ),
        )

    def update(self, changed: Commission, due_at: datetime | None) -> None:
        """Writes how far a commission is, and when its next step is due."""
        self._connection.execute(
            "UPDATE commissions SET status = ?, steps_done = ?, facts = ?, changed_at = ?, next_due_at = ?"
            " WHERE id = ?",
            (
                changed.status,
                changed.steps_done,
                json.dumps(dict(changed.facts)),
                rfc3339(changed.changed_at),
                rfc3339(due_at) if due_at else None,
                changed.id,
            ),
        )

    def insert_effect(self, commission_id: str, effect: str, at: datetime, key: str | None = None) -> None:
        """Books one thing that was done; `key` is the idempotency key of the request that asked for it."""
        self._connection.execute(
            "INSERT INTO effects (commission_id, effect, at, idempotency_key) VALUES (?, ?, ?, ?)",
            (commission_id, effect, rfc3339(at), key),
        )

    def find(self, commission_id: str) -> Commission | None:
        """The commission with that id."""
        row = self._connection.execute("SELECT * FROM commissions WHERE id = ?", (commission_id,)).fetchone()
        return _commission(row) if row else None

    def of_reference(self, reference: str) -> list[Commission]:
        """All commissions with the merchant's reference, oldest first, at most 100."""
        rows = self._connection.execute(
            "SELECT * FROM commissions WHERE reference = ? ORDER BY serial LIMIT 100", (reference,)
        )
        return [_commission(row) for row in rows]

    def after(self, cursor: int, limit: int) -> list[Commission]:
        """A page of all commissions in the order of their serial numbers."""
        rows = self._connection.execute(
            "SELECT * FROM commissions WHERE serial > ? ORDER BY serial LIMIT ?", (cursor, limit)
        )
        return [_commission(row) for row in rows]

    def has(self, fact: str, value: object, but_not: tuple[str, ...]) -> bool:
        """Whether a commission in a status other than these has that fact."""
        marks = ", ".join("?" * len(but_not))
        row = self._connection.execute(
            f"SELECT 1 FROM commissions WHERE facts ->> ? = ? AND status NOT IN ({marks}) LIMIT 1",  # noqa: S608
            (f"$.{fact}", value, *but_not),
        ).fetchone()
        return row is not None

    def due_until(self, instant: datetime, limit: int) -> list[tuple[datetime, Commission]]:
        """Commissions whose next step is due, the longest waiting first, with the instant it was due."""
        rows = self._connection.execute(
            "SELECT * FROM commissions WHERE next_due_at <= ? ORDER BY next_due_at, serial LIMIT ?",
            (rfc3339(instant), limit),
        )
        return [(parse_rfc3339(row["next_due_at"]), _commission(row)) for row in rows]

    def effects_of(self, commission_id: str) -> list[dict[str, object]]:
        """Everything that was done for a commission, in order."""
        rows = self._connection.execute(
            "SELECT effect, at, idempotency_key FROM effects WHERE commission_id = ? ORDER BY seq", (commission_id,)
        )
        return [dict(row) for row in rows]

    def totals(self) -> dict[str, object]:
        """How many commissions there are, in each status, and at most of one reference (doubles)."""
        by_status = self._connection.execute("SELECT status, count(*) FROM commissions GROUP BY status")
        counted = {row[0]: row[1] for row in by_status}
        most = self._connection.execute(
            "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM commissions GROUP BY reference)"
        ).fetchone()
        return {"total": sum(counted.values()), "by_status": counted, "by_reference_max": most[0]}


def _commission(row: sqlite3.Row) -> Commission:
    return Commission(
        id=row["id"],
        serial=row["serial"],
        reference=row["reference"],
        status=row["status"],
        steps_done=row["steps_done"],
        facts=json.loads(row["facts"]),
        created_at=parse_rfc3339(row["created_at"]),
        changed_at=parse_rfc3339(row["changed_at"]),
    )
