"""Purchases that are paid ahead: for a date, or delivered after the settlement (PLN-1, PLN-2, RSK-2, SVC-8)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.message import Message
from caas_contracts.operations import AlertRaised
from caas_contracts.orders import (
    PurchaseActivated,
    PurchaseCancelled,
    PurchaseDeclined,
    PurchaseFailed,
    PurchaseKind,
    PurchasePlaced,
)
from caas_contracts.ota import ActivateService, CancelActivation, DeactivateService
from caas_contracts.payments import AuthorizePayment, CancelPayment, DeliveryDecision, SettlementStage
from caas_contracts.purchase_life import ChargePlannedService, PurchaseScheduled
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.registration import Language
from caas_orders.domain.status import MoneyOutcome, PurchaseStatus
from services.orders.tests.builders import (
    PlayedMailer,
    PlayedMaintenance,
    activation_failed,
    cancel_purchase,
    payment_abandoned,
    payment_failed,
    place_purchase,
    registered,
    service_activated,
    settlement_failed,
    stored,
)
from services.orders.tests.life_builders import (
    BEGINNING,
    a_planned,
    clock_at,
    ordered,
    payment_confirmed,
    payment_refunded,
    payment_settled,
    placed,
    scheduled,
)

MIDNIGHT = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)
"""The beginning of 1 December in Madrid."""


def settlement_lost(purchase: Purchase) -> Message:
    return settlement_failed(purchase, SettlementStage.SETTLEMENT)


async def activating(harness: Harness) -> Purchase:
    """A planned purchase on its date."""
    purchase = await scheduled(harness)
    await clock_at(harness, MIDNIGHT)
    return await stored(harness, purchase.purchase_id)


async def test_a_planned_purchase_is_paid_at_once_and_waits_for_its_day(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await scheduled(harness)  # PLN-1
    await harness.run_effects()
    (charge,) = await harness.published(ChargePlannedService)
    (told,) = await harness.published(PurchaseScheduled)
    (announced,) = await harness.published(PurchasePlaced)
    assert (purchase.status, purchase.charged) == (PurchaseStatus.SCHEDULED, True)
    assert (charge.amount, charge.activation_id) == (purchase.price, purchase.activation_id)
    assert charge.idempotency_key == f"purchase:{purchase.purchase_id}"  # PAY-7
    assert purchase.starts_at == told.starts_at == announced.starts_at == MIDNIGHT
    assert await harness.published(AuthorizePayment) == []
    assert await harness.published(ActivateService) == []
    assert mailer.subjects == ["Su compra planificada de Sonido prémium está pagada"]
    assert "el 01/12/2026 00:00" in mailer.sent[0].text


async def test_it_is_activated_when_its_day_begins_for_the_customer_and_not_before(harness: Harness) -> None:
    await scheduled(harness)
    await clock_at(harness, MIDNIGHT - timedelta(minutes=1))
    assert await harness.published(ActivateService) == []
    await clock_at(harness, MIDNIGHT)
    (activate,) = await harness.published(ActivateService)
    assert activate.not_after - activate.requested_at == timedelta(minutes=30)
    await clock_at(harness, MIDNIGHT + timedelta(days=1))
    assert len(await harness.published(ActivateService)) == 1, "asked once"


@pytest.mark.parametrize(
    ("time_zone", "starts_on", "begins_at"),
    [
        ("Atlantic/Canary", "2026-12-01", datetime(2026, 12, 1, 0, 0, tzinfo=UTC)),
        ("America/New_York", "2026-12-01", datetime(2026, 12, 1, 5, 0, tzinfo=UTC)),
        ("Pacific/Kiritimati", "2026-12-01", datetime(2026, 11, 30, 10, 0, tzinfo=UTC)),
        # Its clocks go forward at midnight: the day begins at one o'clock.
        ("Africa/Cairo", "2027-04-30", datetime(2027, 4, 29, 22, 0, tzinfo=UTC)),
    ],
)
async def test_the_day_is_that_of_the_customers_own_calendar(
    harness: Harness, time_zone: str, starts_on: str, begins_at: datetime
) -> None:
    purchase = await placed(harness, a_planned(starts_on, time_zone=time_zone))
    assert purchase.starts_at == begins_at


async def test_its_success_makes_it_active_and_its_end_is_counted_from_its_day(harness: Harness) -> None:
    purchase = await activating(harness)
    ahead = MIDNIGHT - timedelta(seconds=2)  # The car's clock is behind.
    await harness.receive(service_activated(purchase, applied_at=ahead))
    active = await stored(harness, purchase.purchase_id)
    (event,) = await harness.published(PurchaseActivated)
    assert (active.status, active.charged, event.charged) == (PurchaseStatus.ACTIVE, True, True)
    assert event.ends_at == MIDNIGHT + timedelta(days=30)


@pytest.mark.parametrize("order", [(activation_failed, payment_refunded), (payment_refunded, activation_failed)])
async def test_a_failed_activation_ends_when_the_money_is_back(
    harness: Harness, mailer: PlayedMailer, order: tuple[Callable[[Purchase], Message], ...]
) -> None:
    purchase = await activating(harness)  # PLN-1, SVC-5
    for fact in order:
        await harness.receive(fact(purchase))
    await harness.run_effects()
    failed = await stored(harness, purchase.purchase_id)
    (event,) = await harness.published(PurchaseFailed)
    assert (failed.status, failed.money, failed.charged) == (PurchaseStatus.FAILED, MoneyOutcome.REFUNDED, False)
    assert (event.charged, event.refunded) == (False, purchase.price)
    assert mailer.subjects[1:] == ["No hemos podido activar Sonido prémium: le hemos devuelto su dinero"]
    await harness.receive(place_purchase())
    assert len(await harness.published(PurchasePlaced)) == 2, "the customer may try again"


async def test_a_failed_activation_alone_ends_nothing(harness: Harness) -> None:
    purchase = await activating(harness)
    await harness.receive(activation_failed(purchase))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.ACTIVATING
    await harness.receive(payment_refunded(purchase, 1))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.ACTIVATING, "a part of it is not all"


async def test_a_success_after_the_money_went_back_is_deactivated(harness: Harness) -> None:
    purchase = await activating(harness)  # SVC-10
    await harness.receive(activation_failed(purchase), payment_refunded(purchase))
    await harness.receive(service_activated(purchase, late=True))
    assert len(await harness.published(DeactivateService)) == 1
    assert len(await harness.published(AlertRaised)) == 1
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.FAILED


async def test_cancelling_before_the_day_pays_back(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await scheduled(harness)  # PLN-1, SVC-11
    await harness.receive(cancel_purchase(purchase), cancel_purchase(purchase))
    (cancel,) = await harness.published(CancelPayment)
    assert cancel.activation_id == purchase.activation_id
    await clock_at(harness, MIDNIGHT)
    assert await harness.published(ActivateService) == [], "its day comes, and nothing happens"
    await harness.receive(payment_refunded(purchase))
    await harness.run_effects()
    cancelled = await stored(harness, purchase.purchase_id)
    (event,) = await harness.published(PurchaseCancelled)
    assert (cancelled.status, cancelled.charged, event.refunded) == (PurchaseStatus.CANCELLED, False, purchase.price)
    assert mailer.subjects[1:] == ["Ha cancelado la compra de Sonido prémium"]
    assert "le hemos devuelto 8,99 €" in mailer.sent[1].text


async def test_a_payment_that_was_confirmed_after_the_cancellation_goes_back(harness: Harness) -> None:
    purchase = await placed(harness, a_planned())
    await harness.receive(cancel_purchase(purchase))
    await harness.receive(payment_confirmed(purchase))
    assert len(await harness.published(CancelPayment)) == 2, "said again, in case it was still pending"
    await harness.receive(payment_refunded(purchase))
    cancelled = await stored(harness, purchase.purchase_id)
    assert (cancelled.status, cancelled.money) == (PurchaseStatus.CANCELLED, MoneyOutcome.REFUNDED)


@pytest.mark.parametrize("is_faster", [True, False])
async def test_cancelling_on_the_day_ends_as_the_car_says(harness: Harness, is_faster: bool) -> None:
    purchase = await activating(harness)  # SVC-11
    await harness.receive(cancel_purchase(purchase))
    assert len(await harness.published(CancelActivation)) == 1
    assert await harness.published(CancelPayment) == [], "ota was asked: payments waits for the car"
    if is_faster:
        await harness.receive(service_activated(purchase, applied_at=MIDNIGHT))
    else:
        await harness.receive(activation_failed(purchase, "cancelled"), payment_refunded(purchase))
    end = await stored(harness, purchase.purchase_id)
    assert end.status is (PurchaseStatus.ACTIVE if is_faster else PurchaseStatus.CANCELLED)
    assert end.charged is is_faster


async def test_a_declined_or_unreachable_payment_schedules_nothing(harness: Harness) -> None:
    purchase = await placed(harness, a_planned())
    await harness.receive(payment_failed(purchase))
    (declined,) = await harness.published(PurchaseDeclined)
    assert declined.purchase_id == purchase.purchase_id
    other = a_planned()
    await harness.receive(other)
    await harness.receive(payment_abandoned(await stored(harness, other.purchase_id)))
    assert (await stored(harness, other.purchase_id)).status is PurchaseStatus.FAILED
    await clock_at(harness, MIDNIGHT)
    assert await harness.published(ActivateService) == []


async def test_the_maintenance_gate_is_asked_at_the_purchase(harness: Harness, maintenance: PlayedMaintenance) -> None:
    purchase = await placed(harness, a_planned(service_code="adaptive-cruise", duration_days=30))  # SVC-2
    assert await harness.published(ChargePlannedService) == []
    await harness.run_effects()
    assert len(await harness.published(ChargePlannedService)) == 1
    await harness.receive(payment_confirmed(purchase))
    await clock_at(harness, MIDNIGHT)
    await harness.run_effects()
    assert len(maintenance.asked) == 1
    assert len(await harness.published(ActivateService)) == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_does_not_settle_while_it_waits_is_given_up(
    harness: Harness, mailer: PlayedMailer, when: str
) -> None:
    purchase = await scheduled(harness) if when == "before" else await activating(harness)  # SVC-8
    await harness.receive(settlement_lost(purchase))
    given_up = [one.reason for one in await harness.published(CancelPayment)]
    stopped = [one.reason for one in await harness.published(CancelActivation)]
    assert (given_up, stopped) == ((["settlement_failed"], []) if when == "before" else ([], ["settlement_failed"]))
    await harness.receive(payment_refunded(purchase))
    await harness.run_effects()
    ended = await stored(harness, purchase.purchase_id)
    assert (ended.status, ended.reason, ended.charged) == (PurchaseStatus.CANCELLED, "settlement_failed", False)
    assert mailer.subjects[1:] == ["Hemos anulado su compra de Sonido prémium: el pago no ha llegado"]


async def test_what_does_not_settle_after_its_delivery_stays(harness: Harness) -> None:
    purchase = await activating(harness)  # SVC-8
    await harness.receive(service_activated(purchase, applied_at=MIDNIGHT))
    await harness.receive(settlement_lost(purchase))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.ACTIVE
    assert await harness.published(DeactivateService) == []


async def settling(harness: Harness, **changes: Any) -> Purchase:
    """A purchase that payments lets be delivered only after the settlement."""
    purchase = await placed(harness, ordered(**changes))
    await harness.receive(payment_confirmed(purchase, DeliveryDecision.AFTER_SETTLEMENT))
    return await stored(harness, purchase.purchase_id)


async def test_delivery_after_settlement_waits_for_all_of_the_money(harness: Harness) -> None:
    purchase = await settling(harness)  # RSK-2
    assert (purchase.status, purchase.charged) == (PurchaseStatus.SETTLING, True)
    await harness.receive(payment_settled(purchase, 400))
    assert await harness.published(ActivateService) == []
    await harness.receive(payment_settled(purchase, 499))
    assert len(await harness.published(ActivateService)) == 1
    await harness.receive(service_activated(purchase))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.ACTIVE


async def test_a_planned_purchase_may_have_to_wait_for_the_settlement_and_then_for_its_day(harness: Harness) -> None:
    purchase = await settling(harness, kind=PurchaseKind.PLANNED, starts_on="2026-12-01")
    await harness.receive(payment_settled(purchase))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.SCHEDULED
    await clock_at(harness, MIDNIGHT)
    assert len(await harness.published(ActivateService)) == 1


async def test_money_that_settles_after_its_day_is_activated_then(harness: Harness) -> None:
    purchase = await settling(harness, kind=PurchaseKind.PLANNED, starts_on="2026-12-01")
    await clock_at(harness, MIDNIGHT + timedelta(days=2))
    assert await harness.published(ActivateService) == []
    await harness.receive(payment_settled(purchase))
    await clock_at(harness, MIDNIGHT + timedelta(days=2))
    assert len(await harness.published(ActivateService)) == 1


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_a_settlement_that_fails_first_is_reversed(harness: Harness, is_cancelled: bool) -> None:
    purchase = await settling(harness)  # SVC-8, SVC-11
    await harness.receive(cancel_purchase(purchase) if is_cancelled else settlement_lost(purchase))
    assert len(await harness.published(CancelPayment)) == 1
    await harness.receive(payment_settled(purchase), payment_refunded(purchase))
    ended = await stored(harness, purchase.purchase_id)
    assert (ended.status, ended.money) == (PurchaseStatus.CANCELLED, MoneyOutcome.REFUNDED)
    assert await harness.published(ActivateService) == []


async def test_money_that_may_not_be_delivered_for_goes_back(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await placed(harness, a_planned())  # RSK-2
    await harness.receive(payment_confirmed(purchase, DeliveryDecision.REFUSE))
    await harness.receive(payment_refunded(purchase))
    await harness.run_effects()
    declined = await stored(harness, purchase.purchase_id)
    assert (declined.status, declined.reason) == (PurchaseStatus.DECLINED, "delivery_refused")
    assert "le hemos devuelto" in mailer.sent[0].text


async def test_a_person_who_pays_a_scheduled_purchase_back_ends_it(harness: Harness) -> None:
    purchase = await scheduled(harness)
    await harness.receive(payment_refunded(purchase))
    assert len(await harness.published(CancelPayment)) == 1, "no activation may earn it any more"
    await clock_at(harness, MIDNIGHT)
    assert await harness.published(ActivateService) == []
    assert (await stored(harness, purchase.purchase_id)).money is MoneyOutcome.REFUNDED


async def test_what_cannot_be_planned_is_refused(harness: Harness) -> None:
    harness.clock.move(BEGINNING - harness.clock.now())
    await registered(harness)
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("start_not_allowed", {"starts_on": "2026-11-22"}),
        ("start_not_allowed", {"starts_on": "2026-02-30"}),
        ("start_not_allowed", {"starts_on": "2027-11-25"}),
        ("start_not_allowed", {"starts_on": None}),
        ("start_not_allowed", {"kind": PurchaseKind.TEMPORARY}),
        ("time_zone_unknown", {"time_zone": "Europe/Atlantis"}),
        ("time_zone_unknown", {"time_zone": "../etc/passwd"}),
        ("period_not_allowed", {"period_months": 1}),
        ("period_not_offered", {"duration_days": None, "period_months": 5}),
        ("duration_not_offered", {"duration_days": 31}),
    ]
    await harness.receive(*[a_planned(**{"starts_on": "2026-12-01"} | changes) for _, changes in wrong])
    assert sorted(row["detail"].split(":")[0] for row in await harness.parked()) == sorted(code for code, _ in wrong)
    assert await harness.published(PurchasePlaced) == []


async def test_the_first_day_that_can_be_planned_is_tomorrow(harness: Harness) -> None:
    purchase = await placed(harness, a_planned("2026-11-23"))
    assert purchase.starts_at == datetime(2026, 11, 22, 23, 0, tzinfo=UTC)


async def test_a_planned_purchase_for_ever_costs_what_it_costs_for_ever(harness: Harness) -> None:
    purchase = await placed(harness, a_planned(duration_days=None))
    assert purchase.price.amount_minor == 14900


async def test_the_same_plan_asked_again_is_the_same_purchase_also_after_its_day(harness: Harness) -> None:
    command = a_planned()  # PAY-7
    await scheduled(harness, command)
    await clock_at(harness, MIDNIGHT + timedelta(days=1))
    await harness.receive(command.model_copy())
    await harness.receive(command.model_copy(update={"starts_on": "2026-12-05"}))
    assert len(await harness.published(ChargePlannedService)) == 1
    (parked,) = await harness.parked()
    assert "purchase_id_reused" in parked["detail"]


async def test_english_customers_read_about_their_plan_in_english(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await placed(harness, a_planned())
    await registered(harness, language=Language.ENGLISH)
    await harness.receive(payment_confirmed(purchase))
    await harness.run_effects()
    assert mailer.subjects == ["Your planned purchase of Premium sound is paid"]
