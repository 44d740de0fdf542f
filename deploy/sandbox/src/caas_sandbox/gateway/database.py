"""The SQLite file that holds the gateway's books, and its one way to write: a transaction.

Everything runs on the event loop's thread without awaiting inside a transaction, so requests are
serial and a request is booked whole or not at all. A commit in WAL mode has reached the operating
system when it returns: it survives the end of the process, though not of the machine.
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS transactions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    reference TEXT NOT NULL,
    token TEXT NOT NULL,
    sale INTEGER NOT NULL CHECK (sale IN (0, 1)),
    status TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    captured_minor INTEGER NOT NULL CHECK (captured_minor BETWEEN 0 AND amount_minor),
    refunded_minor INTEGER NOT NULL CHECK (refunded_minor BETWEEN 0 AND captured_minor),
    decline_code TEXT,
    capture_failure TEXT,
    authorized_at TEXT,
    capture_before TEXT,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS transactions_by_reference ON transactions (reference);

CREATE TABLE IF NOT EXISTS effects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    transaction_id TEXT NOT NULL REFERENCES transactions (id),
    operation TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    reference TEXT,
    at TEXT NOT NULL,
    idempotency_key TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS effects_by_transaction ON effects (transaction_id);
CREATE UNIQUE INDEX IF NOT EXISTS one_capture_a_transaction ON effects (transaction_id)
    WHERE operation = 'capture';

CREATE TABLE IF NOT EXISTS answers (
    idempotency_key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS answers_by_age ON answers (created_at);

CREATE TABLE IF NOT EXISTS attempts (
    reference TEXT PRIMARY KEY,
    made INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS due (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    timeline TEXT NOT NULL CHECK (timeline IN ('business', 'real')),
    due_at TEXT NOT NULL,
    task TEXT NOT NULL,
    transaction_id TEXT NOT NULL REFERENCES transactions (id),
    amount_minor INTEGER NOT NULL,
    reference TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS due_in_order ON due (timeline, due_at, seq);

CREATE TABLE IF NOT EXISTS settlement_lines (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    transaction_id TEXT NOT NULL REFERENCES transactions (id),
    reference TEXT NOT NULL,
    operation_reference TEXT,
    kind TEXT NOT NULL,
    gross_minor INTEGER NOT NULL,
    fee_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    settled_on TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS webhooks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    created_s REAL NOT NULL,
    next_attempt_s REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'given_up'))
) STRICT;
CREATE INDEX IF NOT EXISTS webhooks_to_send ON webhooks (next_attempt_s) WHERE state = 'pending';

CREATE TABLE IF NOT EXISTS faults (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    operation TEXT NOT NULL,
    reference TEXT,
    times INTEGER,
    retry_after_s INTEGER,
    fired INTEGER NOT NULL
) STRICT;
"""


def open_database(state_dir: Path) -> sqlite3.Connection:
    """Opens the books in `state_dir`, making them when there are none."""
    state_dir.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(state_dir / "gateway.sqlite3", timeout=5, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.executescript(_SCHEMA)
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Commits what the block wrote, or none of it when the block raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
