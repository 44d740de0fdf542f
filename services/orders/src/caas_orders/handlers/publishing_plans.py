"""Tells billing the rate plans of the packaged catalogue, each version once, whoever starts first (SUB-3)."""

from typing import Final

from caas_chassis.cause import Cause
from caas_chassis.loops import PeriodicLoop
from caas_chassis.processing import OpenTransaction
from caas_chassis.transaction import Tx
from caas_contracts.subscriptions import RatePlanPublished
from caas_orders.domain.catalogue import Catalogue, current_catalogue
from caas_orders.store import published_plans

# The catalogue comes with the release, so there is news at the start alone; then the loop only sleeps.
_IDLE_S: Final = 3600.0


class RatePlanPublisher(PeriodicLoop):
    """Publishes what was never published; a version that has other terms than it was published with is refused."""

    name = "rate-plans"

    def __init__(self, transaction: OpenTransaction) -> None:
        super().__init__(_IDLE_S)
        self._transaction = transaction
        self._is_done = False

    async def run_once(self) -> bool:
        """Raises PublishedPlanChanged: readiness fails until the catalogue has a new version instead."""
        if not self._is_done:
            async with self._transaction(Cause.of_person("orders"), ("plans",)) as tx:
                tx.eventful = await publish_plans(current_catalogue(), tx=tx) > 0
            self._is_done = True
        return False


async def publish_plans(catalogue: Catalogue, *, tx: Tx) -> int:
    """Publish every version of every plan that was not yet; says how many. Raises PublishedPlanChanged."""
    versions = [version for plan in catalogue.plans.values() for version in plan.versions]
    new = await published_plans.insert(versions, tx=tx)
    for plan in new:
        tx.publish(RatePlanPublished(plan_code=plan.plan_code, plan=plan, occurred_at=tx.now))
    return len(new)
