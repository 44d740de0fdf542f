"""Customers who buy vehicles while services die, and the partners who build, register and bring them.

Whoever asks repeats the same request until it is served; what a partner has done is read in its own books.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx

from caas_local.layout import SUPPLIERS, Layout
from caas_local.tokens import fetch_token

ENDED: Final = frozenset({"declined", "payment_failed", "delivered"})
_NEVER_PAYS: Final = 3
_DECLINED_AT_THE_END: Final = 4
_DECLINED_AT_ONCE: Final = 5
_KINDS: Final = 6
"""Of six customers three get their vehicle, and one each fails in every way there is."""

type Request = Callable[[], Awaitable[httpx.Response]]


class Showroom:
    """`insist` repeats a request until a living service answers it."""

    def __init__(
        self, layout: Layout, client: httpx.AsyncClient, insist: Callable[[Request], Awaitable[httpx.Response]]
    ) -> None:
        self._layout = layout
        self._client = client
        self._insist = insist
        self._tokens: dict[str, str] = {}
        self._customers: dict[str, int] = {}
        self._visits = 0

    async def visit(self) -> None:
        """One new customer comes, and everything that can happen to the orders of the others happens."""
        await self._reserve(self._visits)
        self._visits += 1
        await self.push()

    async def push(self) -> bool:
        """Take every order a step further; whether all have ended."""
        orders = [await self._read(order_id) for order_id in self._customers]
        for order in orders:
            await self._push(order)
        return all(order["status"] in ENDED for order in orders)

    async def waits_for_time(self) -> bool:
        """Whether only vehicles are left that nobody will pay before their deadline (FIN-6)."""
        orders = [await self._read(order_id) for order_id in self._customers]
        left = [order for order in orders if order["status"] not in ENDED]
        kinds = {self._customers[order["order_id"]] % _KINDS for order in left if order["status"] == "ready"}
        return bool(left) and kinds == {_NEVER_PAYS} and all(order["status"] == "ready" for order in left)

    async def waiting(self) -> dict[str, str]:
        """The orders that have not ended, by their customer's number and what they are for, with their status."""
        found: dict[str, str] = {}
        for order_id, number in self._customers.items():
            status = (await self._read(order_id))["status"]
            if status not in ENDED:
                found[f"{number} of kind {number % _KINDS}"] = status
        return found

    async def doubles(self) -> dict[str, int]:
        """By partner, how often it did at most one and the same thing for us: more than 1 is a double."""
        found: dict[str, int] = {}
        for name in SUPPLIERS:
            books = (await self._client.get(f"{self._layout.url(name)}/sandbox/books")).raise_for_status()
            found[name] = books.json()["by_reference_max"]
        return found

    async def _reserve(self, number: int) -> None:
        card = "tok_declined" if number % _KINDS == _DECLINED_AT_ONCE else "tok_approved"
        customer = {"name": f"Buyer {number}", "email": f"buyer-{number}@customers.example", "tax_id": "12345678Z"}
        body = {"model": "caas-one", "dealership": "madrid-norte", "payment_method": card, "customer": customer}
        answer = await self._post(number, "/vehicle-orders", body, f"showroom-{number}")
        self._customers[answer.json()["order_id"]] = number

    async def _push(self, order: dict[str, Any]) -> None:
        number, order_id = self._customers[order["order_id"]], order["order_id"]
        match order["status"]:
            case "ordered" | "built":
                await self._advance("factory", order_id)
            case "ready" if number % _KINDS != _NEVER_PAYS:
                card = "tok_insufficient_funds" if number % _KINDS == _DECLINED_AT_THE_END else "tok_approved"
                path = f"/vehicle-orders/{order_id}/final-payment"
                # A payment that could not be made moves the deadline on, and is made again: another wish (FIN-5).
                wish = f"showroom-final-{number}-{order['pay_before']}"
                await self._post(number, path, {"payment_method": card}, wish)
            case "registering":
                await self._advance("registration", f"{order_id}:1")
            case "delivery_scheduled":
                await self._advance("transport", order_id)
            case _:
                pass

    async def _read(self, order_id: str) -> dict[str, Any]:
        headers = await self._as(self._customers[order_id])
        url = f"{self._layout.url('orders')}/vehicle-orders/{order_id}"
        answer = await self._insist(lambda: self._client.get(url, headers=headers))
        order: dict[str, Any] = answer.raise_for_status().json()
        return order

    async def _post(self, number: int, path: str, body: dict[str, Any], key: str) -> httpx.Response:
        headers = {**await self._as(number), "Idempotency-Key": key, "Prefer": "wait=0"}
        url = f"{self._layout.url('orders')}{path}"
        return await self._insist(lambda: self._client.post(url, json=body, headers=headers))

    async def _advance(self, partner: str, reference: str) -> None:
        """404 when it has nothing left to do for us: its word of that is still on the way."""
        url = f"{self._layout.url(partner)}/sandbox/advance"
        answer = await self._client.post(url, params={"reference": reference})
        assert answer.status_code in (200, 404), answer.text

    async def _as(self, number: int) -> dict[str, str]:
        subject = f"buyer-{number}"
        if subject not in self._tokens:
            self._tokens[subject] = await fetch_token(self._layout, subject, ["customer"])
        return {"Authorization": f"Bearer {self._tokens[subject]}"}
