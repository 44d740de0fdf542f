"""The weekly partitions of the outbox: created ahead, dropped only when they are at least 35 days old.

Invariant: consumers may ask for anything of the last 35 days again, and no row is dropped that was not sent.
"""

from datetime import timedelta
from typing import Final

from caas_chassis.transaction import Tx

WEEKS_AHEAD: Final = 2
LEAST_AGE: Final = timedelta(days=35)

LIMIT_WAIT: Final = "SET LOCAL lock_timeout = '2s'"
"""Whoever waits for this lock has the relay and all publishers wait behind it."""
CREATE: Final = "SELECT chassis.create_outbox_partition((now() + make_interval(weeks => $1))::date)"
DROP: Final = "SELECT chassis.drop_outbox_partition($1)"
DROPPABLE: Final = """
SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'chassis.outbox'::regclass AND c.relname ~ '^outbox_[0-9]{8}$'
    AND to_date(substr(c.relname, 8), 'YYYYMMDD') + 7 <= (now() AT TIME ZONE 'UTC' - $1::interval)::date
ORDER BY 1
"""
UNSENT: Final = """
SELECT EXISTS (SELECT 1 FROM chassis.outbox o, chassis.relay_cursor c
    WHERE o.tableoid = ('chassis.' || $1)::regclass AND (o.horizon, o.position) > (c.horizon, c.position))
"""


async def create_partitions(*, tx: Tx) -> list[str]:
    """Create the partitions of this week and the two that follow, as far as they are missing; returns their names."""
    await tx.execute(LIMIT_WAIT)
    created = [await tx.fetchval(CREATE, week) for week in range(WEEKS_AHEAD + 1)]
    return [str(name) for name in created if name]


async def drop_partitions(*, older_than: timedelta, tx: Tx) -> list[str]:
    """Drop the partitions of which every row was written longer ago than this; returns their names.

    A partition with a row that was not sent stays. Raises ValueError for less than 35 days (promise 3).
    """
    if older_than < LEAST_AGE:
        raise ValueError(f"{older_than} is too young: consumers may ask for the last {LEAST_AGE.days} days again")
    await tx.execute(LIMIT_WAIT)
    names = [str(row["name"]) for row in await tx.fetch(DROPPABLE, older_than)]
    dropped = [name for name in names if not await tx.fetchval(UNSENT, name)]
    for name in dropped:
        await tx.execute(DROP, name)
    return dropped
