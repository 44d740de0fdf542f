"""The versions of rate plans that were published, with their terms: each once, by one replica (SUB-3)."""

from collections.abc import Sequence
from typing import Final

from caas_chassis.transaction import Tx
from caas_contracts.subscriptions import RatePlan
from caas_orders.errors import PublishedPlanChanged

# Another replica that is publishing the same is waited for; in order, so that two cannot wait for each other.
INSERT_PLANS: Final = """
INSERT INTO published_rate_plan (plan_code, version, plan, published_at)
SELECT plan_code, version, plan::jsonb, $4
FROM unnest($1::text[], $2::integer[], $3::text[]) AS n(plan_code, version, plan)
ORDER BY plan_code, version
ON CONFLICT (plan_code, version) DO NOTHING
RETURNING plan_code, version
"""

READ_PLANS: Final = "SELECT plan::text FROM published_rate_plan WHERE plan_code = ANY($1::text[])"


async def insert(plans: Sequence[RatePlan], *, tx: Tx) -> list[RatePlan]:
    """Remember versions as published; returns the new ones. Raises PublishedPlanChanged for other terms than before."""
    codes, versions = [plan.plan_code for plan in plans], [plan.version for plan in plans]
    content = [plan.model_dump_json() for plan in plans]
    inserted = {tuple(row) for row in await tx.fetch(INSERT_PLANS, codes, versions, content, tx.now)}
    present = [RatePlan.model_validate_json(row["plan"]) for row in await tx.fetch(READ_PLANS, codes)]
    for plan in plans:
        if plan not in present:
            detail = f"plan {plan.plan_code} version {plan.version} was published with other terms"
            raise PublishedPlanChanged(f"{detail}: restore it in catalogue.toml, and add a version with the new ones")
    return [plan for plan in plans if (plan.plan_code, plan.version) in inserted]
