"""Keeps the versions of rate plans. A version is written once; the same one again changes nothing (SUB-3)."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from asyncpg import Record

from caas_billing.domain.rate_plan import PlanVersion, Tier
from caas_billing.errors import RatePlanRedefined
from caas_chassis.transaction import Tx
from caas_contracts.subscriptions import RatePlanKind

ADD_PLANS: Final = """
INSERT INTO rate_plan SELECT * FROM unnest($1::rate_plan[]) ON CONFLICT DO NOTHING RETURNING plan_code, version
"""

ADD_TIERS: Final = "INSERT INTO rate_tier SELECT * FROM unnest($1::rate_tier[])"

FIND_PLANS: Final = """
SELECT p.*, array_agg(t.above ORDER BY t.tier) FILTER (WHERE t.tier IS NOT NULL) AS tier_above,
    array_agg(t.up_to ORDER BY t.tier) FILTER (WHERE t.tier IS NOT NULL) AS tier_up_to,
    array_agg(t.rate ORDER BY t.tier) FILTER (WHERE t.tier IS NOT NULL) AS tier_rate
FROM rate_plan p LEFT JOIN rate_tier t USING (plan_code, version)
WHERE (p.plan_code, p.version) IN (SELECT * FROM unnest($1::text[], $2::int[]))
GROUP BY p.plan_code, p.version
"""


async def add_plans(tx: Tx, versions: Iterable[PlanVersion]) -> None:
    """Store versions. Raises RatePlanRedefined when one is known, or comes twice, with other terms."""
    wanted = list(dict.fromkeys(versions))
    wanted.sort(key=_name)
    added = await tx.fetch(ADD_PLANS, [_plan_row(one) for one in {_name(one): one for one in wanted}.values()])
    new = {(row["plan_code"], row["version"]) for row in added}
    tiers = [
        row for one in {_name(one): one for one in wanted if _name(one) in new}.values() for row in _tier_rows(one)
    ]
    if tiers:
        await tx.execute(ADD_TIERS, tiers)
    known = await find_plans(tx, [_name(one) for one in wanted])
    for one in wanted:
        if known[_name(one)] != one:
            raise RatePlanRedefined(one.plan_code, one.version)


async def find_plans(tx: Tx, names: Sequence[tuple[str, int]]) -> dict[tuple[str, int], PlanVersion]:
    """The versions of these names (plan code, version) that are known."""
    rows = await tx.fetch(FIND_PLANS, [code for code, _ in names], [version for _, version in names])
    return {(row["plan_code"], row["version"]): _version(row) for row in rows}


def _name(one: PlanVersion) -> tuple[str, int]:
    return one.plan_code, one.version


def _plan_row(one: PlanVersion) -> dict[str, Any]:
    return {
        "plan_code": one.plan_code,
        "version": one.version,
        "kind": one.kind.value,
        "currency": one.currency,
        "unit": one.unit,
        "rate": one.rate,
        "effective_from": one.effective_from,
    }


def _tier_rows(one: PlanVersion) -> list[dict[str, Any]]:
    return [
        {
            "plan_code": one.plan_code,
            "version": one.version,
            "tier": number,
            "above": tier.above,
            "up_to": tier.up_to,
            "rate": tier.rate,
        }
        for number, tier in enumerate(one.tiers, start=1)
    ]


def _version(row: Record) -> PlanVersion:
    tiers = zip(row["tier_above"] or (), row["tier_up_to"] or (), row["tier_rate"] or (), strict=True)
    return PlanVersion(
        plan_code=row["plan_code"],
        version=row["version"],
        kind=RatePlanKind(row["kind"]),
        currency=row["currency"],
        unit=row["unit"],
        rate=row["rate"],
        effective_from=row["effective_from"],
        tiers=tuple(Tier(above, up_to, rate) for above, up_to, rate in tiers),
    )
