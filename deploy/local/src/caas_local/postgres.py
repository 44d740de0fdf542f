"""Databases of the platform on one server: one per service with two roles, made when missing."""

from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """A service's database for the role that serves, and for the owner, who migrates it; None: the same role."""

    serving: str
    owner: str | None = None


async def ensure_database(admin_url: str, name: str, password: str) -> DatabaseUrls:
    """Create the database and its roles unless they exist. Raises asyncpg's error when the server refuses.

    The roles are `<name>_owner` and `<name>`, both with this password.
    """
    owner = f"{name}_owner"
    connection = await asyncpg.connect(admin_url, timeout=10)
    try:
        for role in (owner, name):
            await _ensure_role(connection, role, password)
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await connection.execute(f'CREATE DATABASE "{name}" OWNER "{owner}"')
    finally:
        await connection.close()
    return DatabaseUrls(_url(admin_url, name, name, password), _url(admin_url, name, owner, password))


async def _ensure_role(connection: asyncpg.Connection, role: str, password: str) -> None:
    verb = "ALTER" if await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role) else "CREATE"
    secret = await connection.fetchval("SELECT quote_literal($1)", password)
    await connection.execute(f'{verb} ROLE "{role}" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {secret}')
    # An administrator that is no superuser has to be a member of a role to give a database to it.
    await connection.execute(f'GRANT "{role}" TO CURRENT_USER')


def _url(admin_url: str, database: str, role: str, password: str) -> str:
    parts = urlsplit(admin_url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password, safe='')}@{address}", path=f"/{database}"))
