"""Settlement lines and chargebacks, each recorded once."""

from collections.abc import Sequence
from datetime import date
from typing import Final

from caas_chassis.transaction import Tx
from caas_contracts import Money
from caas_payments.domain.settlement import Chargeback, SettlementLine

INSERT_LINES: Final = """
INSERT INTO settlement_lines (id, payment_id, gross_minor, fee_minor, currency, settled_on, recorded_at)
SELECT *, $7 FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::date[])
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

READ_LINE: Final = "SELECT * FROM settlement_lines WHERE id = $1"

INSERT_CHARGEBACK: Final = """
INSERT INTO chargebacks (id, payment_id, amount_minor, reason, received_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO NOTHING
"""


async def insert_lines(tx: Tx, lines: Sequence[SettlementLine]) -> set[str]:
    """Stores the lines and says which are new; a line of a payment that does not exist is an error."""
    rows = await tx.fetch(
        INSERT_LINES,
        [line.id for line in lines],
        [line.payment_id for line in lines],
        [line.gross.amount_minor for line in lines],
        [line.fee.amount_minor for line in lines],
        [line.gross.currency for line in lines],
        [date.fromisoformat(line.settled_on) for line in lines],
        tx.now,
    )
    return {row["id"] for row in rows}


async def read_line(tx: Tx, line_id: str) -> SettlementLine | None:
    """A line that was recorded."""
    row = await tx.fetchrow(READ_LINE, line_id)
    if row is None:
        return None
    return SettlementLine(
        id=row["id"],
        payment_id=row["payment_id"],
        gross=Money(amount_minor=row["gross_minor"], currency=row["currency"]),
        fee=Money(amount_minor=row["fee_minor"], currency=row["currency"]),
        settled_on=row["settled_on"].isoformat(),
    )


async def insert_chargeback(tx: Tx, chargeback: Chargeback) -> bool:
    """Stores a chargeback and says whether it is new."""
    tag = await tx.execute(
        INSERT_CHARGEBACK, chargeback.id, chargeback.payment_id, chargeback.amount_minor, chargeback.reason, tx.now
    )
    return tag.endswith(" 1")
