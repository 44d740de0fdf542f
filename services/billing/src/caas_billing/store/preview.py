"""Works out what a run would do, with the statement parts that closing uses, and writes nothing (SUB-8)."""

import json
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from asyncpg import Record

from caas_billing.domain.billing_run import Bill, BilledLine, RunReport
from caas_billing.domain.period import Period
from caas_billing.store.monthly_sql import previewing, rating
from caas_billing.store.runs import NAMED, line_of
from caas_chassis.transaction import Tx
from caas_contracts.money import Money

SUMS: Final = f"{previewing.MONTHS_BEHIND}{rating.RATED}{previewing.SUMS}"
LINES: Final = f"{previewing.MONTHS_BEHIND}{rating.RATED}{previewing.LINES}"


@dataclass(slots=True)
class Preview:
    """What the shards that were looked at would come to, so far."""

    through: Period
    zone: ZoneInfo
    periods: int = 0
    invoices: int = 0
    late_uses: int = 0
    not_charged: int = 0
    invoiced: dict[str, int] = field(default_factory=dict)
    biggest: list[Bill] = field(default_factory=list)
    sample: list[BilledLine] = field(default_factory=list)
    too_large: list[UUID] = field(default_factory=list)

    async def look_at(self, shard: int, *, tx: Tx) -> None:
        """Add a shard's due subscriptions."""
        arguments = (self.zone.key, self.through.first_day, shard)
        for row in await tx.fetch(SUMS, *arguments, NAMED[0]):
            self._add(row)
        self.biggest = sorted(self.biggest, key=lambda bill: (-bill.total.amount_minor, bill.subscription_id))
        del self.biggest[NAMED[0] :]
        if len(self.sample) < NAMED[1]:
            self.sample += [line_of(row) for row in await tx.fetch(LINES, *arguments, NAMED[1] - len(self.sample))]

    def report(self) -> RunReport:
        """What a run would come to."""
        return RunReport(
            subscriptions=self.periods,
            invoices=self.invoices,
            without_charge=self.periods - self.invoices,
            invoiced=[
                Money(amount_minor=total, currency=code) for code, total in sorted(self.invoiced.items()) if total
            ],
            late_uses=self.late_uses,
            not_charged=self.not_charged,
            biggest=self.biggest,
            sample=self.sample,
            too_large=sorted(self.too_large),
        )

    def _add(self, row: Record) -> None:
        currency = row["currency"]
        self.periods += row["periods"] - len(row["too_large"] or ())
        self.invoices += row["invoices"] - len(row["too_large"] or ())
        self.late_uses += row["late_uses"]
        self.not_charged += row["not_charged"]
        self.invoiced[currency] = self.invoiced.get(currency, 0) + row["total"]
        self.too_large += row["too_large"] or ()
        self.biggest += [_bill(found, currency) for found in json.loads(row["biggest"] or "[]")]


def _bill(found: dict[str, Any], currency: str) -> Bill:
    return Bill(
        subscription_id=UUID(found["subscription_id"]),
        customer_id=found["customer_id"],
        period=found["period"],
        total=Money(amount_minor=found["total_minor"], currency=currency),
    )
