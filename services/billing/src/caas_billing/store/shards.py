"""The locks between storing usage and closing periods; held until commit (SUB-2, SUB-4).

Whoever stores usage shares the shards of its batch, whoever closes periods has one shard alone. Under its lock each
reads `next_period` with a further statement: a use is then either counted by the close or sees that it is late.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from caas_chassis.transaction import Tx

SHARDS: Final = 256

_SPACE: Final = 14
"""The first key of the advisory locks, which no other lock of billing's database uses."""

LOCK_SHARED: Final = "SELECT count(pg_advisory_xact_lock_shared($1, shard)::text) FROM unnest($2::int[]) AS shard"

LOCK_EXCLUSIVE: Final = "SELECT pg_advisory_xact_lock($1, $2)::text"

LOCK_ALL_EXCLUSIVE: Final = "SELECT count(pg_advisory_xact_lock($1, shard)::text) FROM unnest($2::int[]) AS shard"


def shard_of(subscription_id: UUID) -> int:
    """The last byte of a subscription's id, 0 to 255; in SQL `get_byte(uuid_send(subscription_id), 15)`."""
    return subscription_id.int & 0xFF


async def lock_shared(tx: Tx, shards: Iterable[int]) -> None:
    """Keep closers out of these shards until commit; taken in rising order, so that nobody waits in a circle."""
    wanted = sorted(set(shards))
    if wanted:
        await tx.execute(LOCK_SHARED, _SPACE, wanted)


async def lock_exclusive(tx: Tx, shard: int) -> None:
    """Have the shard alone until commit. Read what is due with a statement after this one, never with one before."""
    await tx.execute(LOCK_EXCLUSIVE, _SPACE, shard)


async def lock_all_exclusive(tx: Tx, shards: Iterable[int]) -> None:
    """Have several shards alone until commit; taken in rising order, as `lock_shared` takes them."""
    await tx.execute(LOCK_ALL_EXCLUSIVE, _SPACE, sorted(set(shards)))
