"""Compares the books of all sides after the demo: ours, the gateway's, the cars'. Each counts for itself."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from caas_local.demo import databases as db
from caas_local.demo.actors import Actors
from caas_local.demo.cars.assessing import assess_cars
from caas_local.demo.cars.selling import CarMarket
from caas_local.demo.databases import Databases
from caas_local.demo.life.assessing import assess_lives
from caas_local.demo.life.playing import LifeMarket
from caas_local.demo.month.assessing import assess_months
from caas_local.demo.month.billing import MonthMarket
from caas_local.demo.report import Latency, Outage, OutcomeRow, Report, Trouble, Webhooks, percentile
from caas_local.demo.scenarios import SCENARIOS, Sale, Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """The acts that a play may leave out: trouble at the gateway, what was sold for months, subscribers.

    `months` are the subscribers and which of their months were billed.
    """

    trouble: Trouble | None = None
    lives: LifeMarket | None = None
    months: tuple[MonthMarket, Sequence[str]] | None = None


async def assess(
    sold: Mapping[str, Sale],
    market: CarMarket,
    databases: Databases,
    actors: Actors,
    last_run: Mapping[str, Any],
    duration_s: float,
    more: Played | None = None,
) -> Report:
    """The report. `sold` maps purchase ids to sales; `last_run` is the last reconciliation's report."""
    played = more or Played()
    trouble, months, lives = played.trouble, played.months, played.lives
    webhooks = trouble.webhooks if trouble else Webhooks()
    purchases = {row["id"]: row for row in await databases.rows("orders", db.STATUSES)}
    transactions = await gateway_transactions(actors)
    applied = await applied_activations(actors)
    activations = {row["id"]: row["activation_id"] for row in await databases.rows("payments", db.PAYMENTS)}
    books = await actors.partner("gateway", "/sandbox/books")
    cases = {row["kind"]: int(row["cases"]) for row in await databases.rows("reconciliation", db.OPEN_CASES)}
    ended = Counter(_reached(row["status"]) for row in purchases.values())
    return Report(
        purchases=len(sold),
        activated=ended["active"],
        not_activated=len(purchases) - ended["active"] - ended["declined"],
        declined=ended["declined"],
        captured_minor=await databases.number("payments", db.CAPTURED),
        gateway_captured_minor=books["captured_minor"],
        charged_without_activation=_charged_without_activation(transactions, activations, applied),
        activated_without_charge=_activated_without_charge(purchases.values(), transactions, applied),
        written_off_minor=await databases.number("payments", db.LOST),
        ledger_imbalance_minor=await databases.number("reconciliation", db.IMBALANCE),
        settlement_lines=await databases.number("reconciliation", db.LINES),
        settlement_unmatched=await databases.number("reconciliation", db.UNMATCHED),
        open_cases=sum(cases.values()),
        parked_messages=await databases.parked(),
        double_captures=max(0, books["captures_by_reference_max"] - 1),
        audit_rows_broken=len((await actors.read("payments", "/audit/verify")).get("broken", [])),
        proof_difference_minor=sum(abs(item["difference_minor"]) for item in last_run["proof"]),
        mails=(await actors.partner("mail", "/messages/count"))["count"],
        webhooks_delivered=books["webhooks"]["delivered"],
        webhooks_pending=books["webhooks"]["pending"],
        webhooks_stored=await databases.number("payments", db.WEBHOOKS_STORED),
        webhooks_published=await databases.number("payments", db.WEBHOOKS_PUBLISHED),
        webhooks_duplicate=webhooks.sent_again,
        webhooks_duplicate_not_answered=webhooks.sent_again - webhooks.answered_again,
        webhooks_forged=webhooks.forged,
        webhooks_forged_refused=webhooks.refused,
        webhooks_forged_stored=webhooks.forged_stored,
        gateway_outage=await _outage(trouble.outage, sold, databases, purchases) if trouble else None,
        latency_ms=await _latency(sold, databases, applied, purchases),
        duration_s=round(duration_s, 1),
        cars=await assess_cars(market.orders, market.refused, transactions, databases, actors),
        lives=await assess_lives(lives, transactions, applied, books["refunded_minor"], databases) if lives else None,
        months=await assess_months(*months, transactions, databases) if months else None,
        outcomes=_outcomes(sold, purchases, transactions),
        cases=cases,
    )


async def gateway_transactions(actors: Actors) -> dict[str, dict[str, Any]]:
    """The gateway's whole book by our reference (the payment id)."""
    found: dict[str, dict[str, Any]] = {}
    cursor, more = "0", True
    while more:
        page = await actors.partner("gateway", f"/sandbox/books/transactions?cursor={cursor}&limit=100")
        found |= {transaction["reference"]: transaction for transaction in page["transactions"]}
        cursor, more = page["next_cursor"], page["has_more"]
    return found


async def applied_activations(actors: Actors) -> dict[str, dict[str, Any]]:
    """The activations that the cars' own books say were applied."""
    rows = (await actors.partner("vehicles", "/sandbox/books/activations"))["activations"]
    return {row["activation_id"]: row for row in rows if row["applied_at"]}


def _charged_without_activation(
    transactions: Mapping[str, dict[str, Any]],
    activations: Mapping[str, str | None],
    applied: Mapping[str, dict[str, Any]],
) -> int:
    """Money in the gateway's book for which no car says that it applied the activation (SVC-6).

    Payments of orders and invoices have no activation; a transaction that no payment of ours knows counts.
    """
    charged = [t["reference"] for t in transactions.values() if t["captured_minor"] > t["refunded_minor"]]
    sold = {payment_id for payment_id, activation_id in activations.items() if activation_id is None}
    return sum(1 for payment_id in charged if payment_id not in sold and activations.get(payment_id) not in applied)


def _activated_without_charge(
    purchases: Any, transactions: Mapping[str, dict[str, Any]], applied: Mapping[str, dict[str, Any]]
) -> int:
    """Services active in a car that are neither captured in the gateway's book nor written off by us."""
    wrong = 0
    for row in purchases:
        active = row["activation_id"] in applied and not applied[row["activation_id"]]["deactivated_at"]
        captured = transactions.get(row["payment_id"], {}).get("captured_minor", 0) > 0
        wrong += (active or row["status"] == "active") and not captured and row["money"] != "written_off"
    return wrong


def _outcomes(
    sold: Mapping[str, Sale], purchases: Mapping[str, Any], transactions: Mapping[str, dict[str, Any]]
) -> list[OutcomeRow]:
    by_scenario: dict[str, list[str]] = defaultdict(list)
    for purchase_id, sale in sold.items():
        by_scenario[sale.scenario.name].append(purchase_id)
    rows = []
    for scenario in SCENARIOS:
        ids = by_scenario[scenario.name]
        ended = Counter(purchases[i]["status"] if i in purchases else "lost" for i in ids)
        captured = [transactions.get(purchases[i]["payment_id"], {}).get("captured_minor", 0) for i in ids]
        outcomes = [
            (_reached(purchases[i]["status"]) if i in purchases else "lost", amount > 0)
            for i, amount in zip(ids, captured, strict=True)
        ]
        rows.append(
            OutcomeRow(
                scenario=scenario.name,
                story=scenario.story,
                purchases=len(ids),
                ended=dict(ended),
                captured_minor=sum(captured),
                as_expected=_is_expected(scenario, outcomes),
            )
        )
    return rows


def _reached(status: str) -> str:
    """What ended after its time was active before (SVC-9); months pass here."""
    return "active" if status in ("expired", "withdrawing", "withdrawn") else status


def _is_expected(scenario: Scenario, outcomes: Sequence[tuple[str, bool]]) -> bool:
    """Whether each status, and whether it was charged, is what the scenario comes to."""
    wanted = (scenario.ends, scenario.charged)
    if scenario.may_fail:
        return wanted in outcomes and set(outcomes) <= {wanted, ("failed", False)}
    return bool(outcomes) and set(outcomes) == {wanted}


async def _outage(
    outage: Outage, sold: Mapping[str, Sale], databases: Databases, purchases: Mapping[str, Any]
) -> dict[str, float]:
    bought = [purchases[i] for i, sale in sold.items() if sale.scenario.outage and i in purchases]
    tried_again = await databases.number("payments", db.TRIED_AGAIN, [row["payment_id"] for row in bought])
    activated = sum(_reached(row["status"]) == "active" for row in bought)
    return {**asdict(outage), "activated": activated, "tried_again": tried_again}


async def _latency(
    sold: Mapping[str, Sale], databases: Databases, applied: Mapping[str, dict[str, Any]], purchases: Mapping[str, Any]
) -> Latency:
    rows = await databases.rows("orders", db.DURATIONS)
    every: dict[str, float] = {}
    for row in rows:
        if row["id"] not in sold:  # Subscribing, and what waits for its date, are not sold here.
            continue
        car = applied.get(purchases[row["id"]]["activation_id"], {}).get("vehicle_time_ms") or 0
        every[row["id"]] = max(0.0, row["ms"] - car)
    plain: Sequence[float] = [ms for i, ms in every.items() if sold[i].scenario.faultless]
    return Latency(percentile(plain, 50), percentile(plain, 99), percentile(list(every.values()), 99))
