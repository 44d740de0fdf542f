"""The SQLite file that holds a partner's books, and its one way to write: a transaction.

Everything runs on the event loop's thread without awaiting inside a transaction, so requests are
serial and a request is booked whole or not at all. A commit in WAL mode has reached the operating
system when it returns: it survives the end of the process, though not of the machine.
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def open_database(file: Path, *schemas: str) -> sqlite3.Connection:
    """Opens the books in `file`, making what is missing of the tables that `schemas` declare."""
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file, timeout=5, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    for schema in schemas:
        connection.executescript(schema)
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
