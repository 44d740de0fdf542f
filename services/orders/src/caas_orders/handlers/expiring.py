"""Services that come to their end, and cars that are out of reach then (SVC-9, OTA-4)."""

from collections.abc import Sequence
from uuid import UUID

from caas_chassis.handling import Received
from caas_chassis.timers import DueTimer
from caas_chassis.transaction import Tx
from caas_contracts.ota import DeactivationDelayed
from caas_orders.domain.expiring import deactivation_delayed, end_reached
from caas_orders.handlers.amending import amend, amend_each


async def expire_due(due: Sequence[DueTimer], *, tx: Tx) -> None:
    """SVC-9: these services have come to their end: the cars are told to take them out."""
    facts = [(UUID(timer.key), timer, timer.cause) for timer in due]
    await amend_each(facts, lambda purchase, _: end_reached(purchase, tx.now), tx=tx)


async def note_delayed(received: Sequence[Received[DeactivationDelayed]], *, tx: Tx) -> None:
    """OTA-4: the car is out of reach; ota follows it until it is done."""
    await amend(
        received,
        lambda event: event.purchase_id,
        lambda purchase, event: deactivation_delayed(purchase, event.occurred_at, tx.now),
        tx=tx,
    )
