"""A small market in one process: five real services, a broker in memory, and partners that misbehave when told.

Nothing happens by itself: whoever holds the world decides who moves next, so a run can be repeated.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
from aiosmtpd.smtp import SMTP, Envelope, Session

from caas_chassis.clock import MovableClock
from caas_chassis.ids import new_id
from caas_chassis.records import RawRecord
from caas_contracts.orders import CancelPurchase, PlacePurchase, PurchaseKind
from caas_orders.domain.refusal import Refusal
from caas_orders.domain.registration import Customer, Language, Vehicle
from caas_orders.gateway import (
    Current,
    Deferred,
    MailOutcome,
    MaintenanceAnswer,
    MaintenanceQuestion,
    NotAnswering,
    NotCurrent,
    OutgoingMail,
    Sent,
)
from caas_orders.handlers.theft import Report, report_stolen
from caas_orders.handlers.withdrawing import confirm, declare
from caas_orders.store import purchases, registrations
from caas_reconciliation.domain.run import Trigger
from caas_reconciliation.handlers.runs import start_run
from tests.flows.bank import Bank
from tests.flows.broker import Broker, Pick
from tests.flows.cars import Cars, Conduct
from tests.flows.processes import SERVICES, Partners, Process, start_all
from tests.flows.slates import Slates

VEHICLES: Final = ("veh-0", "veh-1", "veh-2")
# Two services that need current maintenance (SVC-2) and two that do not.
OFFERS: Final = ("seat-heating", "range-extension", "adaptive-cruise", "power-boost")
_CALM_AFTER_ROUNDS: Final = 200
MAINTENANCE: Final[dict[str, MaintenanceAnswer]] = {
    "current": Current(),
    "overdue": NotCurrent(),
    "silent": NotAnswering("maintenance_unavailable"),
}


ZONE: Final = ZoneInfo("Europe/Madrid")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a service is bought: now or so many days ahead, for a time, by the month or for ever."""

    kind: PurchaseKind
    duration_days: int | None = None
    period_months: int | None = None
    days_ahead: int | None = None

    def starts_on(self, now: datetime) -> str | None:
        """The local day of a planned purchase."""
        if self.days_ahead is None:
            return None
        return (now.astimezone(ZONE) + timedelta(days=self.days_ahead)).date().isoformat()


FOR_A_WEEK: Final = Terms(PurchaseKind.TEMPORARY, duration_days=7)


class Workshop:
    """The maintenance system: it answers what was last said of a vehicle."""

    def __init__(self) -> None:
        self.answers: dict[str, MaintenanceAnswer] = {}

    async def ask(self, question: MaintenanceQuestion) -> MaintenanceAnswer:
        return self.answers.get(question.vehicle_id, Current())


class PostOffice:
    """The mail server, as orders sees it (a Mailer) and as billing does (SMTP); `busy` puts mails off."""

    def __init__(self) -> None:
        self.busy = 0
        self.letters: Counter[UUID] = Counter()
        self.documents = 0

    async def send(self, mail: OutgoingMail) -> MailOutcome:
        if self._is_busy():
            return Deferred("greylisted")
        self.letters[mail.mail_id] += 1
        return Sent()

    async def handle_DATA(self, _: SMTP, __: Session, ___: Envelope) -> str:  # noqa: N802
        if self._is_busy():
            return "451 later"
        self.documents += 1
        return "250 kept"

    def _is_busy(self) -> bool:
        self.busy = max(0, self.busy - 1)
        return self.busy > 0


class World:
    """Everything there is. `happened` counts what took place, as proof."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.bank = Bank(self.clock.now)
        self.cars = Cars(VEHICLES, self.clock.now)
        self.workshop = Workshop()
        self.post = PostOffice()
        self.processes: dict[str, Process] = {}
        self.asked: dict[tuple[str, str], UUID] = {}
        self.bought: dict[UUID, str] = {}  # with the customer
        self.renewing: set[UUID] = set()
        self.stolen: set[str] = set()
        self.happened: Counter[str] = Counter()
        self._stack = AsyncExitStack()
        self._posted: deque[tuple[dict[str, str], bytes]] = deque()

    async def open(self, slates: Slates) -> Self:
        """Start everything, with every car registered and nothing delivered yet."""
        server = await asyncio.get_running_loop().create_server(lambda: SMTP(self.post), "127.0.0.1", 0)
        self._stack.callback(server.close)
        partners = Partners(self.bank, self.cars, self.workshop, self.post, server.sockets[0].getsockname()[1])
        self.processes = await start_all(slates, partners)
        readers = {name: [t.name for t in process.service.reads] for name, process in self.processes.items()}
        self.broker = Broker(readers)
        await self._register_cars()
        return self

    async def close(self) -> None:
        """Leave nothing behind."""
        for process in self.processes.values():
            await process.close()
        await self._stack.aclose()

    def now(self) -> datetime:
        return self.clock.now()

    def move_clock(self, by: timedelta) -> None:
        """Business time passes for everybody; whose timers are due acts on it when it works next."""
        self.clock.move(by)
        for process in self.processes.values():
            process.move_clock(by)

    async def buy(self, vehicle_id: str, offer: str, method: str, maintenance: str, terms: Terms = FOR_A_WEEK) -> bool:
        """Place a purchase, unless the service is in this car or on its way there."""
        if not await self._may_buy(vehicle_id, offer):
            return False
        self.workshop.answers[vehicle_id] = MAINTENANCE[maintenance]
        purchase_id = new_id()
        self.asked[vehicle_id, offer] = purchase_id
        self.bought[purchase_id] = f"cus-of-{vehicle_id}"
        if terms.period_months:
            self.renewing.add(purchase_id)
        message = PlacePurchase(
            purchase_id=purchase_id,
            customer_id=f"cus-of-{vehicle_id}",
            vehicle_id=vehicle_id,
            service_code=offer,
            kind=terms.kind,
            duration_days=terms.duration_days,
            starts_on=terms.starts_on(self.now()),
            period_months=terms.period_months,
            payment_method=method,
            immediate_performance_consent=True,
            requested_at=self.now(),
        )
        self.broker.send(message, "partners")
        await self.deliver("orders", [(-1, 1)])
        return True

    def cancel(self, which: int) -> bool:
        """The customer gives a purchase up; the wish travels like any message."""
        if not self.bought:
            return False
        self.give_up(list(self.bought)[which % len(self.bought)])
        return True

    def give_up(self, purchase_id: UUID) -> None:
        """The customer gives this purchase up."""
        message = CancelPurchase(
            purchase_id=purchase_id,
            customer_id=self.bought[purchase_id],
            reason="changed_mind",
            requested_at=self.now(),
        )
        self.broker.send(message, "partners")

    async def withdraw(self, which: int, *, times: int) -> bool:
        """The customer withdraws from a purchase in two steps, perhaps pressing each button more than once (DES-6)."""
        if not self.bought:
            return False
        process, purchase_id = self.processes["orders"], list(self.bought)[which % len(self.bought)]
        for _ in range(times):
            async with process.harness.transaction() as tx:
                if purchase_id not in await purchases.read([purchase_id], tx=tx):
                    return False
                declared = await declare(purchase_id, ZONE, tx=tx)
            if isinstance(declared, Refusal) or declared.withdrawal is None:
                self.happened[f"withdrawal refused: {getattr(declared, 'code', '')}"] += 1
                return False
            async with process.harness.transaction() as tx:
                await confirm(purchase_id, declared.withdrawal.withdrawal_id, ZONE, tx=tx)
        self.happened["withdrawal confirmed"] += 1
        await self.broker.collect(process.runtime)
        return True

    async def report_stolen(self, vehicle_id: str) -> None:
        """The owner reports the car stolen, perhaps not for the first time (THF). What was bought before is known."""
        process = self.processes["orders"]
        while self.broker.waiting("orders"):
            await self._process("orders", self.broker.everything("orders"))
        self.stolen.add(vehicle_id)
        async with process.harness.transaction() as tx:
            stolen = await report_stolen(Report(vehicle_id, new_id(), self.now()), tx=tx)
        self.happened[f"stolen with {len(stolen.purchases)} running purchases"] += stolen.is_new
        await self.broker.collect(process.runtime)

    async def deliver(self, consumer: str, picks: Sequence[Pick]) -> int:
        """One batch to one service, in the order of the picks; a batch of which it died comes again later."""
        return await self._process(consumer, self.broker.next_batch(consumer, picks))

    async def deliver_again(self, consumer: str, which: int, number: int) -> int:
        """Records that a service has had already, once more."""
        return await self._process(consumer, self.broker.earlier(consumer, which, number))

    async def work(self, name: str, *, delays_are_over: bool) -> None:
        """One service fires its timers, runs its effects and publishes."""
        process = self.processes[name]
        await self._alive(process, lambda: process.work(delays_are_over=delays_are_over))
        await self.broker.collect(process.runtime)

    def read(self, vehicle_id: str, number: int, conduct: Conduct | None = None) -> int:
        """A car reads so many commands; returns how many there were."""
        conducts = self.cars.read(vehicle_id, number, conduct)
        self.happened.update(f"car {shown}" for shown in conducts)
        return len(conducts)

    async def hear(self, picks: Sequence[Pick]) -> int:
        """Some of what cars have answered reaches ota in one batch, in any order, perhaps repeatedly."""
        waiting = list(self.cars.answers)
        batch = []
        for which, times in picks:
            if waiting:
                batch += [waiting.pop(which % len(waiting))] * times
        if not batch:
            return 0
        process = self.processes["ota"]
        if await self._alive(process, lambda: self.cars.hear(batch)):
            self.cars.answers = waiting
        await self.broker.collect(process.runtime)
        return len(batch)

    async def post_webhooks(self, number: int, *, again: bool) -> int:
        """The gateway posts to the bridge, the newest first; `again` those that were answered before."""
        posted = list(self._posted)[-number:] if again else []
        while not again and self.bank.webhooks and len(posted) < number:
            posted.append(self.bank.webhooks.pop())
        process = self.processes["payments"]
        transport = httpx.ASGITransport(app=process.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://payments") as client:
            for headers, body in posted:
                answer = await client.post("/webhooks/gateway", content=body, headers=headers)
                assert answer.status_code == 200, answer.text
        self._posted.extend(posted)
        await self.broker.collect(process.runtime)
        return len(posted)

    async def start_reconciling(self) -> None:
        """An operator asks for a run (RCN-1)."""
        process = self.processes["reconciliation"]
        async with process.harness.transaction() as tx:
            await start_run(Trigger.DEMAND, requested_by="operator:test", tx=tx)

    async def flow(self, order: Sequence[str], *, delays_are_over: bool) -> int:
        """Everybody does what is to be done, once, in this order; returns how much there was."""
        done = 0
        for name in order:
            done += await self._process(name, self.broker.everything(name))
            await self.work(name, delays_are_over=delays_are_over)
        for vehicle_id, car in self.cars.by_id.items():
            done += self.read(vehicle_id, len(car.inbox))
        return done + await self.hear([(0, 1)] * len(self.cars.answers))

    async def run_on(self, rounds: int) -> None:
        """Everybody goes on for a while, with all the troubles that are left."""
        for _ in range(rounds):
            if not await self.flow(SERVICES, delays_are_over=True):
                return

    async def calm_down(self) -> None:
        """All partners behave, and everything that was begun comes to an end."""
        self.bank.heal()
        self.cars.heal()
        self.post.busy = 0
        self.workshop.answers.clear()
        for process in self.processes.values():
            process.fate.hours.clear()
        for _ in range(_CALM_AFTER_ROUNDS):
            while self.bank.decide(0, approved=True):
                pass
            done = await self.post_webhooks(100, again=False)
            done += await self.flow(SERVICES, delays_are_over=True)
            if not done and not await self._unfinished():
                return
        raise AssertionError(f"no end after {_CALM_AFTER_ROUNDS} rounds: {await self._unfinished()}")

    def proofs(self) -> Counter[str]:
        """What took place, counted: deaths, faults that were met, what cars did, how purchases ended."""
        return self.happened + self.bank.happened

    async def _unfinished(self) -> list[str]:
        """Who has tasks or messages left."""
        left = []
        for name, process in self.processes.items():
            tasks = await process.rows("SELECT effect, key, last_error FROM chassis.task")
            left += [f"{name}: {dict(task)}" for task in tasks]
            left += [f"{name}: {self.broker.waiting(name)} messages"] if self.broker.waiting(name) else []
        return left

    async def _process(self, consumer: str, batch: Sequence[RawRecord]) -> int:
        if not batch:
            return 0
        process = self.processes[consumer]
        if await self._alive(process, lambda: process.harness.receive_records(*batch)):
            self.broker.delivered(consumer, batch)
        await self.broker.collect(process.runtime)
        return len(batch)

    async def _alive(self, process: Process, work: Callable[[], Awaitable[None]]) -> bool:
        survived = await process.survive(work)
        if not survived:
            self.happened[f"{process.service.name} died"] += 1
        return survived

    async def _may_buy(self, vehicle_id: str, offer: str) -> bool:
        """A second purchase of a service, or one for a stolen car, would be refused, which is no subject here."""
        if vehicle_id in self.stolen:
            return False
        before = self.asked.get((vehicle_id, offer))
        if before is None:
            return True
        sql = "SELECT occupies FROM purchases WHERE purchase_id = $1"
        rows = await self.processes["orders"].rows(sql, before)
        return bool(rows) and not rows[0]["occupies"]

    async def _register_cars(self) -> None:
        process = self.processes["orders"]
        async with process.harness.transaction() as tx:
            for vehicle_id, car in self.cars.by_id.items():
                customer = f"cus-of-{vehicle_id}"
                mail = f"{vehicle_id}@example.com"
                await registrations.put_customer(Customer(customer, "Ana Ruiz", mail, Language.SPANISH), tx=tx)
                equipment = frozenset({"seat-heating", "front-radar"})
                vehicle = Vehicle(vehicle_id, customer, "caas-one", equipment, car.public_key)
                await registrations.put_vehicle(vehicle, tx=tx)
                tx.publish(vehicle.registered(tx.now))
        await self.broker.collect(process.runtime)
