"""Open exposure (RSK-3): delivered on a stored success, not settled and not written off."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from caas_chassis.transaction import Tx

TOTALS: Final = """
SELECT currency, count(*) AS payments, sum(at_risk_minor)::bigint AS amount_minor,
    sum(at_risk_minor) FILTER (WHERE age < interval '1 day')::bigint AS under_1_day_minor,
    sum(at_risk_minor) FILTER (WHERE age >= interval '1 day' AND age < interval '3 days')::bigint
        AS under_3_days_minor,
    sum(at_risk_minor) FILTER (WHERE age >= interval '3 days' AND age < interval '7 days')::bigint
        AS under_7_days_minor,
    sum(at_risk_minor) FILTER (WHERE age >= interval '7 days')::bigint AS older_minor
FROM (SELECT currency, at_risk_minor, $1::timestamptz - delivered_at AS age
    FROM payments WHERE at_risk_minor > 0 AND delivered_at IS NOT NULL) AS exposed
GROUP BY currency ORDER BY currency
"""

BY_CUSTOMER: Final = """
SELECT customer_id, currency, count(*) AS payments, sum(at_risk_minor)::bigint AS amount_minor,
    min(delivered_at) AS oldest_at
FROM payments WHERE at_risk_minor > 0 AND delivered_at IS NOT NULL
GROUP BY customer_id, currency ORDER BY amount_minor DESC, customer_id LIMIT $1
"""

OF_CUSTOMER: Final = """
SELECT customer_id, currency, count(*) AS payments, sum(at_risk_minor)::bigint AS amount_minor,
    min(delivered_at) AS oldest_at
FROM payments WHERE customer_id = $1 AND at_risk_minor > 0 AND delivered_at IS NOT NULL
GROUP BY customer_id, currency ORDER BY currency
"""


WRITTEN_OFF: Final = """
SELECT currency, count(*) AS payments, sum(lost_minor)::bigint AS amount_minor
FROM (SELECT currency, customer_id, written_off_minor(payments) AS lost_minor FROM payments
    WHERE status = 'SETTLEMENT_FAILED') AS lost
WHERE lost_minor > 0 AND customer_id = coalesce($1, customer_id)
GROUP BY currency ORDER BY currency
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenOff:
    """What was delivered and is lost (SVC-8), of one currency in minor units."""

    currency: str
    payments: int
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """The open exposure of one currency in minor units, also by days since delivery."""

    currency: str
    payments: int
    amount_minor: int
    by_age_minor: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerExposure:
    """What one customer's delivered services are still owed, in minor units."""

    customer_id: str
    currency: str
    payments: int
    amount_minor: int
    oldest_at: datetime


async def read_exposure(tx: Tx) -> list[Exposure]:
    """The total per currency, with age buckets by business time."""
    rows = await tx.fetch(TOTALS, tx.now)
    buckets = ("under_1_day", "under_3_days", "under_7_days", "older")
    return [
        Exposure(
            currency=row["currency"],
            payments=row["payments"],
            amount_minor=row["amount_minor"],
            by_age_minor={bucket: row[f"{bucket}_minor"] or 0 for bucket in buckets},
        )
        for row in rows
    ]


async def read_customer_exposures(tx: Tx, limit: int) -> list[CustomerExposure]:
    """The customers with the largest exposure first."""
    return [CustomerExposure(**dict(row)) for row in await tx.fetch(BY_CUSTOMER, limit)]


async def read_written_off(tx: Tx, customer_id: str | None = None) -> list[WrittenOff]:
    """Losses by currency: all of them, or those that one customer caused."""
    return [WrittenOff(**dict(row)) for row in await tx.fetch(WRITTEN_OFF, customer_id)]


async def read_exposure_of(tx: Tx, customer_id: str) -> list[CustomerExposure]:
    """One customer's exposure, by currency; empty for a customer who owes nothing."""
    rows = await tx.fetch(OF_CUSTOMER, customer_id)
    return [CustomerExposure(**dict(row)) for row in rows]
