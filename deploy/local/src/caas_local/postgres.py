"""Databases of the platform on one server: one per service, made when missing."""

from urllib.parse import urlsplit, urlunsplit

import asyncpg


async def ensure_database(admin_url: str, name: str) -> str:
    """Create the database unless it exists; returns its URL. Raises asyncpg's error when the server refuses."""
    connection = await asyncpg.connect(admin_url, timeout=10)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    parts = urlsplit(admin_url)
    return urlunsplit(parts._replace(path=f"/{name}"))
