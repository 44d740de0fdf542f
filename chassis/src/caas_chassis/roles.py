"""The two database roles of a service: the owner migrates, the serving role works and can change no schema.

Invariant: of what a service declares append-only, the serving role can neither change nor remove a row, nor switch
off the trigger that refuses it. With one role for both, the triggers are the only protection.
"""

from collections.abc import Sequence
from typing import Final

import asyncpg

from caas_chassis.database import Connection

_SCHEMAS: Final = ("public", "chassis")

_GRANT: Final = """
GRANT USAGE ON SCHEMA public, chassis TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, chassis TO {role};
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public, chassis TO {role};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public, chassis TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA chassis GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
REVOKE CREATE ON SCHEMA public, chassis FROM {role}, PUBLIC;
REVOKE INSERT, UPDATE, DELETE ON chassis.migration FROM {role};
"""
_MAKE_APPEND_ONLY: Final = "REVOKE UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES ON {table} FROM {role}, PUBLIC"

_MISSING: Final = """
SELECT EXISTS (
    SELECT FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v') AND c.relnamespace = ANY($2::text[]::regnamespace[])
        AND (NOT has_schema_privilege($1, c.relnamespace, 'USAGE') OR NOT has_table_privilege($1, c.oid, 'SELECT')))
    OR EXISTS (SELECT FROM unnest($3::text[]) AS t(name)
        WHERE has_table_privilege($1, t.name, 'UPDATE, DELETE, TRUNCATE, TRIGGER'))
"""

_CHANGEABLE: Final = """
SELECT t.name FROM unnest($1::text[]) AS t(name) JOIN pg_class c ON c.oid = to_regclass(t.name)
WHERE has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER') OR pg_has_role(c.relowner, 'MEMBER')
ORDER BY 1
"""


async def grant(connection: asyncpg.Connection, role: str, append_only: Sequence[str]) -> bool:
    """Give the serving role what it needs and no more; the connection is the owner's. Whether anything was missing.

    Does nothing for the owner itself. Run it after migrating, under the migrations' lock.
    """
    owner = await connection.fetchval("SELECT current_user")
    if owner == role or not await connection.fetchval(_MISSING, role, list(_SCHEMAS), list(append_only)):
        return False
    named = await connection.fetchval("SELECT quote_ident($1)", role)
    async with connection.transaction():
        await connection.execute(_GRANT.format(role=named))
        for table in append_only:
            await connection.execute(_MAKE_APPEND_ONLY.format(table=table, role=named))
    return True


async def changeable(connection: Connection, append_only: Sequence[str]) -> list[str]:
    """Which append-only tables the connection's own role could change, if their triggers were not."""
    return [str(row["name"]) for row in await connection.fetch(_CHANGEABLE, list(append_only))]
