"""The tables of the vehicles' books, created when they are missing."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS vehicles (
    vehicle_id TEXT PRIMARY KEY,
    key_seed BLOB NOT NULL,
    behaviour TEXT NOT NULL,
    delay_ms INTEGER NOT NULL CHECK (delay_ms >= 0),
    highest_counter INTEGER,
    commands INTEGER NOT NULL DEFAULT 0,
    report_due INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS vehicles_report_due ON vehicles (vehicle_id) WHERE report_due = 1;
CREATE TABLE IF NOT EXISTS activations (
    activation_number INTEGER PRIMARY KEY,
    vehicle_id TEXT NOT NULL REFERENCES vehicles,
    activation_id TEXT NOT NULL,
    service_code TEXT NOT NULL,
    configuration TEXT NOT NULL,
    not_after TEXT,
    applied_at TEXT,
    deactivated_at TEXT,
    cancelled INTEGER NOT NULL DEFAULT 0,
    refused_activations INTEGER NOT NULL DEFAULT 0,
    refused_deactivations INTEGER NOT NULL DEFAULT 0,
    first_command_ns INTEGER NOT NULL,
    result_ns INTEGER,
    UNIQUE (vehicle_id, activation_id)
);
-- state: waiting (decided once due_ns has come), withheld (by a silent vehicle), decided.
-- to_send: how often the acknowledgement is still to leave; held back while release_after is set.
CREATE TABLE IF NOT EXISTS commands (
    command_number INTEGER PRIMARY KEY,
    vehicle_id TEXT NOT NULL REFERENCES vehicles,
    command_id TEXT NOT NULL,
    activation_id TEXT NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'withheld', 'decided')),
    stale INTEGER NOT NULL,
    due_ns INTEGER NOT NULL,
    acknowledgement BLOB,
    final INTEGER NOT NULL DEFAULT 0,
    release_after TEXT,
    to_send INTEGER NOT NULL DEFAULT 0,
    UNIQUE (vehicle_id, command_id)
);
CREATE INDEX IF NOT EXISTS commands_waiting ON commands (due_ns) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS commands_late ON commands (release_after) WHERE release_after IS NOT NULL;
CREATE INDEX IF NOT EXISTS commands_unsent ON commands (command_number)
    WHERE to_send > 0 AND release_after IS NULL;
"""
