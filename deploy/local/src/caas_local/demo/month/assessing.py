"""Compares three books of the months: billing's invoices, the generator's own sum, and the gateway's money."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from caas_local.demo.databases import PARKED_USE, Databases
from caas_local.demo.month import books
from caas_local.demo.month.billing import MonthMarket
from caas_local.demo.month.scenarios import PAYERS, Payer

LEAST_SUBSCRIPTIONS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class PayerRow:
    """One kind of payer in the first month: who got a bill, where these stand at the end, what the gateway took."""

    payer: str
    story: str
    subscriptions: int
    invoiced: int
    ended: Mapping[str, int]
    captured_minor: int
    as_expected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthReport:
    """What the months add to the demo's report. Amounts are minor units of EUR, of all months together.

    `expected_minor` is the usage generator's own sum; `disagreeing` counts bills that differ from its own.
    """

    subscriptions: int
    months: Sequence[str]
    invoices: int
    without_charge: int
    invoiced_minor: int
    expected_minor: int
    disagreeing: int
    billed_twice: int
    charged_twice: int
    paid_minor: int
    collections: int
    collections_settled: int
    collections_expected: int
    usage_sent: Mapping[str, int]
    usage_parked: int
    late_usage_lines: int
    deactivations_asked: int
    deactivations_done: int
    rows: Sequence[PayerRow]
    least: int = LEAST_SUBSCRIPTIONS

    @property
    def broken(self) -> list[str]:
        """The invariants that do not hold, in words."""
        zero = ("disagreeing", "billed_twice", "charged_twice")
        found = [f"{name} is {getattr(self, name)}, it must be 0" for name in zero if getattr(self, name)]
        if self.invoiced_minor != self.expected_minor:
            found.append(f"{self.invoiced_minor} was invoiced, {self.expected_minor} is owed")
        if self.collections != self.collections_expected:
            found.append(f"{self.collections} invoices are in collections, not {self.collections_expected}")
        if self.deactivations_done != self.deactivations_asked:
            found.append(f"{self.deactivations_done} of {self.deactivations_asked} unpaid services are out of cars")
        wrong = sum(self.usage_sent.get(what, 0) for what in ("unknown", "wrong_unit"))
        if self.usage_parked < wrong:
            found.append(f"{self.usage_parked} uses are parked, at least {wrong} are wrong")
        if not self.late_usage_lines:
            found.append("no late use was billed")
        if self.subscriptions < self.least:
            found.append(f"only {self.subscriptions} subscriptions")
        return [*found, *(f"{row.payer}: ended as {dict(row.ended)}" for row in self.rows if not row.as_expected)]

    def as_json(self) -> dict[str, Any]:
        """Its keys in the report."""
        numbers = asdict(self)
        del numbers["least"]
        return {**numbers, "payers": numbers.pop("rows")}


async def assess_months(
    market: MonthMarket,
    months: Sequence[str],
    transactions: Mapping[str, dict[str, Any]],
    databases: Databases,
    least: int = LEAST_SUBSCRIPTIONS,
) -> MonthReport:
    """`months` were closed, the first one with every kind of payer; `transactions` is the gateway's book."""
    ids = market.ids
    closes = [row for row in await market.closes() if row["period"] in months]
    invoiced = {(row["id"], row["period"]): row["total_minor"] for row in closes if row["total_minor"]}
    owed = {(i, month): minor for month in months for i, minor in (await market.usage.bills(month)).items() if minor}
    owed = {bill: minor for bill, minor in owed.items() if bill[0] in market.subscribers}
    taken = await _taken(ids, transactions, databases)
    collections = await databases.rows("billing", books.COLLECTIONS, ids)
    standings = {row["id"]: row["status"] for row in await databases.rows("billing", books.STANDINGS, ids)}
    ends = (await databases.rows("billing", books.ENDS, ids))[0]
    sent: Counter[str] = Counter()
    for counts in market.sent.values():
        sent.update(counts)
    first = {row["id"]: row for row in closes if row["period"] == months[0]}
    # Of these months alone: when time passes further, services with a flat price are billed for what follows.
    invoices = await databases.number("billing", books.INVOICES, ids, list(months))
    return MonthReport(
        subscriptions=len(ids),
        months=list(months),
        invoices=invoices,
        without_charge=sum(1 for row in closes if not row["total_minor"]),
        invoiced_minor=sum(invoiced.values()),
        expected_minor=sum(owed.values()),
        disagreeing=sum(1 for bill in invoiced.keys() | owed.keys() if invoiced.get(bill) != owed.get(bill)),
        billed_twice=_more_than_one(closes) + invoices - len(invoiced),
        charged_twice=sum(1 for row in closes if taken[row["invoice_id"]] > row["total_minor"]),
        paid_minor=sum(taken.values()),
        collections=len(collections),
        collections_settled=sum(1 for row in collections if row["settled_at"]),
        collections_expected=sum(
            1 for i, row in first.items() if row["invoice_id"] and market.subscribers[i].payer.goes_to_collections
        ),
        usage_sent=dict(sent),
        usage_parked=await databases.number("billing", PARKED_USE),
        late_usage_lines=await databases.number("billing", books.LATE_LINES, ids),
        deactivations_asked=ends["asked"],
        deactivations_done=ends["done"],
        rows=[_row(payer, market, first, standings, taken) for payer in PAYERS],
        least=least,
    )


def _more_than_one(closes: Sequence[Mapping[str, Any]]) -> int:
    """Subscriptions that have more than one closed period, or invoice, for the same month."""
    closed = Counter((row["id"], row["period"]) for row in closes)
    return sum(1 for number in closed.values() if number > 1)


async def _taken(
    ids: Sequence[str], transactions: Mapping[str, dict[str, Any]], databases: Databases
) -> defaultdict[str, int]:
    """What the gateway has taken for each invoice, by its own book, over all attempts."""
    taken: defaultdict[str, int] = defaultdict(int)
    for row in await databases.rows("billing", books.ATTEMPTS, ids):
        transaction = transactions.get(row["payment_id"], {})
        taken[row["invoice_id"]] += transaction.get("captured_minor", 0) - transaction.get("refunded_minor", 0)
    return taken


def _row(
    payer: Payer,
    market: MonthMarket,
    first: Mapping[str, Mapping[str, Any]],
    standings: Mapping[str, str],
    taken: Mapping[str, int],
) -> PayerRow:
    ids = market.of(payer)
    bills = [first[i] for i in ids if i in first and first[i]["invoice_id"]]
    # Who used nothing owes nothing (SUB-5), and neither pays nor fails.
    ended = Counter(standings.get(row["id"], "lost") for row in bills)
    as_billed = all(
        (row["status"] == "paid") == payer.is_paid and row["attempts"] == payer.attempts for row in bills
    ) and all(taken.get(row["invoice_id"], 0) == (row["total_minor"] if payer.is_paid else 0) for row in bills)
    return PayerRow(
        payer=payer.name,
        story=payer.story,
        subscriptions=len(ids),
        invoiced=len(bills),
        ended=dict(ended),
        captured_minor=sum(taken.get(row["invoice_id"], 0) for row in bills),
        as_expected=as_billed and set(ended) == {payer.ends},
    )
