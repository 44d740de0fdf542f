"""The book in SQLite: agreements, wishes to replay, and the use that counts, by subscription and month."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from caas_sandbox.database import transaction
from caas_sandbox.usage.agreement import Agreement
from caas_sandbox.usage.reckoning import Tally, Used
from caas_sandbox.usage.replay import Wish

SCHEMA = """
CREATE TABLE IF NOT EXISTS agreement (
    serial INTEGER PRIMARY KEY AUTOINCREMENT, subscription_id TEXT NOT NULL UNIQUE, terms TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS replay (
    serial INTEGER PRIMARY KEY AUTOINCREMENT, month TEXT NOT NULL, wish TEXT NOT NULL, status TEXT NOT NULL,
    counts TEXT NOT NULL DEFAULT '{}', attempts INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS tally (
    subscription_id TEXT NOT NULL, billed_in TEXT NOT NULL, used_in TEXT NOT NULL, source TEXT NOT NULL,
    quantity INTEGER NOT NULL, days INTEGER NOT NULL, events INTEGER NOT NULL,
    PRIMARY KEY (subscription_id, billed_in, used_in, source)
) WITHOUT ROWID;
"""
_PAGE = 1000

type Bill = tuple[str, str, str]
"""(subscription, month in which it is billed, month of the use)."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A wish and how far it is: `wanted`, `done` or `failed`."""

    serial: int
    wish: Wish
    status: str
    counts: Mapping[str, int]
    attempts: int


class Store:
    """Statements on the book."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def put_agreements(self, agreements: Iterable[Agreement]) -> None:
        """New ones, and known ones whose terms are now these."""
        rows = [(agreement.subscription_id, agreement.model_dump_json()) for agreement in agreements]
        statement = (
            "INSERT INTO agreement (subscription_id, terms) VALUES (?, ?)"
            " ON CONFLICT (subscription_id) DO UPDATE SET terms = excluded.terms"
        )
        with transaction(self._connection):
            self._connection.executemany(statement, rows)

    def find(self, subscription_id: str) -> Agreement | None:
        """One agreement."""
        found = self._connection.execute("SELECT terms FROM agreement WHERE subscription_id = ?", (subscription_id,))
        row = found.fetchone()
        return Agreement.model_validate_json(row["terms"]) if row else None

    def number(self) -> int:
        """How many agreements there are."""
        return int(self._connection.execute("SELECT count(*) FROM agreement").fetchone()[0])

    def agreements_after(self, serial: int, limit: int) -> list[tuple[int, Agreement]]:
        """In the order in which they were made."""
        found = self._connection.execute(
            "SELECT serial, terms FROM agreement WHERE serial > ? ORDER BY serial LIMIT ?", (serial, limit)
        )
        return [(row["serial"], Agreement.model_validate_json(row["terms"])) for row in found]

    def agreements(self) -> Iterator[Agreement]:
        """All, a page at a time."""
        serial = 0
        while page := self.agreements_after(serial, _PAGE):
            serial = page[-1][0]
            for _, agreement in page:
                yield agreement

    def used(self, subscription_ids: Sequence[str], month: str) -> dict[str, list[Used]]:
        """What is billed in a month, by subscription, with what was billed of the same use's month before."""
        found = self._connection.execute(
            "SELECT subscription_id, used_in, billed_in = ? AS is_now, quantity, days, events FROM tally"
            " WHERE billed_in <= ? AND subscription_id IN (SELECT value FROM json_each(?))",
            (month, month, json.dumps(subscription_ids)),
        )
        now: dict[tuple[str, str], Tally] = {}
        before: dict[tuple[str, str], Tally] = {}
        for row in found:
            sums, place = now if row["is_now"] else before, (row["subscription_id"], row["used_in"])
            sums[place] = sums.get(place, Tally()).joined(Tally(row["quantity"], row["days"], row["events"]))
        by_subscription: dict[str, list[Used]] = {}
        for (subscription_id, used_in), tally in sorted(now.items(), key=lambda item: item[0]):
            use = Used(used_in, tally, before.get((subscription_id, used_in), Tally()))
            by_subscription.setdefault(subscription_id, []).append(use)
        return by_subscription

    def put_tallies(self, source: str, tallies: Mapping[Bill, Tally]) -> None:
        """What a source of use adds. The same of the same source replaces what it said before."""
        rows = [(*bill, source, tally.quantity, tally.days, tally.events) for bill, tally in tallies.items()]
        with transaction(self._connection):
            self._connection.executemany("INSERT OR REPLACE INTO tally VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def forget_tallies(self, source: str) -> None:
        """Before a source begins anew."""
        with transaction(self._connection):
            self._connection.execute("DELETE FROM tally WHERE source = ?", (source,))

    def insert_replay(self, wish: Wish) -> int:
        """A wish that nobody has begun."""
        with transaction(self._connection):
            row = self._connection.execute(
                "INSERT INTO replay (month, wish, status) VALUES (?, ?, 'wanted') RETURNING serial",
                (wish.month, wish.model_dump_json()),
            ).fetchone()
        return int(row["serial"])

    def replay(self, serial: int) -> Replay | None:
        """One of them."""
        row = self._connection.execute("SELECT * FROM replay WHERE serial = ?", (serial,)).fetchone()
        return _replay(row) if row else None

    def next_wanted(self) -> Replay | None:
        """The oldest that is not done."""
        row = self._connection.execute("SELECT * FROM replay WHERE status = 'wanted' ORDER BY serial").fetchone()
        return _replay(row) if row else None

    def end_replay(self, serial: int, status: str, counts: Mapping[str, int]) -> None:
        """It is done, failed, or (`wanted`) to be tried again."""
        with transaction(self._connection):
            self._connection.execute(
                "UPDATE replay SET status = ?, counts = ?, attempts = attempts + 1 WHERE serial = ?",
                (status, json.dumps(counts), serial),
            )

    def counts(self, month: str) -> Counter[str]:
        """What the replays of a month have sent, by what it was."""
        found = self._connection.execute("SELECT counts FROM replay WHERE month = ? AND status = 'done'", (month,))
        total: Counter[str] = Counter()
        for row in found:
            total.update(json.loads(row["counts"]))
        return total


def _replay(row: sqlite3.Row) -> Replay:
    wish = Wish.model_validate_json(row["wish"])
    return Replay(row["serial"], wish, row["status"], json.loads(row["counts"]), row["attempts"])
