"""What the demo does through the public interfaces: registering, buying, cancelling, moving time, reconciling."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from caas_local.demo.scenarios import Sale
from caas_local.layout import Layout
from caas_local.tokens import fetch_token_with

CONCURRENCY: Final = 16
_EQUIPMENT: Final = ["seat-heating", "front-radar", "front-camera", "tow-bar"]


class RequestFailed(Exception):
    """A request was not served; `status` is the HTTP status."""

    def __init__(self, response: httpx.Response) -> None:
        where = f"{response.request.method} {response.request.url}"
        super().__init__(f"{where}: {response.status_code} {response.text[:500]}")
        self.status = response.status_code


@dataclass(frozen=True, slots=True)
class Car:
    """A car and who owns it; `behaviour` and `maintenance` are the sandbox's."""

    vehicle_id: str
    customer_id: str
    behaviour: str = "obey"
    maintenance: str = "current"


class Actors:
    """Operators and customers, each with a token of their own, speaking HTTP to the services."""

    def __init__(self, layout: Layout, client: httpx.AsyncClient) -> None:
        self._layout = layout
        self.client = client
        self._tokens: dict[str, str] = {}
        self._minting = asyncio.Lock()
        self._limit = asyncio.Semaphore(CONCURRENCY)

    async def register(self, sales: Sequence[Sale], advance: Callable[[], None]) -> None:
        """Tell the sandbox how each car and its maintenance behave, and orders who owns it."""
        cars = [
            Car(sale.vehicle_id, sale.customer_id, sale.scenario.behaviour, sale.scenario.maintenance) for sale in sales
        ]
        await self.register_cars(cars, advance)

    async def register_cars(self, cars: Sequence[Car], advance: Callable[[], None]) -> None:
        """The same for cars, of whatever they are to be sold."""
        told = [{"vehicle_id": car.vehicle_id, "behaviour": car.behaviour} for car in cars]
        response = await self.client.post(f"{self._layout.url('vehicles')}/vehicles/batch", json=told)
        keys = {car["vehicle_id"]: car["public_key"] for car in _ok(response).json()}
        await _in_parallel([self._register_maintenance(car) for car in cars])
        customers = sorted({car.customer_id for car in cars})
        await _in_parallel([self._register_customer(customer) for customer in customers])

        async def register_car(car: Car) -> None:
            await self._register_vehicle(car, keys[car.vehicle_id])
            advance()

        await _in_parallel([register_car(car) for car in cars])

    async def buy(self, sale: Sale) -> str:
        """Place the purchase as its customer; returns its id. Sent twice: the second answer must be the same."""
        headers = {**await self._as("customer", sale.customer_id), "Idempotency-Key": f"demo-{sale.number}"}
        body = self._purchase(sale)
        async with self._limit:
            url = f"{self._layout.url('orders')}/purchases"
            first = _ok(await self.client.post(url, json=body, headers=headers)).json()
            if sale.number % 10 == 0:
                again = _ok(await self.client.post(url, json=body, headers=headers)).json()
                if again["purchase_id"] != first["purchase_id"]:
                    raise AssertionError("the same Idempotency-Key made two purchases")
        return str(first["purchase_id"])

    async def buy_again_with_other_body(self, sale: Sale, other: Sale) -> httpx.Response:
        """The key of one purchase with the content of another: what a client must not do."""
        headers = {**await self._as("customer", sale.customer_id), "Idempotency-Key": f"demo-{sale.number}"}
        body = self._purchase(other)
        return await self.client.post(f"{self._layout.url('orders')}/purchases", json=body, headers=headers)

    async def get_as(self, role: str, subject: str, service: str, path: str) -> httpx.Response:
        """What somebody sees at a path of a service."""
        return await self.client.get(f"{self._layout.url(service)}{path}", headers=await self._as(role, subject))

    async def post_as(
        self,
        role: str,
        subject: str,
        service: str,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """What somebody is answered who posts to a service; refusals are answers, too."""
        whole = {**await self._as(role, subject), **(headers or {})}
        async with self._limit:
            return await self.client.post(f"{self._layout.url(service)}{path}", json=body, headers=whole, timeout=60.0)

    async def put_as(self, role: str, subject: str, service: str, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """What somebody is answered who replaces something of a service."""
        headers = await self._as(role, subject)
        async with self._limit:
            return await self.client.put(f"{self._layout.url(service)}{path}", json=body, headers=headers, timeout=60.0)

    async def cancel(self, sale: Sale, purchase_id: str) -> None:
        """Give the purchase up, as its customer."""
        headers = await self._as("customer", sale.customer_id)
        url = f"{self._layout.url('orders')}/purchases/{purchase_id}/cancellation"
        _ok(await self.client.post(url, json={}, headers=headers))

    async def reconcile(self) -> dict[str, Any]:
        """Run the reconciliation until the feed has nothing new; returns the last run's report.

        A run that was already going, such as the hourly one, may have read the feed before the newest lines.
        """
        headers = {**await self._as("operator", "demo"), "Prefer": "wait=30"}
        url = f"{self._layout.url('reconciliation')}/runs"
        run: dict[str, Any] = {}
        for _ in range(10):
            run = _ok(await self.client.post(url, headers=headers, timeout=40.0)).json()
            if run["status"] == "completed" and run["lines"] == 0:
                break
        report = _ok(await self.client.get(f"{url}/{run['run_id']}/report", headers=headers)).json()
        assert isinstance(report, dict)
        return report

    async def read(self, service: str, path: str) -> Any:
        """What an operator sees at a path of a service."""
        headers = await self._as("operator", "demo")
        return _ok(await self.client.get(f"{self._layout.url(service)}{path}", headers=headers)).json()

    async def send_webhook(self, headers: Mapping[str, str], body: str) -> int:
        """Send a webhook to the bridge, as the gateway or somebody who claims to be it; returns the status."""
        async with self._limit:
            url = f"{self._layout.url('payments')}/webhooks/gateway"
            return (await self.client.post(url, content=body.encode(), headers=dict(headers))).status_code

    async def partner(self, partner: str, path: str) -> Any:
        """A page of a partner's own books."""
        return _ok(await self.client.get(f"{self._layout.url(partner)}{path}")).json()

    async def tell_partner(self, partner: str, path: str, body: Mapping[str, Any] | Sequence[Any]) -> Any:
        """Have a partner of the sandbox do something: what goes wrong, or its next step."""
        return _ok(await self.client.post(f"{self._layout.url(partner)}{path}", json=body)).json()

    async def clear_faults(self, partner: str) -> None:
        """Let everything go well again at a partner."""
        _ok(await self.client.delete(f"{self._layout.url(partner)}/sandbox/faults"))

    def _purchase(self, sale: Sale) -> dict[str, Any]:
        return {
            "vehicle_id": sale.vehicle_id,
            "service_code": sale.service_code,
            "kind": "temporary" if sale.duration_days else "permanent",
            "duration_days": sale.duration_days,
            "payment_method": f"{sale.scenario.card}:{sale.customer_id}",
            "immediate_performance_consent": True,
        }

    async def _register_maintenance(self, car: Car) -> None:
        async with self._limit:
            url = f"{self._layout.url('vss')}/vehicles/{car.vehicle_id}"
            _ok(await self.client.put(url, json={"state": car.maintenance}))

    async def _register_customer(self, customer_id: str) -> None:
        async with self._limit:
            body = {
                "name": f"Customer {customer_id}",
                "email": f"{customer_id.lower()}@customers.example",
                "language": "en" if customer_id.endswith(("1", "3")) else "es",
            }
            url = f"{self._layout.url('orders')}/customers/{customer_id}"
            _ok(await self.client.put(url, json=body, headers=await self._as("operator", "demo")))

    async def _register_vehicle(self, car: Car, public_key: str) -> None:
        async with self._limit:
            body = {
                "customer_id": car.customer_id,
                "model": "caas-cross",
                "equipment": _EQUIPMENT,
                "public_key": public_key,
            }
            url = f"{self._layout.url('orders')}/vehicles/{car.vehicle_id}"
            _ok(await self.client.put(url, json=body, headers=await self._as("operator", "demo")))

    async def _as(self, role: str, subject: str) -> dict[str, str]:
        async with self._minting:
            if subject not in self._tokens:
                self._tokens[subject] = await fetch_token_with(self.client, self._layout, subject, [role])
        return {"Authorization": f"Bearer {self._tokens[subject]}"}


async def _in_parallel(works: Sequence[Coroutine[None, None, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)


def _ok(response: httpx.Response) -> httpx.Response:
    if response.status_code >= 400:
        raise RequestFailed(response)
    return response
