"""The end of a service: it leaves the car, and a car out of reach is followed until it has (SVC-9, OTA-4)."""

from datetime import timedelta

from caas_chassis.testing.harness import Harness
from caas_contracts.ota import DeactivateService
from caas_contracts.purchase_life import PurchaseExpired
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.status import PurchaseStatus
from services.orders.tests.builders import (
    PlayedMailer,
    payment_authorized,
    payment_captured,
    place_purchase,
    service_activated,
    stored,
)
from services.orders.tests.life_builders import (
    BEGINNING,
    clock_at,
    deactivation_delayed,
    placed,
    service_deactivated,
)

END = BEGINNING + timedelta(days=30)


async def active(harness: Harness, duration_days: int | None = 30) -> Purchase:
    purchase = await placed(harness, place_purchase(duration_days=duration_days))
    await harness.receive(payment_authorized(purchase))
    await harness.receive(payment_captured(purchase), service_activated(purchase, applied_at=BEGINNING))
    return await stored(harness, purchase.purchase_id)


async def test_a_service_is_taken_out_at_its_end_and_not_before(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await active(harness)  # SVC-9
    await clock_at(harness, END - timedelta(minutes=1))
    assert await harness.published(DeactivateService) == []
    await clock_at(harness, END)
    await harness.run_effects()
    expired = await stored(harness, purchase.purchase_id)
    (event,) = await harness.published(PurchaseExpired)
    (deactivate,) = await harness.published(DeactivateService)
    assert (expired.status, expired.charged, event.ended_at) == (PurchaseStatus.EXPIRED, True, END)
    assert (deactivate.activation_id, deactivate.reason) == (purchase.activation_id, "expired")
    assert deactivate.deactivation_id == expired.deactivation_id
    assert mailer.subjects[1:] == ["Sonido prémium ha llegado a su fin"]
    assert "el 22/12/2026 10:00" in mailer.sent[1].text
    await clock_at(harness, END + timedelta(days=1))
    assert len(await harness.published(DeactivateService)) == 1


async def test_what_the_car_answers_is_kept(harness: Harness) -> None:
    purchase = await active(harness)
    await clock_at(harness, END)
    (deactivate,) = await harness.published(DeactivateService)
    late = END + timedelta(hours=5)
    await harness.receive(deactivation_delayed(purchase, deactivate.deactivation_id, late))
    waiting = await stored(harness, purchase.purchase_id)
    assert (waiting.deactivation_delayed_at, waiting.deactivated_at) == (late, None)
    done = service_deactivated(purchase, deactivate.deactivation_id, late + timedelta(days=3))
    await harness.receive(done)
    await harness.receive_again(done)
    assert (await stored(harness, purchase.purchase_id)).deactivated_at == late + timedelta(days=3)
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.EXPIRED


async def test_what_was_bought_for_ever_does_not_end(harness: Harness) -> None:
    purchase = await active(harness, duration_days=None)
    await clock_at(harness, BEGINNING + timedelta(days=20_000))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.ACTIVE
    assert await harness.published(DeactivateService) == []


async def test_the_same_service_can_be_bought_again_after_its_end(harness: Harness) -> None:
    await active(harness)
    await clock_at(harness, END)
    again = place_purchase()
    await harness.receive(again)
    assert (await stored(harness, again.purchase_id)).status is PurchaseStatus.AUTHORIZING
