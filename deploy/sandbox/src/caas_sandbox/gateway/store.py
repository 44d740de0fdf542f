"""Reads and writes the books: transactions, their effects, what is due later, settlement lines.

One statement a method; nothing here commits.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from caas_sandbox.clock import parse_rfc3339, rfc3339
from caas_sandbox.gateway.settlement import LineKind, SettlementLine
from caas_sandbox.gateway.transaction import Status, Transaction


class Timeline(StrEnum):
    """Whether something falls due by the movable business clock or by real time."""

    BUSINESS = "business"
    REAL = "real"


class Task(StrEnum):
    """What happens by itself when its time comes."""

    DECIDE_PENDING = "decide_pending"
    EXPIRE_HOLD = "expire_hold"
    SETTLE_CAPTURE = "settle_capture"
    SETTLE_REFUND = "settle_refund"
    CHARGE_BACK = "charge_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A task for later; `amount_minor` and `reference` are those of the operation that asked for it."""

    timeline: Timeline = Timeline.BUSINESS
    due_at: datetime
    task: Task
    transaction_id: str
    amount_minor: int = 0
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One thing that happened to a transaction, at `at` in business time."""

    operation: str
    amount_minor: int
    at: datetime
    reference: str | None = None
    idempotency_key: str | None = None


class Store:
    """The statements of the books."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def insert_transaction(self, transaction: Transaction) -> None:
        """Adds a new transaction."""
        self._connection.execute(
            "INSERT INTO transactions (id, reference, token, sale, status, amount_minor, currency,"
            " merchant_initiated, action_secret, action_url, captured_minor, refunded_minor, decline_code,"
            " capture_failure, authorized_at, capture_before, created_at) VALUES (:id, :reference, :token, :sale,"
            " :status, :amount_minor, :currency, :merchant_initiated, :action_secret, :action_url, :captured_minor,"
            " :refunded_minor, :decline_code, :capture_failure, :authorized_at, :capture_before, :created_at)",
            {
                **transaction.as_json(),
                "token": transaction.token,
                "sale": int(transaction.sale),
                "merchant_initiated": int(transaction.merchant_initiated),
                "action_secret": transaction.action_secret,
            },
        )

    def update_transaction(self, transaction: Transaction) -> None:
        """Writes everything of a transaction that can change."""
        self._connection.execute(
            "UPDATE transactions SET status = :status, action_secret = :action_secret,"
            " action_url = coalesce(:action_url, action_url), captured_minor = :captured_minor,"
            " refunded_minor = :refunded_minor, decline_code = :decline_code,"
            " capture_failure = :capture_failure, authorized_at = :authorized_at,"
            " capture_before = :capture_before WHERE id = :id",
            {**transaction.as_json(), "action_secret": transaction.action_secret},
        )

    def transaction(self, transaction_id: str) -> Transaction | None:
        """The transaction with that id."""
        row = self._connection.execute("SELECT * FROM transactions WHERE id = ?", (transaction_id,)).fetchone()
        return _transaction(row) if row else None

    def transaction_of_action(self, secret: str) -> Transaction | None:
        """The transaction that the customer confirms, or has confirmed, on that page."""
        row = self._connection.execute("SELECT * FROM transactions WHERE action_secret = ?", (secret,)).fetchone()
        return _transaction(row) if row else None

    def transactions_of(self, reference: str) -> list[Transaction]:
        """All transactions with the merchant's reference, oldest first, at most 100."""
        rows = self._connection.execute(
            "SELECT * FROM transactions WHERE reference = ? ORDER BY seq LIMIT 100", (reference,)
        )
        return [_transaction(row) for row in rows]

    def transactions_after(self, cursor: int, limit: int) -> list[tuple[int, Transaction]]:
        """A page of all transactions, each with its place in the order of creation."""
        rows = self._connection.execute(
            "SELECT * FROM transactions WHERE seq > ? ORDER BY seq LIMIT ?", (cursor, limit)
        )
        return [(row["seq"], _transaction(row)) for row in rows]

    def insert_effect(self, transaction_id: str, effect: Effect) -> None:
        """Writes down what happened."""
        self._connection.execute(
            "INSERT INTO effects (transaction_id, operation, amount_minor, reference, at, idempotency_key)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                transaction_id,
                effect.operation,
                effect.amount_minor,
                effect.reference,
                rfc3339(effect.at),
                effect.idempotency_key,
            ),
        )

    def effects_of(self, transaction_id: str) -> list[dict[str, object]]:
        """Everything that happened to one transaction, in order."""
        rows = self._connection.execute(
            "SELECT operation, amount_minor, reference, at, idempotency_key FROM effects"
            " WHERE transaction_id = ? ORDER BY seq",
            (transaction_id,),
        )
        return [dict(row) for row in rows]

    def count_attempt(self, reference: str) -> int:
        """Counts one more authorization request of a reference; returns how many there were before."""
        row = self._connection.execute(
            "INSERT INTO attempts (reference, made) VALUES (?, 1)"
            " ON CONFLICT (reference) DO UPDATE SET made = made + 1 RETURNING made - 1",
            (reference,),
        ).fetchone()
        return int(row[0])

    def count_decline(self, method_digest: str) -> int:
        """Counts one more payment with a method that fails at first; returns how many there were before."""
        row = self._connection.execute(
            "INSERT INTO declines (method_digest, made) VALUES (?, 1)"
            " ON CONFLICT (method_digest) DO UPDATE SET made = made + 1 RETURNING made - 1",
            (method_digest,),
        ).fetchone()
        return int(row[0])

    def insert_due(self, due: Due) -> None:
        """Puts a task on the list."""
        self._connection.execute(
            "INSERT INTO due (timeline, due_at, task, transaction_id, amount_minor, reference)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                due.timeline,
                rfc3339(due.due_at),
                due.task,
                due.transaction_id,
                due.amount_minor,
                due.reference,
            ),
        )

    def due_until(self, timeline: Timeline, now: datetime, limit: int) -> list[tuple[int, Due]]:
        """The tasks whose time has come, earliest first, each with its key."""
        rows = self._connection.execute(
            "SELECT * FROM due WHERE timeline = ? AND due_at <= ? ORDER BY due_at, seq LIMIT ?",
            (timeline, rfc3339(now), limit),
        )
        return [(row["seq"], _due(row)) for row in rows]

    def delete_due(self, key: int) -> None:
        """Takes a task that was done off the list."""
        self._connection.execute("DELETE FROM due WHERE seq = ?", (key,))

    def insert_lines(self, lines: Sequence[SettlementLine]) -> None:
        """Appends settlement lines; they never change afterwards."""
        self._connection.executemany(
            "INSERT INTO settlement_lines (id, transaction_id, reference, operation_reference, kind,"
            " gross_minor, fee_minor, currency, settled_on) VALUES (:id, :transaction_id, :reference,"
            " :operation_reference, :kind, :gross_minor, :fee_minor, :currency, :settled_on)",
            [line.as_json() for line in lines],
        )

    def lines_after(self, cursor: int, limit: int, settled_from: date) -> list[tuple[int, SettlementLine]]:
        """A page of the settlement lines of a day or later, each with its place in the feed."""
        rows = self._connection.execute(
            "SELECT * FROM settlement_lines WHERE seq > ? AND settled_on >= ? ORDER BY seq LIMIT ?",
            (cursor, settled_from.isoformat(), limit),
        )
        return [(row["seq"], _line(row)) for row in rows]

    def totals(self, currency: str | None) -> dict[str, object]:
        """Sums over all transactions, or those of one currency."""
        row = self._connection.execute(
            "SELECT count(*) AS transactions,"
            " coalesce(sum(amount_minor) FILTER (WHERE status = 'authorized'), 0) AS authorized_open_minor,"
            " coalesce(sum(captured_minor), 0) AS captured_minor,"
            " coalesce(sum(refunded_minor), 0) AS refunded_minor,"
            " count(*) FILTER (WHERE status = 'voided') AS voided"
            " FROM transactions WHERE ?1 IS NULL OR currency = ?1",
            (currency,),
        ).fetchone()
        statuses = self._connection.execute(
            "SELECT status, count(*) FROM transactions WHERE ?1 IS NULL OR currency = ?1 GROUP BY status",
            (currency,),
        )
        return {**dict(row), "by_status": dict(tuple(pair) for pair in statuses)}

    def capture_counts(self, currency: str | None) -> tuple[int, int]:
        """How many captures there are, and the most that any one reference has."""
        row = self._connection.execute(
            "SELECT coalesce(sum(n), 0), coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM effects"
            " JOIN transactions ON transactions.id = effects.transaction_id WHERE operation = 'capture'"
            " AND (?1 IS NULL OR currency = ?1) GROUP BY transactions.reference)",
            (currency,),
        ).fetchone()
        return int(row[0]), int(row[1])


def _transaction(row: sqlite3.Row) -> Transaction:
    return Transaction(
        id=row["id"],
        reference=row["reference"],
        token=row["token"],
        sale=bool(row["sale"]),
        status=Status(row["status"]),
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        merchant_initiated=bool(row["merchant_initiated"]),
        action_secret=row["action_secret"],
        action_url=row["action_url"],
        captured_minor=row["captured_minor"],
        refunded_minor=row["refunded_minor"],
        decline_code=row["decline_code"],
        capture_failure=row["capture_failure"],
        authorized_at=_instant(row["authorized_at"]),
        capture_before=_instant(row["capture_before"]),
        created_at=parse_rfc3339(row["created_at"]),
    )


def _due(row: sqlite3.Row) -> Due:
    return Due(
        timeline=Timeline(row["timeline"]),
        due_at=parse_rfc3339(row["due_at"]),
        task=Task(row["task"]),
        transaction_id=row["transaction_id"],
        amount_minor=row["amount_minor"],
        reference=row["reference"],
    )


def _line(row: sqlite3.Row) -> SettlementLine:
    return SettlementLine(
        id=row["id"],
        transaction_id=row["transaction_id"],
        reference=row["reference"],
        operation_reference=row["operation_reference"],
        kind=LineKind(row["kind"]),
        gross_minor=row["gross_minor"],
        fee_minor=row["fee_minor"],
        currency=row["currency"],
        settled_on=date.fromisoformat(row["settled_on"]),
    )


def _instant(text: str | None) -> datetime | None:
    return parse_rfc3339(text) if text else None
