"""How facts change purchases: lock, let the domain decide, write back, publish and tell; whole batches at once.

The number of SQL statements of a batch does not depend on its size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from caas_chassis.cause import Cause
from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.message import Message
from caas_orders.domain.purchase import Change, Purchase
from caas_orders.domain.status import PurchaseStatus
from caas_orders.domain.withdrawing import progressed, withdrawal_followed
from caas_orders.handlers.deadlines import set_deadline
from caas_orders.handlers.renewing import begin_recurrences
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
    await write(locked, changes, tx=tx)


async def write(locked: Mapping[UUID, Purchase], changes: Sequence[Caused], *, tx: Tx) -> None:
    """Write back what changes made of purchases that this transaction has locked, with all that follows from it."""
    last = {caused.change.purchase.purchase_id: caused for caused in changes}
    changed = [(caused.change.purchase, caused.cause) for caused in last.values()]
    changed = [(purchase, cause) for purchase, cause in changed if purchase is not locked[purchase.purchase_id]]
    await _save([purchase for purchase, _ in changed], tx=tx)
    for purchase, cause in changed:
        set_deadline(locked[purchase.purchase_id], purchase, cause, tx=tx)
    await announce(changes, tx=tx)
    began = [(purchase, cause) for purchase, cause in changed if _begins_to_recur(locked, purchase)]
    if began:
        await begin_recurrences(began, tx=tx)


def _begins_to_recur(locked: Mapping[UUID, Purchase], purchase: Purchase) -> bool:
    is_active = purchase.status is PurchaseStatus.ACTIVE and purchase.period_months is not None
    return is_active and locked[purchase.purchase_id].status is not PurchaseStatus.ACTIVE


async def _save(changed: Sequence[Purchase], *, tx: Tx) -> None:
    """With what the purchases mean for their withdrawals."""
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
        if change.messages and change.purchase.awaited and change.purchase.answered:
            tx.notify(waiting_key(change.purchase.purchase_id))
    told = [(caused.change.purchase, caused.change.notice, caused.cause) for caused in changes]
    await tell([Notice(purchase, kind, cause) for purchase, kind, cause in told if kind is not None], tx=tx)


def waiting_key(purchase_id: UUID) -> str:
    """What an HTTP request that waits for a purchase's outcome listens to."""
    return f"purchase:{purchase_id}"
