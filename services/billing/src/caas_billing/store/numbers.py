"""Gives numbers: one row per series and year, locked from here to the commit (INV-2).

A transaction that rolls back gives its numbers back with the same stroke, so there are no gaps.
"""

from datetime import datetime
from typing import Final

from caas_billing.domain.numbering import NumberBlock, Series, billing_year
from caas_chassis.transaction import Tx

TAKE_NUMBERS: Final = """
INSERT INTO series AS known (series, year, last_position, last_issued_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (series, year) DO UPDATE SET last_position = known.last_position + excluded.last_position,
    last_issued_at = greatest(known.last_issued_at, excluded.last_issued_at)
RETURNING last_position, last_issued_at
"""


async def take_numbers(tx: Tx, series: Series, count: int, now: datetime) -> NumberBlock:
    """Take the next `count` numbers of the year of `now`; waits for a transaction that has the series."""
    year = billing_year(now)
    (row,) = await tx.fetch(TAKE_NUMBERS, series.value, year, count, now)
    return NumberBlock(series, year, row["last_position"] - count + 1, count, row["last_issued_at"])
