"""A stolen vehicle: what is delivered stays, everything else stops in one step, and nothing more is sold (THF)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.identity import IdentityProvider
from caas_chassis.web import create_app
from caas_contracts.orders import PurchaseCancelled
from caas_contracts.ota import ActivateService, CancelActivation, DeactivateService
from caas_contracts.payments import AuthorizePayment, CancelPayment, RefundPayment
from caas_contracts.purchase_life import ChargeRenewal, RecurrenceEnded, VehicleReportedStolen
from caas_contracts.subscriptions import SubscriptionCancelled
from caas_orders.domain.purchase import VEHICLE_STOLEN, Purchase
from caas_orders.domain.status import IN_PROGRESS, PurchaseStatus
from caas_orders.handlers.theft import Report, Stolen, report_stolen
from caas_orders.http import routers
from services.orders.tests.builders import (
    NOW,
    PlayedMailer,
    a_vehicle,
    activation_failed,
    payment_authorized,
    payment_captured,
    payment_voided,
    place_purchase,
    registered,
    service_activated,
    stored,
)
from services.orders.tests.life_builders import (
    a_planned,
    a_recurring,
    clock_at,
    payment_refunded,
    placed,
    renewal_confirmed,
    scheduled,
)
from services.orders.tests.subscription_builders import subscribed
from services.orders.tests.withdrawal_builders import active, withdrawn

identity = IdentityProvider()
ANA = identity.bearer("cus-1", "customer")
BEA = identity.bearer("cus-2", "customer")
DEALER = identity.bearer("dealer-1", "dealer")
OPERATOR = identity.bearer("ops-1", "operator")


@pytest.fixture
async def http(harness: Harness) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(harness.runtime, routers(harness.runtime), verifier=identity.verifier())
    await harness.runtime.changes.start()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://orders", timeout=15) as client:
        yield client
    await harness.runtime.changes.stop()


async def stolen(harness: Harness, vehicle_id: str = "veh-1", report_id: UUID | None = None) -> Stolen:
    async with harness.transaction("customer:cus-1") as tx:
        return await report_stolen(Report(vehicle_id, report_id or new_id(), NOW), tx=tx)


async def status_of(harness: Harness, purchase: Purchase) -> PurchaseStatus:
    return (await stored(harness, purchase.purchase_id)).status


async def test_what_is_delivered_stays(harness: Harness) -> None:
    purchase = await active(harness)  # THF-1
    await harness.take()
    await stolen(harness)
    (published,) = await harness.take()
    assert isinstance(published, VehicleReportedStolen)
    assert await stored(harness, purchase.purchase_id) == purchase
    await withdrawn(harness, purchase)  # DES decides about it.
    assert await status_of(harness, purchase) is PurchaseStatus.WITHDRAWING


async def test_what_is_planned_is_paid_back(harness: Harness) -> None:
    purchase = await scheduled(harness)  # THF-2
    await stolen(harness)
    (cancel,) = await harness.published(CancelPayment)
    assert cancel.payment_id == purchase.payment_id
    await harness.receive(payment_refunded(purchase))
    end = await stored(harness, purchase.purchase_id)
    assert (end.status, end.reason) == (PurchaseStatus.CANCELLED, VEHICLE_STOLEN)
    (told,) = await harness.published(PurchaseCancelled)
    assert told.refunded == purchase.price
    assert purchase.starts_at is not None
    await clock_at(harness, purchase.starts_at)
    assert await harness.published(ActivateService) == []


async def test_what_is_held_is_released(harness: Harness, mailer: PlayedMailer) -> None:
    await registered(harness)  # THF-2
    command = place_purchase()
    await harness.receive(command)
    purchase = await stored(harness, command.purchase_id)
    await harness.receive(payment_authorized(purchase))
    await stolen(harness)
    assert len(await harness.published(CancelActivation)) == 1
    await harness.receive(activation_failed(purchase), payment_voided(purchase))
    assert await status_of(harness, purchase) is PurchaseStatus.CANCELLED
    await harness.run_effects()
    assert sorted(mailer.subjects) == [
        "Hemos cancelado la compra de Sonido prémium",
        "Robo de su vehículo veh-1: qué pasa con sus servicios",
    ]
    assert "denunciado el 22/11/2026 10:00:00" in next(m.text for m in mailer.sent if m.subject.startswith("Robo"))


async def test_a_command_in_flight_that_succeeds_is_delivered_and_stays(harness: Harness) -> None:
    await registered(harness)  # SVC-6, THF-1: the charge fence decides.
    command = place_purchase()
    await harness.receive(command)
    purchase = await stored(harness, command.purchase_id)
    await harness.receive(payment_authorized(purchase))
    await stolen(harness)
    await harness.receive(service_activated(purchase))
    await harness.receive(payment_captured(purchase))
    assert await status_of(harness, purchase) is PurchaseStatus.ACTIVE
    assert await harness.published(RefundPayment) == []
    assert await harness.published(DeactivateService) == []


async def test_recurrences_stop_and_the_running_period_is_kept(harness: Harness) -> None:
    purchase = await placed(harness, a_recurring())  # THF-2, REC-2
    await harness.receive(payment_authorized(purchase))
    await harness.receive(service_activated(purchase))
    await harness.receive(payment_captured(purchase))
    running = await stored(harness, purchase.purchase_id)
    assert running.ends_at is not None
    await stolen(harness)
    (ended,) = await harness.published(RecurrenceEnded)
    assert (ended.reason, ended.ends_at) == (VEHICLE_STOLEN, running.ends_at)
    assert await status_of(harness, purchase) is PurchaseStatus.ACTIVE
    await clock_at(harness, running.ends_at)
    assert await harness.published(ChargeRenewal) == []
    assert await status_of(harness, purchase) is PurchaseStatus.EXPIRED


async def test_a_renewal_that_was_being_paid_goes_back(harness: Harness) -> None:
    purchase = await placed(harness, a_recurring())
    await harness.receive(payment_authorized(purchase))
    await harness.receive(service_activated(purchase))
    await harness.receive(payment_captured(purchase))
    running = await stored(harness, purchase.purchase_id)
    assert running.ends_at is not None
    async with harness.transaction() as tx:
        (row,) = await tx.fetch("SELECT next_renewal_at FROM recurrence")
    await clock_at(harness, row["next_renewal_at"])
    (charge,) = await harness.published(ChargeRenewal)
    await stolen(harness)
    await harness.receive(renewal_confirmed(charge))
    (refund,) = await harness.published(RefundPayment)
    assert (refund.payment_id, refund.amount) == (charge.payment_id, purchase.price)
    assert (await stored(harness, purchase.purchase_id)).ends_at == running.ends_at


async def test_a_subscription_ends(harness: Harness) -> None:
    subscription = await subscribed(harness)  # THF-2
    await stolen(harness)
    assert await status_of(harness, subscription) is PurchaseStatus.ENDED
    (told,) = await harness.published(SubscriptionCancelled)
    assert told.subscription_id == subscription.purchase_id


async def test_other_vehicles_are_not_touched(harness: Harness) -> None:
    await registered(harness, a_vehicle("veh-2"))
    other = await scheduled(harness, a_planned())
    await stolen(harness, "veh-2")
    assert await status_of(harness, other) is PurchaseStatus.SCHEDULED


async def test_a_second_report_is_the_first(harness: Harness, mailer: PlayedMailer) -> None:
    await scheduled(harness)
    first = await stolen(harness)
    again, other = await stolen(harness, report_id=first.theft.report_id), await stolen(harness)
    assert first.is_new
    assert not again.is_new
    assert not other.is_new
    assert again.theft == other.theft == first.theft
    assert len(await harness.published(VehicleReportedStolen)) == 1
    assert len(await harness.published(CancelPayment)) == 1
    await harness.run_effects()
    assert mailer.subjects.count("Robo de su vehículo veh-1: qué pasa con sus servicios") == 1


async def test_nothing_is_sold_for_a_stolen_vehicle(harness: Harness, http: httpx.AsyncClient) -> None:
    await registered(harness)
    await stolen(harness)
    request = {
        "vehicle_id": "veh-1",
        "service_code": "premium-audio",
        "kind": "permanent",
        "payment_method": "tok_approved",
        "immediate_performance_consent": True,
    }
    answer = await http.post("/purchases", json=request, headers={**ANA, "Idempotency-Key": "k-1"})
    assert (answer.status_code, answer.json()["code"]) == (409, "vehicle_reported_stolen")
    await harness.receive(place_purchase())
    (parked,) = await harness.parked()
    assert "vehicle_reported_stolen" in str(dict(parked))
    assert await harness.published(AuthorizePayment) == []
    assert (await http.get("/catalogue?vehicle_id=veh-1", headers=ANA)).json()["stolen_at"] == "2026-11-22T09:00:00Z"


async def test_a_purchase_of_before_is_still_the_same_purchase_when_it_is_asked_again(harness: Harness) -> None:
    await registered(harness)  # PAY-7
    command = place_purchase()
    await harness.receive(command)
    await stolen(harness)
    await harness.receive(command.model_copy())
    assert await harness.parked() == []


async def test_owners_and_operators_report_over_http_and_others_find_nothing(
    harness: Harness, http: httpx.AsyncClient
) -> None:
    purchase = await scheduled(harness)
    await registered(harness, a_vehicle("veh-2", "cus-2"))
    body = {"report_id": str(new_id()), "reported_at": "2026-11-22T08:30:00+01:00"}

    async def report(who: dict[str, str], vehicle_id: str = "veh-1", **changes: Any) -> httpx.Response:
        return await http.post(f"/vehicles/{vehicle_id}/theft", json=body | changes, headers=who)

    assert (await report(BEA)).status_code == (await report(OPERATOR, "veh-9")).status_code == 404
    assert (await report(DEALER)).status_code == 403
    assert (await report(ANA, reported_at="2026-11-22T08:30:00")).status_code == 400  # no one knows when that is
    assert await harness.published(VehicleReportedStolen) == []
    first, second, third = await report(ANA), await report(ANA), await report(OPERATOR, report_id=str(new_id()))
    assert (first.status_code, second.status_code, third.status_code) == (201, 200, 200)
    assert first.json() == second.json() == third.json()
    assert first.json()["reported_at"] == "2026-11-22T07:30:00Z"
    (told,) = first.json()["purchases"]
    assert (told["purchase_id"], told["status"]) == (str(purchase.purchase_id), "cancelling")
    (letter,) = [
        one
        for one in (await http.get("/expediente", headers=ANA)).json()["notifications"]
        if one["kind"] == "vehicle_stolen"
    ]
    assert (letter["vehicle_id"], letter["purchase_id"], letter["order_id"]) == ("veh-1", None, None)


async def test_a_purchase_and_a_theft_at_once_leave_nothing_going_on(harness: Harness) -> None:
    async def buy(run: int) -> None:
        await asyncio.sleep(0.002 * (run % 3))
        await harness.receive(place_purchase(vehicle_id=f"veh-{run}"))

    for run in range(24):
        await registered(harness, a_vehicle(f"veh-{run}"))
        await asyncio.wait_for(asyncio.gather(buy(run), stolen(harness, f"veh-{run}")), 20)
    async with harness.transaction() as tx:
        rows = await tx.fetch("SELECT status FROM purchases WHERE cancelled_at IS NULL")
    assert not [row for row in rows if row["status"] in IN_PROGRESS]
    assert len(await harness.published(VehicleReportedStolen)) == 24
