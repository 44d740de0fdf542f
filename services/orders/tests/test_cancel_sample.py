"""A sample of the matrix of SVC-11 over the real handlers and a real PostgreSQL, deliveries repeated as they come."""

from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caas_chassis.cause import Cause
from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_chassis.timers import DueTimer
from caas_contracts.message import Message
from caas_contracts.orders import PurchaseKind
from caas_contracts.payments import DeliveryDecision, SettlementStage
from caas_contracts.purchase_life import PurchaseWithdrawn
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.status import MoneyOutcome, PurchaseStatus
from caas_orders.domain.withdrawing import right_of
from caas_orders.gateway import Current, NotCurrent
from caas_orders.handlers.paying_ahead import activate_due
from caas_orders.handlers.theft import Report, report_stolen
from services.orders.tests.builders import (
    NOW,
    PlayedMaintenance,
    a_vehicle,
    activation_failed,
    cancel_purchase,
    payment_abandoned,
    payment_authorized,
    payment_captured,
    payment_failed,
    payment_voided,
    registered,
    service_activated,
    settlement_failed,
    stored,
)
from services.orders.tests.life_builders import ordered, payment_confirmed, payment_settled
from services.orders.tests.life_world import End, LifeWorld, Step, Told
from services.orders.tests.withdrawal_builders import (
    MADRID,
    payment_refunded,
    service_deactivated,
    withdrawn,
)

CHOICES: Final = ("cancel", "withdrawal", "theft")


def message_of(fact: Told, purchase: Purchase) -> Message:
    """The fact as its message. A deactivation answers the one that was asked for."""
    if fact is Told.DEACTIVATED:
        return service_deactivated(purchase)
    messages: dict[Told, Message] = {
        Told.AUTHORIZED: payment_authorized(purchase),
        Told.DELIVERY_REFUSED: payment_authorized(purchase, DeliveryDecision.REFUSE),
        Told.TAKEN: payment_confirmed(purchase),
        Told.TAKEN_TO_SETTLE: payment_confirmed(purchase, DeliveryDecision.AFTER_SETTLEMENT),
        Told.SETTLED: payment_settled(purchase),
        Told.SETTLEMENT_LOST: settlement_failed(purchase, SettlementStage.SETTLEMENT),
        Told.REFUNDED: payment_refunded(purchase),
        Told.DECLINED: payment_failed(purchase),
        Told.ABANDONED: payment_abandoned(purchase),
        Told.CAPTURED: payment_captured(purchase),
        Told.CAPTURE_LOST: settlement_failed(purchase),
        Told.VOIDED: payment_voided(purchase),
        Told.ACTIVATED: service_activated(purchase),
        Told.ACTIVATED_LATE: service_activated(purchase, late=True),
        Told.ACTIVATION_FAILED: activation_failed(purchase),
    }
    return messages[fact]


@dataclass(slots=True)
class Life:
    """One purchase on the real service, and the others around it."""

    harness: Harness
    maintenance: PlayedMaintenance
    purchase_id: UUID
    vehicle_id: str
    world: LifeWorld
    delivered: list[Message] = field(default_factory=list)
    chosen: set[str] = field(default_factory=set)

    async def purchase(self) -> Purchase:
        return await stored(self.harness, self.purchase_id)

    async def heed(self) -> None:
        """The others hear what orders has published."""
        self.world = self.world.asked(await self.harness.take())

    async def happen(self, step: Step) -> None:
        """A step of the others."""
        match step:
            case Step.OPEN_GATE | Step.CLOSE_GATE:
                self.maintenance.answer = Current() if step is Step.OPEN_GATE else NotCurrent()
                self.world = replace(self.world, gate="open" if step is Step.OPEN_GATE else "closed")
                await self.harness.run_effects()
            case Step.REACH_DATE:
                due = DueTimer(str(self.purchase_id), (await self.purchase()).starts_at or NOW, Cause.of_person("x:y"))
                async with self.harness.transaction() as tx:
                    tx.now = due.due_at
                    await activate_due([due], tx=tx)
            case Step.TELL_PAYMENT | Step.TELL_ACTIVATION:
                fact, self.world = self.world.next_of(step)
                self.delivered.append(message_of(fact, await self.purchase()))
                await self.harness.receive(self.delivered[-1])
            case _:
                self.world = self.world.after(step)
        await self.heed()

    async def repeat(self, message: Message) -> None:
        """A message that was delivered comes again: from the broker, and told again by its sender."""
        await self.harness.receive_again(message)
        await self.harness.receive(message.model_copy())
        await self.heed()

    async def choose(self, choice: str) -> None:
        """What the customer does; too late is an answer."""
        self.chosen.add(choice)
        purchase = await self.purchase()
        match choice:
            case "cancel":
                await self.harness.receive(cancel_purchase(purchase))
            case "theft":
                async with self.harness.transaction() as tx:
                    await report_stolen(Report(self.vehicle_id, new_id(), NOW), tx=tx)
            case _:
                if right_of(purchase, MADRID, self.harness.clock.now()).objection is None:
                    self.world = replace(self.world, withdrawn=True)
                    await withdrawn(self.harness, purchase)
        await self.heed()


# Every example buys for a vehicle of its own, so that they can share one database.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), is_planned=st.booleans())
async def test_every_sampled_life_ends_in_exactly_one_of_the_allowed_ends(
    harness: Harness, maintenance: PlayedMaintenance, data: st.DataObject, is_planned: bool
) -> None:
    life = await _begun(harness, maintenance, is_planned=is_planned)
    while True:
        purchase = await life.purchase()
        steps = life.world.steps(is_scheduled=purchase.status is PurchaseStatus.SCHEDULED)
        choices = [choice for choice in CHOICES if choice not in life.chosen]
        move = data.draw(st.sampled_from([*steps, *choices] if steps else [*choices, None]))
        if move is None:
            break
        await (life.happen(move) if isinstance(move, Step) else life.choose(move))
        if life.delivered and data.draw(st.integers(0, 3)) == 0:
            await life.repeat(data.draw(st.sampled_from(life.delivered)))
    await _assert_allowed_end(life)


async def _begun(harness: Harness, maintenance: PlayedMaintenance, *, is_planned: bool) -> Life:
    harness.clock.move(NOW - harness.clock.now())
    vehicle = a_vehicle(f"veh-{new_id()}")
    await registered(harness, vehicle)
    await harness.take()
    command = ordered(
        service_code="adaptive-cruise",
        vehicle_id=vehicle.vehicle_id,
        kind=PurchaseKind.PLANNED if is_planned else PurchaseKind.TEMPORARY,
        starts_on="2026-12-01" if is_planned else None,
    )
    await harness.receive(command)
    life = Life(harness, maintenance, command.purchase_id, vehicle.vehicle_id, LifeWorld(is_planned=is_planned))
    await life.heed()
    return life


async def _assert_allowed_end(life: Life) -> None:
    purchase, end = await life.purchase(), life.world.end()
    assert (end is End.DELIVERED) == (purchase.status is PurchaseStatus.ACTIVE), (purchase, life.world)
    assert (end is End.UNDONE) == (purchase.money is MoneyOutcome.REFUNDED), (purchase, life.world)
    assert purchase.charged == (end is End.DELIVERED and life.world.money != "lost")
    done = [one for one in await life.harness.published(PurchaseWithdrawn) if one.purchase_id == life.purchase_id]
    assert len(done) == life.world.withdrawn == life.world.ends_told
    async with life.harness.transaction() as tx:
        rows = await tx.fetch("SELECT kind FROM notifications WHERE purchase_id = $1", life.purchase_id)
        completed = await tx.fetch("SELECT completed_at FROM withdrawal WHERE purchase_id = $1", life.purchase_id)
    told = [row["kind"] for row in rows]
    assert len(told) == len(set(told)), "each outcome is told once (NOT-1)"
    assert ("withdrawal_received" in told) == life.world.withdrawn
    assert all(row["completed_at"] is not None for row in completed)
    assert await life.harness.parked() == []
