"""Verified webhooks of partners by the partner's own name for them: each is applied once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from asyncpg import UniqueViolationError

from caas_chassis.transaction import Tx

INSERT: Final = """
INSERT INTO partner_webhooks (partner, webhook_id, event_type, reference, body, received_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (partner, webhook_id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class StoredWebhook:
    """A webhook as it came; `id` is the partner's name for it, the same at each delivery."""

    partner: str
    id: str
    event_type: str
    reference: str
    body: str


async def insert(webhook: StoredWebhook, *, tx: Tx) -> bool:
    """Stores a webhook and says whether it is the first with its id; waits for one that is just being applied."""
    tag = await tx.execute(
        INSERT, webhook.partner, webhook.id, webhook.event_type, webhook.reference, webhook.body, tx.now
    )
    return tag.endswith(" 1")


async def unless_contradicted(apply: Callable[[], Awaitable[None]], *, tx: Tx) -> str | None:
    """Does as a webhook says; undoes it, and names what must be unique, when another order has that already."""
    try:
        async with tx.savepoint():
            await apply()
    except UniqueViolationError as error:
        return error.constraint_name or "a unique value"
    return None
