"""The timer that anchors the audit log's head where payments cannot change it (PAY-4)."""

from caas_chassis.cause import Cause
from caas_chassis.loops import PeriodicLoop
from caas_chassis.processing import OpenTransaction
from caas_chassis.transaction import Tx
from caas_payments.domain.events import anchored
from caas_payments.store.audit import anchor_head


class AuditAnchors(PeriodicLoop):
    """Publishes the head of the audit chain whenever something was appended, once in `every_s` of real time."""

    name = "audit-anchors"

    def __init__(self, every_s: float, transaction: OpenTransaction) -> None:
        super().__init__(idle_s=every_s)
        self._transaction = transaction

    async def run_once(self) -> bool:
        async with self._transaction(Cause.of_person("payments"), ("anchor",)) as tx:
            tx.eventful = await publish_anchor(tx=tx)
        return False


async def publish_anchor(*, tx: Tx) -> bool:
    """Publish the head as an anchor; False when nothing was appended since the last one."""
    anchor = await anchor_head(tx)
    if anchor is not None:
        tx.publish(anchored(anchor, tx.now))
    return anchor is not None
