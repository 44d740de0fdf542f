"""Reconciliation as the second witness of audit logs: it keeps every anchor it hears of (PAY-4)."""

from collections.abc import Sequence

from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.audit import AuditAnchored
from caas_reconciliation.store import anchors


async def witness_anchors(batch: Sequence[Received[AuditAnchored]], *, tx: Tx) -> None:
    """Keep what a log's owner said its head was, for whoever verifies that log later."""
    await anchors.keep_anchors([(received.message, received.cause.message_id) for received in batch], tx=tx)
