"""The five services in one process, each with its own database, and each able to die once when it is told to.

A death undoes the transaction at hand after everything in it was done, as when the machine stops just before
the commit: what a partner was asked before has happened, and nobody here knows.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from fastapi import FastAPI
from pydantic import SecretStr

from caas_billing.app import build as build_billing
from caas_billing.settings import BillingSettings
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.testing.harness import Harness
from caas_chassis.transaction import Tx
from caas_orders.app import build as build_orders
from caas_orders.gateway import Mailer, Maintenance
from caas_orders.settings import OrdersSettings
from caas_ota.app import build as build_ota
from caas_ota.settings import OtaSettings
from caas_payments.app import build as build_payments
from caas_payments.settings import PaymentsSettings
from caas_reconciliation.app import build as build_reconciliation
from caas_reconciliation.settings import ReconciliationSettings
from tests.flows.bank import WEBHOOK_SECRET, Bank
from tests.flows.cars import Cars
from tests.flows.slates import Slates

SERVICES: Final = ("payments", "orders", "ota", "billing", "reconciliation")
# No delay runs out by itself while an example runs: time passes when the test says so, and a seed reproduces.
_LONG_S: Final = 3600.0


class ProcessDied(ConnectionError):
    """The process is gone. It looks like a lost database, so that nobody here blames the message."""


@dataclass
class Fate:
    """At which of its next transactions that do something a process dies; empty, it lives."""

    hours: list[int] = field(default_factory=list)

    def strike(self) -> None:
        """Die now, if that is what was decided."""
        if not self.hours:
            return
        self.hours[0] -= 1
        if self.hours[0] <= 0:
            self.hours.pop(0)
            raise ProcessDied("the process was killed before its commit")


@dataclass
class Process:
    """One service on its database; `restart` is what a supervisor does."""

    app: FastAPI
    url: str
    service: Service
    harness: Harness
    fate: Fate
    clock_moved: timedelta = field(default=timedelta(0))

    @classmethod
    def of(cls, app: FastAPI, url: str) -> "Process":
        """The service of an application, made mortal."""
        fate = Fate()
        service = _mortal(app.state.runtime.service, fate)
        return cls(app, url, service, Harness(service, url), fate)

    @property
    def runtime(self) -> Runtime:
        return self.harness.runtime

    def move_clock(self, by: timedelta) -> None:
        """Business time passes; timers fire when the process works next."""
        self.clock_moved += by
        self.harness.clock.move(by)

    async def survive(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Do the work; False when the process died of it and was started again."""
        try:
            await work()
        except ProcessDied:
            await self.restart()
            return False
        return True

    async def restart(self) -> None:
        """A new process: nothing is remembered but what the database has."""
        await self.runtime.database.close()
        self.harness = Harness(self.service, self.url)
        self.harness.clock.move(self.clock_moved)

    async def work(self, *, delays_are_over: bool) -> None:
        """Fire due timers and run due effects; with `delays_are_over` also what waits for a retry."""
        if delays_are_over:
            await self.harness.skip_delays()
        await self.harness.retry_parked()
        await self.runtime.timers.run_until_idle()
        await self.harness.run_effects()

    async def rows(self, sql: str, *args: object) -> Sequence[Any]:
        """What the database says."""
        async with self.runtime.database.connection() as connection:
            return await connection.fetch(sql, *args)

    async def close(self) -> None:
        """Let go of the database."""
        await self.runtime.database.close()
        await self.app.state.runtime.database.close()


@dataclass(frozen=True, slots=True)
class Partners:
    """Everybody outside."""

    bank: Bank
    cars: Cars
    maintenance: Maintenance
    mailer: Mailer
    smtp_port: int


async def start_all(slates: Slates, partners: Partners) -> dict[str, Process]:
    """The five services, each on a clean database."""
    processes = {}
    for name in SERVICES:
        url = await slates.clean(name, _migration_of(name, partners))
        processes[name] = Process.of(_build(name, url, partners), url)
    return processes


def _migration_of(name: str, partners: Partners) -> Callable[[str], Awaitable[None]]:
    async def migrate(url: str) -> None:
        process = Process.of(_build(name, url, partners), url)
        await process.runtime.migrate()
        await process.close()

    return migrate


def _build(name: str, url: str, partners: Partners) -> FastAPI:
    match name:
        case "payments":
            settings = PaymentsSettings(
                database_url=url,
                webhook_secret=SecretStr(WEBHOOK_SECRET),
                retry_delays_s=(_LONG_S, _LONG_S, _LONG_S),
                first_look_up_s=_LONG_S,
                longest_pause_s=_LONG_S,
                pending_poll_s=_LONG_S,
                # The test's clock jumps over days while calls are under way, and this gateway forgets no keys.
                key_life_s=365 * 86_400,
                gateway_timeout_s=0.001,
                believe_absence_after_s=0.002,
            )
            return build_payments(settings, partners.bank)
        case "orders":
            orders = OrdersSettings(database_url=url, vss_url="http://nobody", vss_api_key=SecretStr(""))
            return build_orders(orders, maintenance=partners.maintenance, mailer=partners.mailer)
        case "ota":
            return build_ota(OtaSettings(database_url=url, retry_delays_s=[_LONG_S] * 3), partners.cars.link)
        case "billing":
            return build_billing(BillingSettings(database_url=url, smtp_port=partners.smtp_port))
        case "reconciliation":
            books = ReconciliationSettings(
                database_url=url,
                gateway_url="http://nobody",
                gateway_api_key=SecretStr(""),
                pull_retry_delays_s=(_LONG_S, _LONG_S, _LONG_S),
                page_size=2,
            )
            return build_reconciliation(books, feed=partners.bank)
        case _:
            raise AssertionError(f"there is no service {name}")


def _mortal(service: Service, fate: Fate) -> Service:
    return replace(
        service,
        handlers={kind: _dying(handler, fate) for kind, handler in service.handlers.items()},
        bulk={kind: _dying(handler, fate) for kind, handler in service.bulk.items()},
        effects=[replace(effect, record=_dying(effect.record, fate)) for effect in service.effects],
        timers={name: _dying(handler, fate) for name, handler in service.timers.items()},
    )


def _dying[T](act: Callable[..., Awaitable[T]], fate: Fate) -> Callable[..., Coroutine[Any, Any, T]]:
    async def act_and_die(things: Sequence[Any], /, *, tx: Tx) -> T:
        done = await act(things, tx=tx)
        fate.strike()
        return done

    return act_and_die
