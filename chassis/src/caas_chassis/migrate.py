"""Applies migrations: plain SQL files in name order, under an advisory lock, each with its content's hash.

A file is `NNNN_pre_<what>.sql` (applied before the new code runs) or `NNNN_post_<what>.sql` (after the old
code is gone). An applied file can never change: its hash is compared at every run.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

import asyncpg

from caas_chassis import roles
from caas_chassis.errors import MigrationChanged

_LOCK: Final = 0x0CAA5  # any constant: it keeps two starting replicas from migrating at once

_LEDGER: Final = """
CREATE SCHEMA IF NOT EXISTS chassis;
CREATE TABLE IF NOT EXISTS chassis.migration (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE chassis.migration IS 'Applied migrations with the hash of their content.';
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `name` is package and file name, `phase` is `pre` or `post`."""

    name: str
    phase: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations_of(package: str) -> list[Migration]:
    """The migrations of a package, in name order. Raises ValueError for a file with another name pattern."""
    return sorted(_read(package), key=lambda migration: migration.name)


def _read(package: str) -> Iterator[Migration]:
    for file in resources.files(package).iterdir():
        if file.name.endswith(".sql"):
            number, phase, *_ = file.name.split("_")
            if not number.isdigit() or phase not in ("pre", "post"):
                raise ValueError(f"{package}: {file.name} is not named NNNN_pre_*.sql or NNNN_post_*.sql: rename it")
            yield Migration(f"{package}/{file.name}", phase, file.read_text())


async def apply_migrations(
    connection: asyncpg.Connection,
    packages: Sequence[str],
    *,
    phases: Sequence[str] = ("pre", "post"),
    serving_role: str | None = None,
    append_only: Sequence[str] = (),
) -> list[str]:
    """Apply what is missing, each file in its own transaction; returns the names applied now.

    Then the serving role, if one is named, is given what it needs (`roles.grant`).

    Waits for a concurrent run (advisory lock). Raises MigrationChanged when an applied file has changed.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        await connection.execute(_LEDGER)
        rows = await connection.fetch("SELECT name, sha256 FROM chassis.migration")
        applied: dict[str, str] = {row["name"]: row["sha256"] for row in rows}
        wanted = [m for package in packages for m in migrations_of(package) if m.phase in phases]
        _refuse_changed(wanted, applied)
        missing = [migration for migration in wanted if migration.name not in applied]
        for migration in missing:
            await _apply(connection, migration)
        if serving_role is not None:
            await roles.grant(connection, serving_role, append_only)
        return [migration.name for migration in missing]
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def pending_migrations(connection: asyncpg.Connection, packages: Sequence[str]) -> list[str]:
    """The `pre` migrations that are not applied; a service is not ready while there are any."""
    if await connection.fetchval("SELECT to_regclass('chassis.migration')") is None:
        applied = set()
    else:
        applied = {row["name"] for row in await connection.fetch("SELECT name FROM chassis.migration")}
    wanted = [m for package in packages for m in migrations_of(package) if m.phase == "pre"]
    return [migration.name for migration in wanted if migration.name not in applied]


def _refuse_changed(wanted: Sequence[Migration], applied: dict[str, str]) -> None:
    for migration in wanted:
        if applied.get(migration.name, migration.sha256) != migration.sha256:
            raise MigrationChanged(
                f"{migration.name} was applied with other content: restore it and add a new migration instead"
            )


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO chassis.migration (name, sha256) VALUES ($1, $2)", migration.name, migration.sha256
        )
