"""How facts change purchases: lock, let the domain decide, write back, publish and tell; whole batches at once.

The number of SQL statements of a batch does not depend on its size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from caas_chassis.cause import Cause
from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.message import Message
from caas_orders.domain.purchase import Change, Purchase
from caas_orders.domain.withdrawing import progressed, withdrawal_followed
from caas_orders.handlers.telling import Notice, tell
from caas_orders.store import purchases, withdrawals


@dataclass(frozen=True, slots=True)
class Caused:
    """A change of one purchase and the message that caused it."""

    change: Change
    cause: Cause


async def amend[M: Message](
    received: Sequence[Received[M]],
    subject: Callable[[M], UUID],
    verb: Callable[[Purchase, M], Change],
    *,
    tx: Tx,
) -> None:
    """Apply each message to the purchase it is about. Messages about other things than purchases are skipped."""
    facts = [(subject(one.message), one.message, one.cause) for one in received]
    await amend_each(facts, verb, tx=tx)


async def amend_each[F](
    facts: Sequence[tuple[UUID, F, Cause]], verb: Callable[[Purchase, F], Change], *, tx: Tx
) -> None:
    """Apply facts, given with the purchase they are about and their cause, in their order."""
    if not facts:
        return
    locked = await purchases.lock(sorted({purchase_id for purchase_id, _, _ in facts}), tx=tx)
    present = dict(locked)
    changes: list[Caused] = []
    for purchase_id, fact, cause in facts:
        if purchase_id in present:
            before = present[purchase_id]
            change = withdrawal_followed(before, verb(before, fact), tx.now)
            present[purchase_id] = change.purchase
            changes.append(Caused(change, cause))
    await write([purchase for key, purchase in present.items() if purchase is not locked[key]], tx=tx)
    await announce(changes, tx=tx)


async def write(changed: Sequence[Purchase], *, tx: Tx) -> None:
    """Write purchases that this transaction has locked and changed, and what that means for their withdrawals."""
    if not changed:
        return
    await purchases.save(changed, tx=tx)
    withdrawn = {purchase.purchase_id: purchase for purchase in changed if purchase.withdrawal_id is not None}
    if withdrawn:
        known = await withdrawals.of_purchases(list(withdrawn), tx=tx)
        await withdrawals.save([progressed(one, withdrawn[key], tx.now) for key, one in known.items()], tx=tx)


async def announce(changes: Sequence[Caused], *, tx: Tx) -> None:
    """Publish what changes ask for, wake who waits for an outcome, and tell customers and operations."""
    for caused in changes:
        change = caused.change
        for message in change.messages:
            tx.publish(message, cause=caused.cause)
        if change.alert is not None:
            kind, detail = change.alert
            tx.alert(kind, str(change.purchase.purchase_id), detail, cause=caused.cause)
        if change.messages and change.purchase.awaited and change.purchase.ended:
            tx.notify(waiting_key(change.purchase.purchase_id))
    told = [(caused.change.purchase, caused.change.notice, caused.cause) for caused in changes]
    await tell([Notice(purchase, kind, cause) for purchase, kind, cause in told if kind is not None], tx=tx)


def waiting_key(purchase_id: UUID) -> str:
    """What an HTTP request that waits for a purchase's outcome listens to."""
    return f"purchase:{purchase_id}"
