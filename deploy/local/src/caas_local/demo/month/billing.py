"""The acts of a month, in the order in which they happen: subscribe, use, close, charge, remind, pay or lose.

Every wait has a deadline; what is not reached within it is said by name.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx

from caas_local.demo.actors import Actors, Car, RequestFailed
from caas_local.demo.databases import Databases
from caas_local.demo.month import books, scenarios
from caas_local.demo.month.scenarios import Payer, Subscriber
from caas_local.demo.month.usage import Usage
from caas_local.platform import Platform

ZONE: Final = ZoneInfo("Europe/Madrid")
WITHIN_S: Final = 240.0
OUTAGE_S: Final = 4.0
ROUNDS: Final = 12
"""Of dunning: two attempts, the ends of links, and what a gateway that was away makes of both."""

type Begin = Callable[[str, int], Callable[[int], None]]
"""Begins an act of so many steps; what it returns is told how many are done."""


class MonthMarket:
    """Subscribers and what becomes of their bills. `subscribers` and `ids` are known once they have subscribed."""

    def __init__(self, platform: Platform, actors: Actors, databases: Databases, begin: Begin) -> None:
        self._platform = platform
        self._actors = actors
        self._databases = databases
        self._begin = begin
        self.usage = Usage(actors, databases)
        self.subscribers: dict[str, Subscriber] = {}
        self.sent: dict[str, Mapping[str, int]] = {}

    @property
    def ids(self) -> list[str]:
        """All subscriptions."""
        return list(self.subscribers)

    def of(self, *payers: Payer) -> list[str]:
        """The subscriptions of these payers."""
        return [i for i, subscriber in self.subscribers.items() if subscriber.payer in payers]

    def move_to(self, at: datetime) -> None:
        """Make it this late, if it is not later already."""
        self._platform.move_clock(max(timedelta(0), at - self.now()))

    def now(self) -> datetime:
        """Business time, as a clock in Madrid shows it."""
        return self._platform.clock().now().astimezone(ZONE)

    async def subscribe(self, subscribers: Sequence[Subscriber]) -> None:
        """SUB-1: register cars and customers, and buy; each is active at once, in its car and in billing."""
        await self.buy(subscribers)
        await self.until_active()

    async def buy(self, subscribers: Sequence[Subscriber]) -> None:
        """Register and buy, without waiting for the cars; done again, it buys nothing more."""
        cars = sorted({(one.vehicle_id, one.customer_id) for one in subscribers})
        registered, registering = itertools.count(1), self._begin("registering subscribers' cars", len(cars))
        await self._actors.register_cars([Car(*car) for car in cars], lambda: registering(next(registered)))
        bought, buying = itertools.count(1), self._begin("subscribing", len(subscribers))

        async def buy(subscriber: Subscriber) -> None:
            self.subscribers[await self._buy(subscriber)] = subscriber
            buying(next(bought))

        await together(buy(subscriber) for subscriber in subscribers)

    async def until_active(self) -> None:
        """Wait until billing knows all of them, which it does once their cars have applied the service.

        Who was refused because a partner was too busy to answer in time (SVC-2) tries again, as customers do.
        """
        active = self._begin("activating subscriptions", len(self.ids))
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        for attempt in itertools.count(2):
            refused: list[Any] = []
            known: list[Any] = []
            while len(known) + len(refused) < len(self.ids):
                if asyncio.get_running_loop().time() > deadline:
                    raise TimeoutError(f"only {len(known)} of {len(self.ids)} subscriptions are active")
                await asyncio.sleep(0.2)
                known = await self._databases.rows("billing", books.STANDINGS, self.ids)
                refused = await self._databases.rows("orders", books.REFUSED, self.ids)
                active(len(known))
            if not refused:
                return
            again = [self.subscribers.pop(row["id"]) for row in refused]
            for subscriber in again:
                self.subscribers[await self._buy(subscriber, attempt)] = subscriber

    async def give_up(self) -> None:
        """SUB-7: some customers cancel."""
        leaving = self.of(scenarios.GIVES_UP)
        await together(self._cancel(i) for i in leaving)
        await self._wait(books.STANDINGS, lambda rows: _number(rows, scenarios.GIVEN_UP) >= len(leaving), "given up")

    async def use(self, month: str, events: int, *, seed: int, **mixture: int) -> None:
        """SUB-2: the cars report their use of a month that is not closed; all of it arrives or is parked."""
        await self.usage.agree(self.ids)
        before = await self._databases.number("billing", books.RECEIVED)
        using = self._begin(f"{events:,} events of use in {month}", events)
        sent = await self.usage.replay(month, events, seed=seed, **mixture)
        self.sent[month] = sent
        kept = sum(sent.get(what, 0) for what in ("plain", "edge", "late", "after_end", "before_start"))
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while (received := await self._databases.number("billing", books.RECEIVED) - before) < kept:
            using(received)
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"billing has {received} of {kept} uses of {month}")
            await asyncio.sleep(0.2)
        using(events)

    async def close(self, month: str, run: Callable[[], Awaitable[object]]) -> None:
        """SUB-4: `run` closes the month, or waits for what closes it by itself; then all of it is closed."""
        closing = self._begin(f"closing {month}", len(self.ids))
        await run()
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while left := await self._databases.number("billing", books.LEFT_OPEN, self.ids, month):
            closing(len(self.ids) - left)
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"{left} subscriptions still have {month} open")
            await asyncio.sleep(0.2)
        closing(len(self.ids))

    async def lose_gateway(self) -> None:
        """GW-4: the gateway dies for some seconds while invoices are being charged; nobody is charged twice."""
        await asyncio.to_thread(self._platform.kill, "gateway")
        await asyncio.sleep(OUTAGE_S)
        await self._platform.restart("gateway")

    async def charge(self) -> None:
        """Until every charge under way has its outcome; some customers are asked by their bank (PAY-9)."""
        await self._until_charged(self._begin("charging", len(self.ids)))

    async def _until_charged(self, charged: Callable[[int], None]) -> None:
        def settled(rows: Sequence[Mapping[str, Any]]) -> bool:
            number = {row["status"]: row["number"] for row in rows}
            charged(len(self.ids) - number.get("processing", 0))
            due = [row for row in rows if row["status"] == "retry" and row["next"] <= self.now()]
            return not number.get("processing") and not due

        await self._wait(books.DUE, settled, "charged")
        charged(len(self.ids))

    async def answer(self) -> None:
        """Those who lost their card give another one; those who want to confirm use their link, once."""
        replaced = [i for i in self.of(scenarios.LOST_CARD) if await self._owes(i)]
        await together(self._replace_card(i) for i in replaced)
        wanted = {i for i in self.of(scenarios.CONFIRMS) if await self._owes(i)}
        rows = await self._databases.rows("billing", books.LINKS, sorted(wanted))
        missing = wanted - {row["subscription_id"] for row in rows}
        if missing:
            raise AssertionError(f"{len(missing)} customers were not asked to confirm: {sorted(missing)[:3]}")
        await together(self._confirm(row["action_url"]) for row in rows)
        await self._until_charged(lambda _: None)

    async def remind(self) -> None:
        """SUB-6: days pass, attempt after attempt, until no invoice waits for one."""
        reminding = self._begin("days pass: charging again, asking", len(self.ids))
        for _ in range(ROUNDS):
            await self._until_charged(reminding)
            rows = {row["status"]: row for row in await self._databases.rows("billing", books.DUE, self.ids)}
            if "retry" in rows:
                self.move_to(rows["retry"]["next"] + timedelta(minutes=1))
            elif "needs_customer" in rows:
                self._platform.move_clock(timedelta(days=1))
                await asyncio.sleep(2.0)
            else:
                return
        raise TimeoutError(f"after {ROUNDS} rounds some invoices are neither paid nor given up")

    async def pay_late(self) -> None:
        """A late payment finds its invoice, though it is in collections."""
        owing = [row for row in await self.closes() if row["status"] == "unpaid" and self._pays_late(row["id"])]
        await together(self._pay(row) for row in owing)
        paid = {row["invoice_id"] for row in owing}

        def settled(rows: Sequence[Mapping[str, Any]]) -> bool:
            return all(row["status"] == "paid" for row in rows if row["invoice_id"] in paid)

        await self._wait(books.CLOSES, settled, "paid late")

    async def closes(self) -> list[Mapping[str, Any]]:
        """Every closed period with what became of its invoice."""
        return [dict(row) for row in await self._databases.rows("billing", books.CLOSES, self.ids)]

    def _pays_late(self, subscription_id: str) -> bool:
        return self.subscribers[subscription_id].payer.late

    async def _owes(self, subscription_id: str) -> bool:
        rows = await self._databases.rows("billing", books.CLOSES, [subscription_id])
        return any(row["status"] in ("retry", "needs_customer") for row in rows)

    async def _buy(self, subscriber: Subscriber, attempt: int = 1) -> str:
        body = {
            "vehicle_id": subscriber.vehicle_id,
            "service_code": subscriber.service_code,
            "kind": "subscription",
            "payment_method": subscriber.payment_method,
            "immediate_performance_consent": True,
        }
        key = {"Idempotency-Key": f"subscribe-{subscriber.number}-{attempt}"}
        answer = await self._as_customer(subscriber, "orders", "/purchases", body, key)
        return str(answer.json()["purchase_id"])

    async def _cancel(self, subscription_id: str) -> None:
        path = f"/purchases/{subscription_id}/cancellation"
        await self._as_customer(self.subscribers[subscription_id], "orders", path, {})

    async def _replace_card(self, subscription_id: str) -> None:
        subscriber = self.subscribers[subscription_id]
        body = {"payment_method": f"tok_approved:{subscriber.number}"}
        path = f"/subscriptions/{subscription_id}/payment-method"
        answer = await self._actors.put_as("customer", subscriber.customer_id, "billing", path, body)
        if answer.is_error:
            raise RequestFailed(answer)

    async def _confirm(self, action_url: str) -> None:
        """The link of the e-mail leads to the gateway's page, once; there the customer says yes."""
        page = await self._actors.client.get(action_url, follow_redirects=False)
        if page.status_code == httpx.codes.GONE:
            return
        if page.status_code != 303:
            raise RequestFailed(page)
        said = await self._actors.client.post(f"{page.headers['location']}/approve")
        if said.is_error:
            raise RequestFailed(said)

    async def _pay(self, close: Mapping[str, Any]) -> None:
        subscriber = self.subscribers[close["id"]]
        body = {"payment_method": f"tok_approved:late-{subscriber.number}"}
        key = {"Idempotency-Key": f"late-{close['invoice_id']}"}
        await self._as_customer(subscriber, "billing", f"/invoices/{close['invoice_id']}/payment", body, key)

    async def _as_customer(
        self,
        subscriber: Subscriber,
        service: str,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        answer = await self._actors.post_as("customer", subscriber.customer_id, service, path, body, headers)
        if answer.is_error:
            raise RequestFailed(answer)
        return answer

    async def _wait(self, statement: str, enough: Callable[[Sequence[Any]], bool], what: str) -> None:
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while not enough(rows := await self._databases.rows("billing", statement, self.ids)):
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"not all subscriptions are {what}: {[dict(row) for row in rows][:3]}")
            await asyncio.sleep(0.2)


def third_of_next_month(now: datetime) -> datetime:
    """The third day of the month after, at nine in the morning: a month to subscribe in."""
    return (now.replace(day=1) + timedelta(days=32)).replace(day=3, hour=9, minute=0, second=0, microsecond=0)


def last_evening(month: str) -> datetime:
    """Eight o'clock of a month's last day."""
    first = datetime.fromisoformat(f"{month}-01T20:00").replace(tzinfo=ZONE)
    return (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)


async def together(works: Iterable[Awaitable[Any]]) -> None:
    """All at once; one that fails ends the others."""
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(_awaited(work))


async def _awaited(work: Awaitable[Any]) -> None:
    await work


def _number(rows: Sequence[Mapping[str, Any]], status: str) -> int:
    return sum(1 for row in rows if row["status"] == status)
