"""One purchase through its whole life, as the messages of the other services tell it."""

from datetime import timedelta

from caas_chassis.cause import Cause
from caas_chassis.effects import Done
from caas_chassis.testing.harness import Harness
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.orders import (
    PurchaseActivated,
    PurchaseBlocked,
    PurchaseCancelled,
    PurchaseDeclined,
    PurchaseFailed,
    PurchasePlaced,
)
from caas_contracts.ota import ActivateService, CancelActivation, DeactivateService
from caas_contracts.payments import AuthorizePayment, CancelPayment, DeliveryDecision, SettlementStage
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.registration import Language
from caas_orders.domain.status import PurchaseStatus
from caas_orders.gateway import (
    Current,
    Deferred,
    MaintenanceAnswer,
    MaintenanceQuestion,
    NotAnswering,
    NotCurrent,
    Rejected,
)
from caas_orders.handlers.purchasing import record_maintenance
from services.orders.tests.builders import (
    NOW,
    PlayedMailer,
    PlayedMaintenance,
    a_vehicle,
    activation_failed,
    alert_raised,
    cancel_purchase,
    invoice_issued,
    payment_abandoned,
    payment_authorized,
    payment_captured,
    payment_failed,
    payment_voided,
    place_purchase,
    registered,
    service_activated,
    settlement_failed,
    stored,
)


async def placed(harness: Harness, service_code: str = "premium-audio") -> Purchase:
    await registered(harness)
    command = place_purchase(service_code)
    await harness.receive(command)
    return await stored(harness, command.purchase_id)


async def activating(harness: Harness) -> Purchase:
    purchase = await placed(harness)
    await harness.receive(payment_authorized(purchase))
    return await stored(harness, purchase.purchase_id)


async def test_a_purchase_without_maintenance_asks_payments_at_once(harness: Harness) -> None:
    purchase = await placed(harness)  # SVC-3
    (placed_event,) = await harness.published(PurchasePlaced)
    (authorize,) = await harness.published(AuthorizePayment)
    assert purchase.status is PurchaseStatus.AUTHORIZING
    assert purchase.consent_at == NOW  # DES-8
    assert placed_event.price.amount_minor == 899
    assert (placed_event.vat_rate_bp, placed_event.service_name) == (2100, "Sonido prémium")
    assert authorize.amount == placed_event.price
    assert authorize.payment_id == placed_event.payment_id
    assert authorize.activation_id == placed_event.activation_id
    assert authorize.idempotency_key == f"purchase:{purchase.purchase_id}"  # PAY-7


async def test_an_authorized_purchase_is_activated_within_its_window(harness: Harness) -> None:
    purchase = await activating(harness)
    (activate,) = await harness.published(ActivateService)
    assert purchase.status is PurchaseStatus.ACTIVATING
    assert activate.not_after == purchase.activation_not_after
    assert activate.not_after - activate.requested_at == timedelta(minutes=30)
    assert activate.configuration == {"audio.profile": "premium"}


async def test_the_hold_limits_how_late_an_activation_may_be(harness: Harness) -> None:
    purchase = await placed(harness)  # SVC-10
    soon = harness.clock.now() + timedelta(minutes=10)
    await harness.receive(payment_authorized(purchase, activate_not_after=soon))
    (activate,) = await harness.published(ActivateService)
    assert activate.not_after == soon


async def test_activated_and_captured_makes_the_purchase_active(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await activating(harness)  # SVC-4
    await harness.receive(service_activated(purchase), payment_captured(purchase))
    await harness.run_effects()
    active = await stored(harness, purchase.purchase_id)
    (event,) = await harness.published(PurchaseActivated)
    assert (active.status, active.charged) == (PurchaseStatus.ACTIVE, True)
    assert event.charged
    assert event.ends_at == NOW + timedelta(days=30)
    assert mailer.subjects == ["Sonido prémium ya está activo en su coche"]
    assert "8,99 €" in mailer.sent[0].text


async def test_a_capture_that_overtakes_the_activation_changes_nothing(harness: Harness) -> None:
    purchase = await activating(harness)
    await harness.receive(payment_captured(purchase))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.ACTIVATING
    await harness.receive(service_activated(purchase))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.ACTIVE
    assert len(await harness.published(PurchaseActivated)) == 1


async def test_a_capture_that_names_the_activation_needs_nothing_else(harness: Harness) -> None:
    purchase = await activating(harness)
    await harness.receive(payment_captured(purchase, activated_at=NOW))
    await harness.receive(service_activated(purchase))
    assert (await stored(harness, purchase.purchase_id)).activated_at == NOW
    assert len(await harness.published(PurchaseActivated)) == 1


async def test_a_failed_capture_leaves_the_service_with_the_customer(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await activating(harness)  # SVC-8
    await harness.receive(service_activated(purchase), settlement_failed(purchase))
    await harness.run_effects()
    kept = await stored(harness, purchase.purchase_id)
    (event,) = await harness.published(PurchaseActivated)
    assert (kept.status, kept.charged, event.charged) == (PurchaseStatus.ACTIVE, False, False)
    assert "No le hemos cobrado nada" in mailer.sent[0].text


async def test_a_loss_after_the_capture_changes_no_purchase(harness: Harness) -> None:
    purchase = await activating(harness)
    await harness.receive(service_activated(purchase), payment_captured(purchase))
    await harness.receive(settlement_failed(purchase, SettlementStage.SETTLEMENT))
    assert (await stored(harness, purchase.purchase_id)).charged


async def test_a_failed_activation_is_not_charged_and_the_customer_is_told(
    harness: Harness, mailer: PlayedMailer
) -> None:
    purchase = await activating(harness)  # SVC-5
    await harness.receive(activation_failed(purchase))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.ACTIVATING
    await harness.receive(payment_voided(purchase, reason="verified_rejection"))
    await harness.run_effects()
    failed = await stored(harness, purchase.purchase_id)
    (event,) = await harness.published(PurchaseFailed)
    assert (failed.status, failed.charged, failed.reason) == (PurchaseStatus.FAILED, False, "incompatible")
    assert event.charged is False
    assert mailer.subjects == ["No hemos podido activar Sonido prémium: no se le ha cobrado nada"]
    assert "retención de 8,99 €, desaparecerá en unos días.\nNuestro soporte" in mailer.sent[0].text


async def test_a_declined_payment_activates_nothing(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await placed(harness)  # SVC-7
    await harness.receive(payment_failed(purchase, "insufficient_funds"))
    await harness.run_effects()
    (event,) = await harness.published(PurchaseDeclined)
    assert event.reason == "insufficient_funds"
    assert await harness.published(ActivateService) == []
    assert mailer.subjects == ["Su pago de Sonido prémium no ha sido aceptado"]
    await harness.receive(place_purchase())
    assert len(await harness.published(AuthorizePayment)) == 2, "the customer may try again"


async def test_an_unreachable_gateway_is_no_decline(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await placed(harness)
    await harness.receive(payment_abandoned(purchase))
    await harness.run_effects()
    (event,) = await harness.published(PurchaseFailed)
    assert event.reason == "gateway_unreachable"
    assert "pasarela de pago" in mailer.sent[0].text


async def test_a_refused_delivery_gives_the_hold_back(harness: Harness) -> None:
    purchase = await placed(harness)  # RSK-2
    await harness.receive(payment_authorized(purchase, DeliveryDecision.REFUSE))
    (cancel,) = await harness.published(CancelPayment)
    assert cancel.reason == "delivery_refused"
    await harness.receive(payment_voided(purchase))
    (event,) = await harness.published(PurchaseDeclined)
    assert event.reason == "delivery_refused"
    assert await harness.published(ActivateService) == []


async def test_current_maintenance_opens_the_gate(harness: Harness, maintenance: PlayedMaintenance) -> None:
    purchase = await placed(harness, "adaptive-cruise")  # SVC-2
    assert purchase.status is PurchaseStatus.REQUESTED
    assert await harness.published(AuthorizePayment) == []
    await harness.run_effects()
    assert [question.vehicle_id for question in maintenance.asked] == ["veh-1"]
    assert len(await harness.published(AuthorizePayment)) == 1


async def test_overdue_maintenance_blocks_before_any_payment(
    harness: Harness, maintenance: PlayedMaintenance, mailer: PlayedMailer
) -> None:
    maintenance.answer = NotCurrent()
    await placed(harness, "adaptive-cruise")
    await harness.run_effects()
    (event,) = await harness.published(PurchaseBlocked)
    assert event.reason == "maintenance_overdue"
    assert await harness.published(AuthorizePayment) == []
    assert "no está al día" in mailer.sent[0].text


async def test_a_silent_maintenance_system_blocks_with_its_own_reason(
    harness: Harness, maintenance: PlayedMaintenance, mailer: PlayedMailer
) -> None:
    maintenance.answer = NotAnswering("maintenance_unavailable")
    await placed(harness, "adaptive-cruise")
    await harness.run_effects()
    (event,) = await harness.published(PurchaseBlocked)
    assert event.reason == "maintenance_unavailable"
    assert "no es posible comprobar" in mailer.sent[0].text


async def test_a_gate_that_is_asked_twice_opens_once(harness: Harness) -> None:
    # The process died after the call and before its record: the call is made again.
    purchase = await placed(harness, "adaptive-cruise")
    question = MaintenanceQuestion(purchase_id=purchase.purchase_id, vehicle_id=purchase.vehicle_id)
    done: Done[MaintenanceQuestion, MaintenanceAnswer] = Done(
        "key", question, Current(), Cause.of_person("operator:test")
    )
    for _ in range(2):
        async with harness.transaction() as tx:
            await record_maintenance([done], tx=tx)
    assert len(await harness.published(AuthorizePayment)) == 1


async def test_an_answer_of_the_gate_after_a_cancellation_changes_nothing(harness: Harness) -> None:
    purchase = await placed(harness, "adaptive-cruise")
    await harness.receive(cancel_purchase(purchase))
    await harness.run_effects()
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.CANCELLED
    assert await harness.published(AuthorizePayment) == []


async def test_cancelling_before_the_activation_gives_the_payment_up(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await placed(harness)  # SVC-11
    await harness.receive(cancel_purchase(purchase), cancel_purchase(purchase))
    assert len(await harness.published(CancelPayment)) == 1
    await harness.receive(payment_authorized(purchase))
    assert await harness.published(ActivateService) == []
    assert len(await harness.published(CancelPayment)) == 2, "said again, in case the hold was still pending"
    await harness.receive(payment_voided(purchase))
    await harness.run_effects()
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.CANCELLED
    assert len(await harness.published(PurchaseCancelled)) == 1
    assert mailer.subjects == ["Ha cancelado la compra de Sonido prémium"]


async def test_cancelling_an_activation_that_succeeds_all_the_same_ends_active(harness: Harness) -> None:
    purchase = await activating(harness)
    await harness.receive(cancel_purchase(purchase))
    assert len(await harness.published(CancelActivation)) == 1
    assert await harness.published(CancelPayment) == []
    await harness.receive(service_activated(purchase), payment_captured(purchase))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.ACTIVE


async def test_cancelling_an_activation_in_time_ends_cancelled(harness: Harness) -> None:
    purchase = await activating(harness)
    await harness.receive(cancel_purchase(purchase))
    await harness.receive(payment_voided(purchase), activation_failed(purchase, "cancelled"))
    cancelled = await stored(harness, purchase.purchase_id)
    assert (cancelled.status, cancelled.charged) == (PurchaseStatus.CANCELLED, False)


async def test_a_late_success_is_deactivated_once(harness: Harness) -> None:
    purchase = await activating(harness)  # SVC-10
    await harness.receive(activation_failed(purchase))
    await harness.receive(payment_voided(purchase))
    late = service_activated(purchase, late=True)
    await harness.receive(late)
    await harness.receive_again(late)
    await harness.receive(service_activated(purchase, late=True))
    (deactivate,) = await harness.published(DeactivateService)
    (alert,) = await harness.published(AlertRaised)
    assert deactivate.reason == "late_success"
    assert (alert.kind, alert.subject) == (AlertKind.LATE_SUCCESS, str(purchase.purchase_id))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.FAILED


async def test_a_success_that_the_void_overtook_is_deactivated(harness: Harness) -> None:
    purchase = await activating(harness)
    await harness.receive(service_activated(purchase))
    await harness.receive(payment_voided(purchase))
    assert len(await harness.published(DeactivateService)) == 1
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.FAILED


async def test_a_charge_without_service_alarms_operations(harness: Harness) -> None:
    purchase = await placed(harness)
    await harness.receive(payment_failed(purchase))
    await harness.receive(payment_captured(purchase))
    (alert,) = await harness.published(AlertRaised)
    assert "refund it" in alert.detail


async def test_a_message_that_can_never_be_placed_is_parked_and_delays_nobody(harness: Harness) -> None:
    await registered(harness, a_vehicle(), a_vehicle("veh-2", "cus-2"))
    good = place_purchase()
    await harness.receive(
        place_purchase(vehicle_id="veh-9"),
        place_purchase(vehicle_id="veh-2"),
        place_purchase("no-such-service"),
        place_purchase("tow-assist"),
        place_purchase(duration_days=31),
        place_purchase(consent=False),
        good,
    )
    assert (await stored(harness, good.purchase_id)).status is PurchaseStatus.AUTHORIZING
    reasons = sorted(row["detail"].split(":")[0] for row in await harness.parked())
    assert reasons == [
        "consent_missing",
        "duration_not_offered",
        "service_not_allowed",
        "service_unknown",
        "vehicle_not_found",
        "vehicle_not_found",
    ]


async def test_a_service_is_bought_once_per_vehicle(harness: Harness) -> None:
    await registered(harness)
    await harness.receive(place_purchase(), place_purchase(duration_days=None))
    (parked,) = await harness.parked()
    assert "service_already_bought" in parked["detail"]
    assert len(await harness.published(PurchasePlaced)) == 1


async def test_the_same_intent_is_one_purchase_and_another_content_is_refused(harness: Harness) -> None:
    await registered(harness)  # PAY-7
    command = place_purchase()
    await harness.receive(command)
    await harness.receive(command.model_copy())
    await harness.receive(command.model_copy(update={"payment_method": "tok_declined"}))
    assert len(await harness.published(AuthorizePayment)) == 1
    (parked,) = await harness.parked()
    assert "purchase_id_reused" in parked["detail"]


async def test_an_invoice_is_listed_once_and_not_mailed_twice(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await placed(harness)
    invoice = invoice_issued(purchase)
    await harness.receive(invoice)
    await harness.receive_again(invoice)
    await harness.run_effects()
    assert mailer.sent == [], "billing mails it with its PDF"
    async with harness.transaction() as tx:
        rows = await tx.fetch("SELECT kind, state, subject FROM notifications")
    assert [(row["kind"], row["state"]) for row in rows] == [("invoice_issued", "listed")]
    assert rows[0]["subject"] == "Factura S-2026-000001 de Sonido prémium"


async def test_alerts_of_every_service_are_mailed_to_operations_once(harness: Harness, mailer: PlayedMailer) -> None:
    alert = alert_raised()  # NOT-2
    await harness.receive(alert, alert_raised("pay-2"))
    await harness.receive_again(alert)
    await harness.run_effects()
    assert mailer.subjects == ["[payments] payment_abandoned: pay-1", "[payments] payment_abandoned: pay-2"]
    assert {mail.recipient for mail in mailer.sent} == {None}


async def test_a_deferred_mail_is_sent_again_as_the_same_mail(harness: Harness, mailer: PlayedMailer) -> None:
    mailer.outcomes = [Deferred("451"), Deferred("451")]
    purchase = await placed(harness)
    await harness.receive(payment_failed(purchase))
    for _ in range(3):
        await harness.skip_delays()
        await harness.run_effects()
    (mail,) = mailer.sent
    assert mail.attempt == 3
    async with harness.transaction() as tx:
        (row,) = await tx.fetch("SELECT notification_id, state, sent_at FROM notifications")
    assert (row["notification_id"], row["state"]) == (mail.mail_id, "sent")


async def test_a_refused_mail_is_marked_and_operations_are_told(harness: Harness, mailer: PlayedMailer) -> None:
    mailer.outcomes = [Rejected("550")]
    purchase = await placed(harness)
    await harness.receive(payment_failed(purchase))
    await harness.run_effects()
    (alert,) = await harness.published(AlertRaised)
    assert alert.kind is AlertKind.RETRIES_EXHAUSTED
    async with harness.transaction() as tx:
        assert await tx.fetchval("SELECT state FROM notifications") == "undeliverable"


async def test_customers_read_their_own_language(harness: Harness, mailer: PlayedMailer) -> None:
    await registered(harness, language=Language.ENGLISH)
    command = place_purchase(duration_days=None)
    await harness.receive(command)
    purchase = await stored(harness, command.purchase_id)
    await harness.receive(payment_authorized(purchase))
    await harness.receive(payment_captured(purchase, activated_at=NOW))
    await harness.run_effects()
    assert mailer.subjects == ["Premium sound is now active in your car"]
    assert "€149.00" in mailer.sent[0].text
    assert "until" not in mailer.sent[0].text


async def test_payments_that_pay_for_other_things_are_not_ours(harness: Harness) -> None:
    purchase = await placed(harness)
    stranger = payment_authorized(purchase).model_copy(update={"subject_id": purchase.payment_id})
    await harness.receive(stranger)
    assert await harness.published(ActivateService) == []
    assert await harness.parked() == []
