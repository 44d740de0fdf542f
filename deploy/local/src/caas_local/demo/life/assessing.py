"""Compares the books of orders, payments, billing, gateway and cars on what became of purchases over months."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import asyncpg

from caas_local.demo.databases import Databases
from caas_local.demo.life.playing import LIVES, LifeMarket
from caas_local.demo.life.scenarios import SCENARIOS, STOLEN, TOO_LATE, LifeScenario

PURCHASES: Final = """
SELECT purchase_id::text AS id, status, money, payment_id::text, activation_id::text FROM purchases
WHERE kind <> 'subscription'
"""
PERIOD_PAYMENTS: Final = "SELECT purchase_id::text AS id, payment_id::text FROM renewal"
WITHDRAWALS: Final = "SELECT count(*) FROM withdrawal WHERE confirmed_at IS NOT NULL"
RENEWALS: Final = "SELECT count(*) FROM renewal WHERE outcome = 'paid'"
THEFTS: Final = "SELECT count(*) FROM vehicles WHERE stolen_at IS NOT NULL"
REFUNDED: Final = "SELECT coalesce(sum(refunded_minor), 0)::bigint FROM payments"
REFUNDS_DELAYED: Final = "SELECT count(*) FROM refunds WHERE delayed_at IS NOT NULL"
CREDIT_NOTES: Final = "SELECT count(*) FROM credit_note"
PREPAID: Final = """
SELECT coalesce(-sum(amount_minor), 0)::bigint FROM journal_line WHERE account = 'customer_prepayments'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeRow:
    """One scenario: how many, where they stand, how many periods were paid, what the gateway keeps for them."""

    scenario: str
    story: str
    purchases: int
    ended: Mapping[str, int]
    periods: int
    kept_minor: int
    as_expected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeReport:
    """What the lives add to the demo's report. Amounts are minor units of EUR.

    `active_unpaid` and `paid_inactive` compare the cars' own books with the gateway's: services in a car for which
    nothing is kept and no loss written off, and services whose money is kept though they left the car before their end.
    `prepaid_minor` is what the ledger owes for what is neither delivered nor paid back.
    """

    withdrawals: int
    withdrawals_refused: int
    renewals: int
    expired: int
    thefts: int
    refused_as_stolen: int
    refunded_minor: int
    gateway_refunded_minor: int
    refunds_delayed: int
    credit_notes: int
    active_unpaid: int
    paid_inactive: int
    prepaid_minor: int
    rows: Sequence[LifeRow]

    @property
    def broken(self) -> list[str]:
        """The invariants that do not hold, in words."""
        zero = ("active_unpaid", "paid_inactive", "prepaid_minor")
        found = [f"{name} is {getattr(self, name)}, it must be 0" for name in zero if getattr(self, name) != 0]
        if self.refunded_minor != self.gateway_refunded_minor:
            found.append(f"we refunded {self.refunded_minor}, the gateway says {self.gateway_refunded_minor}")
        late = self._played(TOO_LATE)
        if self.withdrawals_refused != late:
            found.append(f"{self.withdrawals_refused} of {late} late withdrawals were refused")
        stolen = self._played(*STOLEN)
        if (self.thefts, self.refused_as_stolen) != (stolen, stolen):
            found.append(f"{stolen} cars were stolen, {self.thefts} recorded, {self.refused_as_stolen} not sold for")
        happened = ("withdrawals", "renewals", "expired", "refunds_delayed", "credit_notes")
        found += [f"there were no {name}" for name in happened if not getattr(self, name)]
        if not all(row.purchases for row in self.rows):
            found.append("not every life was played")
        return [*found, *(f"{row.scenario}: ended as {dict(row.ended)}" for row in self.rows if not row.as_expected)]

    def _played(self, *scenarios: LifeScenario) -> int:
        names = {scenario.name for scenario in scenarios}
        return sum(row.purchases for row in self.rows if row.scenario in names)

    def as_json(self) -> dict[str, Any]:
        """Its keys in the report."""
        numbers = asdict(self)
        return {**numbers, "lives": numbers.pop("rows")}


async def assess_lives(
    market: LifeMarket,
    transactions: Mapping[str, dict[str, Any]],
    applied: Mapping[str, dict[str, Any]],
    gateway_refunded_minor: int,
    databases: Databases,
) -> LifeReport:
    """`transactions` is the gateway's book by payment, `applied` the cars' books by activation."""
    purchases = await databases.rows("orders", PURCHASES)
    kept = await _kept(purchases, transactions, databases)
    in_cars = {one for one, entry in applied.items() if not entry["deactivated_at"]}
    lives = {row["id"]: row for row in await databases.rows("orders", LIVES, list(market.lives))}
    return LifeReport(
        withdrawals=await databases.number("orders", WITHDRAWALS),
        withdrawals_refused=market.refused_late,
        renewals=await databases.number("orders", RENEWALS),
        expired=sum(1 for row in purchases if row["status"] == "expired"),
        thefts=await databases.number("orders", THEFTS),
        refused_as_stolen=market.refused_stolen,
        refunded_minor=await databases.number("payments", REFUNDED),
        gateway_refunded_minor=gateway_refunded_minor,
        refunds_delayed=await databases.number("payments", REFUNDS_DELAYED),
        credit_notes=await databases.number("billing", CREDIT_NOTES),
        active_unpaid=sum(
            1
            for row in purchases
            if row["activation_id"] in in_cars and not kept[row["id"]] and row["money"] != "written_off"
        ),
        paid_inactive=sum(
            1
            for row in purchases
            if kept[row["id"]] and row["activation_id"] not in in_cars and row["status"] != "expired"
        ),
        prepaid_minor=await databases.number("reconciliation", PREPAID),
        rows=_rows(market, lives, kept),
    )


async def _kept(
    purchases: Sequence[asyncpg.Record], transactions: Mapping[str, dict[str, Any]], databases: Databases
) -> defaultdict[str, int]:
    """What the gateway keeps of each purchase, over all its periods."""
    payments = [(row["id"], row["payment_id"]) for row in purchases]
    payments += [(row["id"], row["payment_id"]) for row in await databases.rows("orders", PERIOD_PAYMENTS)]
    kept: defaultdict[str, int] = defaultdict(int)
    for purchase_id, payment_id in payments:
        transaction = transactions.get(payment_id, {})
        kept[purchase_id] += transaction.get("captured_minor", 0) - transaction.get("refunded_minor", 0)
    return kept


def _rows(market: LifeMarket, lives: Mapping[str, asyncpg.Record], kept: Mapping[str, int]) -> list[LifeRow]:
    rows = []
    for scenario in SCENARIOS:
        ids = [i for i, life in market.lives.items() if life.scenario == scenario]
        ended = Counter(lives[i]["status"] if i in lives else "lost" for i in ids)
        periods = [lives[i]["periods"] for i in ids if i in lives]
        as_expected = (
            set(ended) == {scenario.ends}
            and all((kept[i] > 0) == scenario.is_paid for i in ids)
            and min(periods, default=0) >= scenario.least_periods
        )
        rows.append(
            LifeRow(
                scenario=scenario.name,
                story=scenario.story,
                purchases=len(ids),
                ended=dict(ended),
                periods=sum(periods),
                kept_minor=sum(kept[i] for i in ids),
                as_expected=as_expected,
            )
        )
    return rows
