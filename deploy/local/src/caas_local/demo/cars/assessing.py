"""Compares the books of orders, gateway, factory, administration and transport on the cars that were sold."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import asyncpg

from caas_local.demo.actors import Actors
from caas_local.demo.cars.scenarios import CAR_SCENARIOS, CarSale
from caas_local.demo.cars.selling import VEHICLE_ORDERS
from caas_local.demo.databases import Databases

CAR_PAYMENTS: Final = "SELECT id::text, purpose FROM payments WHERE purpose IN ('reservation', 'final')"
LEAST_ORDERS: Final = 50
_NOT_RESERVED: Final = frozenset({"reserving", "declined"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CarRow:
    """One scenario of cars: how many customers, what their orders ended as, what the gateway holds for them."""

    scenario: str
    story: str
    orders: int
    ended: Mapping[str, int]
    captured_minor: int
    as_expected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CarReport:
    """What the cars add to the demo's report."""

    vehicle_orders: int
    delivered: int
    forfeited: int
    resold: int
    charged_without_order: int
    double_sold: int
    rows: Sequence[CarRow]

    @property
    def broken(self) -> list[str]:
        """The invariants that do not hold, in words."""
        zero = ("charged_without_order", "double_sold")
        found = [f"{name} is {getattr(self, name)}, it must be 0" for name in zero if getattr(self, name) != 0]
        found += [f"{row.scenario}: ended as {dict(row.ended)}" for row in self.rows if not row.as_expected]
        if self.vehicle_orders < LEAST_ORDERS:
            found.append(f"only {self.vehicle_orders} vehicle orders")
        return found

    def as_json(self) -> dict[str, Any]:
        """Its keys in the report."""
        numbers = asdict(self)
        return {**numbers, "car_outcomes": numbers.pop("rows")}


async def assess_cars(
    orders: Mapping[str, CarSale],
    refused: Sequence[CarSale],
    transactions: Mapping[str, dict[str, Any]],
    databases: Databases,
    actors: Actors,
) -> CarReport:
    """`orders` maps order ids to sales, `refused` are those who got none, `transactions` is the gateway's book."""
    rows = await databases.rows("orders", VEHICLE_ORDERS)
    purposes = {row["id"]: row["purpose"] for row in await databases.rows("payments", CAR_PAYMENTS)}
    by_id = {row["id"]: row for row in rows}
    ended = Counter(row["status"] for row in rows)
    return CarReport(
        vehicle_orders=len(rows),
        delivered=ended["delivered"],
        forfeited=ended["payment_failed"],
        resold=_resold(rows),
        charged_without_order=_charged_without_order(rows, purposes, transactions),
        double_sold=await _double_sold(rows, actors),
        rows=_rows(orders, refused, by_id, transactions),
    )


def _resold(rows: Sequence[asyncpg.Record]) -> int:
    """Cars that one customer forfeited and another has."""
    forfeited = {row["vehicle_id"] for row in rows if row["status"] == "payment_failed"}
    return len(forfeited & {row["vehicle_id"] for row in rows if row["status"] == "delivered"})


def _charged_without_order(
    rows: Sequence[asyncpg.Record], purposes: Mapping[str, str], transactions: Mapping[str, dict[str, Any]]
) -> int:
    """Payments for cars whose money the gateway has, for which there is no order that stands, or no paid one."""
    due = {row["reservation_payment_id"] for row in rows if row["status"] not in _NOT_RESERVED}
    due |= {row["final_payment_id"] for row in rows if row["paid_at"] is not None}
    kept = [t["reference"] for t in transactions.values() if t["captured_minor"] > t["refunded_minor"]]
    return sum(1 for payment_id in kept if payment_id in purposes and payment_id not in due)


async def _double_sold(rows: Sequence[asyncpg.Record], actors: Actors) -> int:
    """Cars that two have, or that a partner built, registered or delivered twice, by the partners' own books."""
    owners = Counter(row["vehicle_id"] for row in rows if row["paid_at"] is not None)
    built = Counter(one["reference"] for one in await _commissions(actors, "factory", "orders"))
    registered = Counter(
        one["vin"] for one in await _commissions(actors, "registration", "registrations") if one["plates"]
    )
    brought = Counter(one["vin"] for one in await _commissions(actors, "transport", "deliveries"))
    return sum(1 for counted in (owners, built, registered, brought) for number in counted.values() if number > 1)


async def _commissions(actors: Actors, partner: str, plural: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor, more = 0, True
    while more:
        page = await actors.partner(partner, f"/sandbox/books/{plural}?cursor={cursor}&limit=1000")
        found += page[plural]
        cursor, more = page["next_cursor"], page["has_more"]
    return found


def _rows(
    orders: Mapping[str, CarSale],
    refused: Sequence[CarSale],
    by_id: Mapping[str, asyncpg.Record],
    transactions: Mapping[str, dict[str, Any]],
) -> list[CarRow]:
    rows = []
    for scenario in CAR_SCENARIOS:
        mine = [by_id[order_id] for order_id, sale in orders.items() if sale.scenario.name == scenario.name]
        ended = Counter(row["status"] for row in mine)
        turned_away = sum(1 for sale in refused if sale.scenario.name == scenario.name)
        if turned_away:
            ended["refused"] = turned_away
        rows.append(
            CarRow(
                scenario=scenario.name,
                story=scenario.story,
                orders=len(mine) + turned_away,
                ended=dict(ended),
                captured_minor=sum(_kept(row, transactions) for row in mine),
                as_expected=ended == {scenario.ends: scenario.number},
            )
        )
    return rows


def _kept(order: asyncpg.Record, transactions: Mapping[str, dict[str, Any]]) -> int:
    payments = (order["reservation_payment_id"], order["final_payment_id"])
    found = [transactions[payment_id] for payment_id in payments if payment_id in transactions]
    return sum(transaction["captured_minor"] - transaction["refunded_minor"] for transaction in found)
