"""Thousands of dates in one minute: worked off in batches, set by set, and in order per vehicle (PLN-1, OTA-6)."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from asyncpg.connection import LoggedQuery

from caas_chassis.cause import Cause
from caas_chassis.testing.harness import Harness
from caas_chassis.timers import BATCH, DueTimer, TimerHandler
from caas_contracts.orders import PlacePurchase
from caas_contracts.ota import ActivateService, DeactivateService
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.recurring import LEAD
from caas_orders.handlers.expiring import expire_due
from caas_orders.handlers.paying_ahead import activate_due
from caas_orders.handlers.renewing import renew_due
from caas_orders.store import purchases
from services.orders.tests.builders import a_vehicle, registered, service_activated
from services.orders.tests.life_builders import BEGINNING, a_planned, clock_at, payment_confirmed

MIDNIGHT = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)
CARS = 700
SERVICES = ("premium-audio", "range-extension", "ambient-light")


async def all_scheduled(
    harness: Harness, cars: int, *, prefix: str = "veh", period_months: int | None = None
) -> list[Purchase]:
    """Planned purchases for the same day, of each of the services for each car."""
    duration_days = None if period_months else 30
    vehicles = [a_vehicle(f"{prefix}-{number}", f"cus-{number % 50}") for number in range(cars)]
    await registered(harness, *vehicles)
    commands = [
        a_planned(
            service_code=code,
            vehicle_id=vehicle.vehicle_id,
            customer_id=vehicle.customer_id,
            duration_days=duration_days,
            period_months=period_months,
        )
        for vehicle in vehicles
        for code in SERVICES
    ]
    await _in_batches(harness, commands)
    placed = await _read(harness, commands)
    for start in range(0, len(placed), BATCH):
        await harness.receive(*[payment_confirmed(purchase) for purchase in placed[start : start + BATCH]])
    return placed


async def test_thousands_in_one_minute_are_worked_off_in_order_per_vehicle(harness: Harness) -> None:
    harness.clock.move(BEGINNING - harness.clock.now())
    placed = await all_scheduled(harness, CARS)
    assert len(placed) > 2000
    harness.clock.move(MIDNIGHT - harness.clock.now())
    rounds = 0
    while await harness.runtime.timers.run_once():
        rounds += 1
    assert rounds == len(placed) // BATCH, "a bounded transaction each, so that nothing else waits for long"
    asked = await harness.published(ActivateService)
    assert {one.purchase_id for one in asked} == {one.purchase_id for one in placed}
    assert len(asked) == len(placed), "each once"
    per_vehicle = defaultdict(list)
    for one in asked:
        per_vehicle[one.vehicle_id].append(one.purchase_id)
    assert all(ids == sorted(ids, key=str) for ids in per_vehicle.values()), "as they were bought: ids sort by time"
    assert {len(ids) for ids in per_vehicle.values()} == {len(SERVICES)}
    await _all_end(harness, placed)


async def _all_end(harness: Harness, placed: Sequence[Purchase]) -> None:
    for start in range(0, len(placed), BATCH):
        active = [service_activated(one, applied_at=MIDNIGHT) for one in placed[start : start + BATCH]]
        await harness.receive(*active)
    await clock_at(harness, MIDNIGHT + timedelta(days=30))
    taken_out = await harness.published(DeactivateService)
    assert {one.activation_id for one in taken_out} == {one.activation_id for one in placed}  # SVC-9
    assert len(taken_out) == len(placed)


async def test_a_batch_of_dates_renewals_and_ends_needs_as_many_statements_as_one(harness: Harness) -> None:
    harness.clock.move(BEGINNING - harness.clock.now())
    first = await _statements(harness, await all_scheduled(harness, 1, prefix="warm", period_months=1))
    harness.clock.move(BEGINNING - harness.clock.now())
    one = await _statements(harness, await all_scheduled(harness, 1, prefix="one", period_months=1))
    harness.clock.move(BEGINNING - harness.clock.now())
    many = await _statements(harness, await all_scheduled(harness, 60, prefix="many", period_months=1))
    assert len(first) == 3
    assert one == many
    assert max(many) <= 6


async def _statements(harness: Harness, placed: Sequence[Purchase]) -> list[int]:
    """Statements of a batch that begins, of one that renews, and of one that ends."""
    counted = []
    harness.clock.move(MIDNIGHT - harness.clock.now())
    counted.append(await _fired(harness, activate_due, placed))
    await harness.receive(*[service_activated(one, applied_at=MIDNIGHT) for one in placed])
    harness.clock.move(timedelta(days=31) - LEAD)
    counted.append(await _fired(harness, renew_due, placed))
    async with harness.transaction() as tx:
        await tx.execute("UPDATE purchases SET ends_at = $1 WHERE status = 'active'", MIDNIGHT)
    counted.append(await _fired(harness, expire_due, placed))
    async with harness.transaction() as tx:
        states = await tx.fetch("SELECT DISTINCT status FROM purchases")
    assert [row["status"] for row in states] == ["expired"]
    return counted


async def _fired(harness: Harness, handler: TimerHandler, placed: Sequence[Purchase]) -> int:
    log: list[LoggedQuery] = []
    due = [DueTimer(str(one.purchase_id), MIDNIGHT, Cause.of_person("operator:test")) for one in placed]
    async with harness.transaction() as tx:
        with tx.connection.query_logger(log.append):
            await handler(due, tx=tx)
    return len(log)


async def _in_batches(harness: Harness, commands: Sequence[PlacePurchase]) -> None:
    for start in range(0, len(commands), BATCH):
        await harness.receive(*commands[start : start + BATCH])


async def _read(harness: Harness, commands: Sequence[PlacePurchase]) -> list[Purchase]:
    async with harness.transaction() as tx:
        found = await purchases.read([one.purchase_id for one in commands], tx=tx)
    return [found[one.purchase_id] for one in commands]
