"""Sells the cars through the public interfaces, and plays the partners: the factory builds when it is told to.

Every wait has a deadline; what is not reached within it is said by name.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import asyncpg
import httpx

from caas_local.demo.actors import Actors, RequestFailed
from caas_local.demo.cars import scenarios as wanted
from caas_local.demo.cars.scenarios import CarSale, CarScenario
from caas_local.demo.databases import Databases

WITHIN_S: Final = 240.0
"""A payment that is given up takes a minute and a half: the pauses of GW-2 and those of the circuit breaker."""
OUTAGE: Final = timedelta(hours=6)
OUTAGE_OF_GATEWAY_S: Final = 6.0
"""Longer than the first pauses of GW-2 (2 and 4 s)."""
VEHICLE_ORDERS: Final = """
SELECT order_id::text AS id, status, problem, reason, submission, vehicle_id, customer_id, final_attempts,
    reservation_payment_id::text, final_payment_id::text, paid_at
FROM vehicle_orders
"""


class CarMarket:
    """The acts of the cars, in the order in which they happen."""

    def __init__(
        self, actors: Actors, databases: Databases, move_clock: Callable[[timedelta], None], advance: Callable[[], None]
    ) -> None:
        self._actors = actors
        self._databases = databases
        self._move_clock = move_clock
        self._advance = advance
        self.orders: dict[str, CarSale] = {}
        self.refused: list[CarSale] = []

    async def run(self, sales: Sequence[CarSale]) -> None:
        """Sell them all; what waits for its deadline is left to the days that pass afterwards."""
        at_once = [s for s in sales if not s.scenario.from_stock and s.scenario is not wanted.FACTORY_DOWN]
        await self._together(self._reserve(sale) for sale in at_once)
        await self._until("ordered", self._of(*_BUILT) - self._of(wanted.FACTORY_DOWN))
        await self._reserve_without_factory([s for s in sales if s.scenario is wanted.FACTORY_DOWN])
        built = self._of(*_BUILT)
        await self._together(self._build(order_id) for order_id in sorted(built))
        await self._until("ready", built)
        without_gateway = self._of(wanted.GATEWAY_DOWN)
        await self._pay_without_gateway(sorted(without_gateway))
        await self._pay_unavailable_gateway(sorted(self._of(wanted.GATEWAY_BUSY)))
        payable = built - without_gateway
        await self._together(self._pay(i) for i in sorted(payable) if self.orders[i].scenario.final_card)
        await self._until("payment_failed", self._of(wanted.FORFEITED))
        await self._resell([s for s in sales if s.scenario.from_stock])
        await self._hand_over(sorted(i for i, sale in self.orders.items() if sale.scenario.is_delivered))

    async def _reserve(self, sale: CarSale, vehicle_id: str | None = None, wait_s: int = 30) -> httpx.Response:
        configured = {"model": sale.model, "options": sale.options, "dealership": "madrid-norte"}
        body: dict[str, Any] = {
            **(configured if vehicle_id is None else {"vehicle_id": vehicle_id}),
            "customer": _customer(sale),
            "payment_method": f"{sale.scenario.card}:{sale.customer_id}",
        }
        answer = await self._post(sale, "/vehicle-orders", body, f"car-{sale.number}", wait_s)
        story = answer.json()
        order = story.get("vehicle_order", story)
        if "order_id" in order:
            self.orders[order["order_id"]] = sale
        declined = sale.scenario is wanted.DECLINED
        if vehicle_id is None and answer.status_code != (402 if declined else 201):
            raise RequestFailed(answer)
        if declined:
            self._advance()
        return answer

    async def _reserve_without_factory(self, sales: Sequence[CarSale]) -> None:
        """RES-4: the factory is away for hours; the orders stay reserved, and none is lost or doubled."""
        outage = {"kind": "outage", "for_s": int(OUTAGE.total_seconds())}
        await self._actors.tell_partner("factory", "/sandbox/faults", outage)
        await self._together(self._reserve(sale) for sale in sales)
        waiting = self._of(wanted.FACTORY_DOWN)
        await asyncio.sleep(3.0)
        await self._until("reserved", waiting)
        self._move_clock(OUTAGE)
        await self._until("ordered", waiting)

    async def _build(self, order_id: str) -> None:
        for _ in ("built", "arrived"):
            await self._actors.tell_partner("factory", f"/sandbox/advance?reference={order_id}", {})

    async def _pay_without_gateway(self, order_ids: Sequence[str]) -> None:
        """GW-4: the gateway is away; the payment is not lost and not doubled, it is taken when the gateway is back."""
        await self._actors.tell_partner("gateway", "/sandbox/faults", {"kind": "outage"})
        await self._together(self._begin_paying(order_id) for order_id in order_ids)
        await asyncio.sleep(OUTAGE_OF_GATEWAY_S)
        await self._actors.clear_faults("gateway")
        await self._until("paid", set(order_ids))

    async def _pay_unavailable_gateway(self, order_ids: Sequence[str]) -> None:
        """FIN-5: the gateway takes no sale for longer than it is asked; the customer loses nothing, and pays again."""
        busy = {"kind": "503", "times": 1000}
        await self._actors.tell_partner("gateway", "/sandbox/faults", {**busy, "operation": "authorize"})
        await self._together(self._begin_paying(order_id) for order_id in order_ids)
        await self._until("ready", set(order_ids))
        await self._actors.clear_faults("gateway")

    async def _begin_paying(self, order_id: str) -> None:
        sale = self.orders[order_id]
        body = {"payment_method": f"tok_approved:{sale.customer_id}"}
        await self._post(sale, f"/vehicle-orders/{order_id}/final-payment", body, f"early-{order_id}", 1)

    async def _pay(self, order_id: str) -> None:
        sale = self.orders[order_id]
        body = {"payment_method": f"{sale.scenario.final_card}:{sale.customer_id}"}
        path = f"/vehicle-orders/{order_id}/final-payment"
        answer = await self._post(sale, path, body, f"final-{order_id}", 30)
        if answer.status_code != (402 if sale.scenario is wanted.FORFEITED else 201):
            raise RequestFailed(answer)

    async def _resell(self, sales: Sequence[CarSale]) -> None:
        """RES-6: each forfeited car is wanted by two customers in the same instant; one gets it."""
        forfeited = self._of(wanted.FORFEITED)
        cars = [row["vehicle_id"] for row in await self._rows() if row["id"] in forfeited]
        await self._on_sale(cars)
        first = [sale for sale in sales if sale.scenario is wanted.RESOLD]
        second = [sale for sale in sales if sale.scenario is wanted.TOO_LATE]
        await self._together(self._race(*race) for race in zip(cars, first, second, strict=True))
        bought = self._of(wanted.RESOLD)
        await self._until("ready", bought)
        await self._together(self._pay(order_id) for order_id in sorted(bought))

    async def _race(self, vehicle_id: str, one: CarSale, other: CarSale) -> None:
        answers = await asyncio.gather(self._reserve(one, vehicle_id), self._reserve(other, vehicle_id))
        won = [answer.status_code == 201 for answer in answers]
        if sorted(won) != [False, True]:
            raise AssertionError(f"two customers wanted {vehicle_id}: {[answer.status_code for answer in answers]}")
        winner, loser = (one, other) if won[0] else (other, one)
        order_id = answers[won.index(True)].json()["order_id"]
        # Whoever was faster is the one who bought it.
        self.orders[order_id] = CarSale(winner.number, wanted.RESOLD)
        lost = [i for i, sale in self.orders.items() if sale.customer_id == loser.customer_id]
        for i in lost:
            del self.orders[i]
        self.refused.append(CarSale(loser.number, wanted.TOO_LATE))
        self._advance()

    async def _on_sale(self, cars: Iterable[str]) -> None:
        found = await self._actors.get_as("customer", "B-00001", "orders", "/stock?limit=200")
        missing = set(cars) - {vehicle["vehicle_id"] for vehicle in found.json()["vehicles"]}
        if missing:
            raise AssertionError(f"forfeited, but not on sale: {', '.join(sorted(missing))}")

    async def _hand_over(self, order_ids: Sequence[str]) -> None:
        """FIN-3: plates, some only after a correction, then the way to the customer."""
        await self._until("registering", set(order_ids))
        rejected = self._of(wanted.REJECTED)
        applications = await self._applications(set(order_ids))
        for order_id in sorted(rejected):
            reason = {"kind": "rejection", "operation": "step", "reason": "tax_id_unknown"}
            fault = {**reason, "reference": applications[order_id]}
            await self._actors.tell_partner("registration", "/sandbox/faults", fault)
        await self._together(self._decide(reference) for reference in applications.values())
        await self._until_problem(rejected)
        for order_id in sorted(rejected):
            await self._actors.post_as("operator", "demo", "orders", f"/vehicle-orders/{order_id}/resubmission", {})
        corrected = await self._applications(rejected)
        await self._together(self._decide(reference) for reference in corrected.values())
        await self._until("delivery_scheduled", set(order_ids))
        for order_id in order_ids:
            await self._actors.tell_partner("transport", f"/sandbox/advance?reference={order_id}", {})
            self._advance()
        await self._until("delivered", set(order_ids))

    async def _applications(self, order_ids: set[str]) -> dict[str, str]:
        """What the administration knows each order's newest application by."""
        return {row["id"]: f"{row['id']}:{row['submission']}" for row in await self._rows() if row["id"] in order_ids}

    async def _decide(self, reference: str) -> None:
        """The administration decides; it may not have the application yet."""
        for pause_s in (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0):
            try:
                await self._actors.tell_partner("registration", f"/sandbox/advance?reference={reference}", {})
            except RequestFailed as failed:
                if failed.status != 404:
                    raise
                await asyncio.sleep(pause_s)
            else:
                return
        raise TimeoutError(f"the administration never got the application {reference}")

    async def _post(self, sale: CarSale, path: str, body: Mapping[str, Any], key: str, wait_s: int) -> httpx.Response:
        headers = {"Idempotency-Key": f"demo-{key}", "Prefer": f"wait={wait_s}"}
        return await self._actors.post_as("customer", sale.customer_id, "orders", path, body, headers)

    def _of(self, *chosen: CarScenario) -> set[str]:
        return {order_id for order_id, sale in self.orders.items() if sale.scenario in chosen}

    async def _rows(self) -> list[asyncpg.Record]:
        return await self._databases.rows("orders", VEHICLE_ORDERS)

    async def _until(self, status: str, order_ids: set[str]) -> None:
        """Wait until these orders have reached a status, or one behind it."""
        fine = _AT_LEAST[status]

        def missing(row: asyncpg.Record) -> bool:
            return row["status"] not in fine

        await self._wait(order_ids, missing, status)

    async def _until_problem(self, order_ids: set[str]) -> None:
        await self._wait(order_ids, lambda row: not row["problem"], "rejected")

    async def _wait(self, order_ids: set[str], missing: Callable[[asyncpg.Record], bool], what: str) -> None:
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while True:
            late = [row for row in await self._rows() if row["id"] in order_ids and missing(row)]
            if not late:
                return
            if asyncio.get_running_loop().time() > deadline:
                names = sorted({f"{self.orders[row['id']].scenario.name} ({row['status']})" for row in late})
                raise TimeoutError(f"{len(late)} vehicle orders are not {what}: {', '.join(names)}")
            await asyncio.sleep(0.2)

    async def _together(self, works: Iterable[Any]) -> None:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)


_BUILT: Final = tuple(
    scenario for scenario in wanted.CAR_SCENARIOS if not scenario.from_stock and scenario is not wanted.DECLINED
)
_PATH: Final = (
    "reserved", "ordered", "built", "ready", "paying", "paid", "registering", "registered", "delivery_scheduled",
    "delivered",
)  # fmt: skip
_AT_LEAST: Final = {status: frozenset(_PATH[place:]) for place, status in enumerate(_PATH)} | {
    "ready": frozenset({"ready"}),
    "reserved": frozenset({"reserved"}),
    "payment_failed": frozenset({"payment_failed"}),
}


def _customer(sale: CarSale) -> dict[str, str]:
    return {
        "name": f"Customer {sale.customer_id}",
        "email": f"{sale.customer_id.lower()}@customers.example",
        "language": "en" if sale.number % 2 else "es",
        "tax_id": f"1234{sale.number:04d}Z",
    }
