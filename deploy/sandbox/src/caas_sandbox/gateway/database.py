"""The tables of the gateway's books that only a payment gateway has."""

SCHEMA = """
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
    merchant_initiated INTEGER NOT NULL CHECK (merchant_initiated IN (0, 1)),
    action_secret TEXT UNIQUE,
    action_url TEXT,
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

CREATE TABLE IF NOT EXISTS attempts (
    reference TEXT PRIMARY KEY,
    made INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS declines (
    method_digest TEXT PRIMARY KEY,
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
"""
