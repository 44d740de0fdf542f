"""Each test gets a migrated database of its own, however fast, and none is left behind."""

import asyncpg
import pytest

from caas_chassis.testing.databases import DatabaseTemplates
from caas_chassis.testing.plugin import MakeDatabase

DEADLINE_S = 30.0


async def migrate(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=DEADLINE_S)
    await connection.execute("CREATE TABLE notes (body text); INSERT INTO notes VALUES ('from the migration')")
    await connection.close(timeout=DEADLINE_S)


async def notes(url: str) -> list[str]:
    connection = await asyncpg.connect(url, timeout=DEADLINE_S)
    rows = await connection.fetch("SELECT body FROM notes ORDER BY body")
    await connection.close(timeout=DEADLINE_S)
    return [row["body"] for row in rows]


async def database_names(server_url: str) -> set[str]:
    connection = await asyncpg.connect(server_url, timeout=DEADLINE_S)
    rows = await connection.fetch("SELECT datname FROM pg_database")
    await connection.close(timeout=DEADLINE_S)
    return {row["datname"] for row in rows}


async def test_what_one_test_writes_another_does_not_see(make_database: MakeDatabase) -> None:
    mine, other = await make_database("notes", migrate), await make_database("notes", migrate)
    connection = await asyncpg.connect(mine, timeout=DEADLINE_S)
    await connection.execute("INSERT INTO notes VALUES ('mine')")
    await connection.close(timeout=DEADLINE_S)
    assert await notes(mine) == ["from the migration", "mine"]
    assert await notes(other) == ["from the migration"]


async def test_a_template_is_migrated_once(postgres_server: str) -> None:
    migrated: list[str] = []

    async def count(url: str) -> None:
        migrated.append(url)
        await migrate(url)

    templates = DatabaseTemplates(postgres_server)
    try:
        urls = {await templates.clone("counted", count) for _ in range(3)}
        assert (len(urls), len(migrated)) == (3, 1)
    finally:
        await templates.drop_all()


async def test_a_template_whose_migration_failed_is_not_kept(postgres_server: str) -> None:
    async def fail(url: str) -> None:
        await migrate(url)
        raise LookupError("half way")

    templates = DatabaseTemplates(postgres_server)
    before = await database_names(postgres_server)
    with pytest.raises(LookupError, match="half way"):
        await templates.clone("broken", fail)
    assert await database_names(postgres_server) == before
    try:
        assert await notes(await templates.clone("broken", migrate)) == ["from the migration"]
    finally:
        await templates.drop_all()


async def test_dropping_ends_connections_that_a_test_forgot(postgres_server: str) -> None:
    before = await database_names(postgres_server)
    templates = DatabaseTemplates(postgres_server)
    url = await templates.clone("forgotten", migrate)
    connection = await asyncpg.connect(url, timeout=DEADLINE_S)
    await templates.drop_all()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.execute("SELECT 1", timeout=DEADLINE_S)
    assert await database_names(postgres_server) == before
