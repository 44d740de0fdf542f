"""Subscribing: active at once without a payment, ended by the customer or unpaid, told of each step (SUB, NOT-1)."""

import asyncio
from datetime import timedelta

import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.message import Message
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.orders import (
    PurchaseActivated,
    PurchaseBlocked,
    PurchaseCancelled,
    PurchaseFailed,
    PurchasePlaced,
)
from caas_contracts.ota import ActivateService, CancelActivation, DeactivateService
from caas_contracts.payments import AuthorizePayment, CancelPayment
from caas_contracts.subscriptions import SubscriptionCancelled, SubscriptionStarted
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.refusal import Refusal
from caas_orders.domain.registration import Language
from caas_orders.domain.status import PurchaseStatus
from caas_orders.gateway import NotCurrent
from caas_orders.handlers.purchasing import cancel
from services.orders.tests.builders import (
    NOW,
    PlayedMailer,
    PlayedMaintenance,
    a_vehicle,
    activation_failed,
    cancel_purchase,
    invoice_issued,
    place_purchase,
    registered,
    service_activated,
    stored,
)
from services.orders.tests.subscription_builders import (
    LINK,
    a_subscribing,
    needs_customer,
    paid,
    payment_failed,
    settled,
    subscribed,
    subscribing,
    unpaid,
)


@pytest.fixture(autouse=True)
async def before_the_new_prices(harness: Harness) -> None:
    """The catalogue has versions from 2027 on."""
    await harness.move_clock(NOW - harness.clock.now())


async def told_of(harness: Harness, purchase: Purchase) -> list[tuple[str, str]]:
    """Kind and occasion of all that the customer was told, in the order in which it was."""
    async with harness.transaction() as tx:
        rows = await tx.fetch(
            "SELECT kind, occasion FROM notifications WHERE purchase_id = $1 ORDER BY notification_id",
            purchase.purchase_id,
        )
    return [(row["kind"], row["occasion"]) for row in rows]


async def test_subscribing_asks_the_car_at_once_and_nobody_for_money(harness: Harness) -> None:
    purchase = await subscribing(harness)  # SUB-1
    (placed,) = await harness.published(PurchasePlaced)
    (activate,) = await harness.published(ActivateService)
    assert purchase.status is PurchaseStatus.ACTIVATING
    assert (placed.payment_id, placed.price.amount_minor) == (None, 0)
    assert (activate.payment_id, activate.activation_id) == (None, purchase.activation_id)
    assert activate.not_after == purchase.activation_not_after
    assert activate.not_after - activate.requested_at == timedelta(minutes=30)
    assert await harness.published(AuthorizePayment) == []


async def test_an_applied_subscription_begins_when_the_car_applied_it(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await subscribing(harness)
    await harness.receive(service_activated(purchase))
    await harness.run_effects()
    active = await stored(harness, purchase.purchase_id)
    (started,) = await harness.published(SubscriptionStarted)
    (activated,) = await harness.published(PurchaseActivated)
    assert (active.status, active.charged, activated.charged) == (PurchaseStatus.ACTIVE, False, False)
    assert (started.subscription_id, started.started_at) == (purchase.purchase_id, NOW)
    assert (started.plan.plan_code, started.plan.version, started.plan.rate) == ("premium-audio-month", 1, "899")
    assert (started.payment_method, started.vat_rate_bp) == ("tok_approved", 2100)
    assert (started.customer_name, started.service_name) == ("Ana Ruiz", "Sonido prémium")
    assert mailer.subjects == ["Su suscripción a Sonido prémium está activa"]
    assert "8,99 € al mes" in mailer.sent[0].text


async def test_a_subscription_begins_with_the_version_in_force_on_its_first_day(harness: Harness) -> None:
    purchase = await subscribing(harness)  # SUB-3: version 2 is in force from January 2027 in Madrid.
    first_instant = NOW.replace(year=2026, month=12, day=31, hour=23, minute=0)
    await harness.receive(service_activated(purchase, applied_at=first_instant))
    (started,) = await harness.published(SubscriptionStarted)
    assert (started.plan.version, started.plan.effective_from) == (2, "2027-01")
    assert (await stored(harness, purchase.purchase_id)).plan_version == 2


async def test_a_car_whose_clock_is_behind_does_not_bring_an_older_version_back(harness: Harness) -> None:
    await harness.move_clock(NOW.replace(year=2027, month=1, day=2) - harness.clock.now())
    purchase = await subscribing(harness)
    await harness.receive(service_activated(purchase, applied_at=NOW))
    (started,) = await harness.published(SubscriptionStarted)
    assert (purchase.plan_version, started.plan.version) == (2, 2)


async def test_a_failed_activation_ends_it_and_charges_nothing(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await subscribing(harness)  # SVC-5
    await harness.receive(activation_failed(purchase))
    await harness.run_effects()
    failed = await stored(harness, purchase.purchase_id)
    (event,) = await harness.published(PurchaseFailed)
    assert (failed.status, failed.charged, event.reason) == (PurchaseStatus.FAILED, False, "incompatible")
    assert await harness.published(SubscriptionStarted) == []
    assert await harness.published(CancelPayment) == []
    assert mailer.subjects == ["No hemos podido activar Sonido prémium: no se le ha cobrado nada"]
    assert "retención" not in mailer.sent[0].text, "nothing was held either"


async def test_a_late_success_is_taken_out_of_the_car_again(harness: Harness) -> None:
    purchase = await subscribing(harness)  # SVC-10
    await harness.receive(activation_failed(purchase))
    late = service_activated(purchase, late=True)
    await harness.receive(late)
    await harness.receive_again(late)
    await harness.receive(service_activated(purchase, late=True))
    (deactivate,) = await harness.published(DeactivateService)
    (alert,) = await harness.published(AlertRaised)
    assert (deactivate.reason, alert.kind) == ("late_success", AlertKind.LATE_SUCCESS)
    assert await harness.published(SubscriptionStarted) == []


async def test_the_gate_of_maintenance_stands_before_the_car_too(
    harness: Harness, maintenance: PlayedMaintenance
) -> None:
    purchase = await subscribing(harness, "lane-keeping")  # SVC-2
    assert purchase.status is PurchaseStatus.REQUESTED
    assert await harness.published(ActivateService) == []
    await harness.run_effects()
    assert len(await harness.published(ActivateService)) == 1
    assert await harness.published(AuthorizePayment) == []
    maintenance.answer = NotCurrent()
    await harness.receive(a_subscribing("adaptive-cruise"))
    await harness.run_effects()
    (blocked,) = await harness.published(PurchaseBlocked)
    assert blocked.reason == "maintenance_overdue"
    assert len(await harness.published(ActivateService)) == 1


async def test_one_active_subscription_or_purchase_per_vehicle_and_service(harness: Harness) -> None:
    await subscribed(harness)
    await harness.receive(a_subscribing("premium-audio"), place_purchase("premium-audio"))
    parked = await harness.parked()
    assert ["service_already_bought" in row["detail"] for row in parked] == [True, True]
    assert len(await harness.published(PurchasePlaced)) == 1


async def test_a_subscription_that_ended_can_be_subscribed_again(harness: Harness) -> None:
    await harness.receive(cancel_purchase(await subscribed(harness)))
    again = await subscribed(harness)
    assert again.status is PurchaseStatus.ACTIVE
    assert len(await harness.published(SubscriptionStarted)) == 2


async def test_what_is_not_offered_so_is_refused(harness: Harness) -> None:
    await registered(harness)
    await harness.receive(
        a_subscribing("power-boost"),
        a_subscribing("premium-audio").model_copy(update={"duration_days": 30}),
        a_subscribing("premium-audio", consent=False),
    )
    reasons = sorted(row["detail"].split(":")[0] for row in await harness.parked())
    assert reasons == ["consent_missing", "duration_not_allowed", "kind_not_offered"]


async def test_cancelling_while_the_car_is_asked_ends_cancelled(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await subscribing(harness)  # SVC-11
    await harness.receive(cancel_purchase(purchase), cancel_purchase(purchase))
    assert len(await harness.published(CancelActivation)) == 1
    await harness.receive(activation_failed(purchase, "cancelled"))
    await harness.run_effects()
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.CANCELLED
    assert len(await harness.published(PurchaseCancelled)) == 1
    assert await harness.published(DeactivateService) == []
    assert mailer.subjects == ["Ha cancelado la compra de Sonido prémium"]


async def test_a_success_that_crosses_the_cancellation_never_begins_to_cost(harness: Harness) -> None:
    purchase = await subscribing(harness)
    await harness.receive(cancel_purchase(purchase))
    success = service_activated(purchase)
    await harness.receive(success)
    await harness.receive_again(success)
    await harness.receive(service_activated(purchase))
    (deactivate,) = await harness.published(DeactivateService)
    assert deactivate.reason == "customer_cancelled"
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.CANCELLED
    assert await harness.published(SubscriptionStarted) == []
    assert await harness.published(AlertRaised) == []


async def test_the_customer_ends_it_at_any_time_and_once(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await subscribed(harness)  # SUB-7
    await harness.receive(cancel_purchase(purchase), cancel_purchase(purchase))
    await harness.receive(cancel_purchase(purchase))
    await harness.run_effects()
    ended = await stored(harness, purchase.purchase_id)
    (cancelled,) = await harness.published(SubscriptionCancelled)
    (deactivate,) = await harness.published(DeactivateService)
    assert (ended.status, ended.reason) == (PurchaseStatus.ENDED, "cancelled_by_customer")
    assert ended.cancelled_at == ended.ends_at == cancelled.cancelled_at
    assert (deactivate.reason, deactivate.activation_id) == ("customer_cancelled", purchase.activation_id)
    assert await told_of(harness, purchase) == [("subscription_started", ""), ("subscription_cancelled", "")]
    assert mailer.subjects[1] == "Ha cancelado su suscripción a Sonido prémium"
    assert await harness.parked() == []


async def test_it_does_not_end_before_it_began(harness: Harness) -> None:
    purchase = await subscribing(harness)
    ahead = harness.clock.now() + timedelta(minutes=2)
    await harness.receive(service_activated(purchase, applied_at=ahead))
    await harness.receive(cancel_purchase(purchase))
    (cancelled,) = await harness.published(SubscriptionCancelled)
    assert cancelled.cancelled_at == ahead


async def test_cancelling_and_activating_at_the_same_moment_leave_the_car_without_it(harness: Harness) -> None:
    vehicles = [a_vehicle(f"veh-{number}") for number in range(10)]
    await registered(harness, *vehicles)
    commands = [a_subscribing("premium-audio", vehicle_id=vehicle.vehicle_id) for vehicle in vehicles]
    await harness.receive(*commands)
    asked = [await stored(harness, command.purchase_id) for command in commands]

    async def cancel_over_http(purchase: Purchase) -> Purchase | Refusal:
        async with harness.transaction("customer:cus-1") as tx:
            return await cancel(purchase.purchase_id, "cus-1", tx=tx)

    applying = harness.receive(*[service_activated(purchase) for purchase in asked])
    await asyncio.gather(applying, *[cancel_over_http(purchase) for purchase in asked])
    taken_out = {message.activation_id for message in await harness.published(DeactivateService)}
    begun = {message.subscription_id for message in await harness.published(SubscriptionStarted)}
    ended = {message.subscription_id for message in await harness.published(SubscriptionCancelled)}
    assert taken_out == {purchase.activation_id for purchase in asked}
    assert begun == ended
    for purchase in asked:
        expected = PurchaseStatus.ENDED if purchase.purchase_id in begun else PurchaseStatus.CANCELLED
        assert (await stored(harness, purchase.purchase_id)).status is expected


async def test_non_payment_ends_it_and_says_what_is_owed(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await subscribed(harness)  # SUB-6
    await harness.receive(unpaid(purchase), unpaid(purchase))
    await harness.run_effects()
    ended = await stored(harness, purchase.purchase_id)
    assert (ended.status, ended.reason) == (PurchaseStatus.ENDED, "not_paid")
    assert ended.ends_at == NOW + timedelta(days=10)
    assert await harness.published(DeactivateService) == [], "billing has it deactivated, and follows it"
    assert await told_of(harness, purchase) == [("subscription_started", ""), ("subscription_unpaid", "")]
    assert "14,85 €" in mailer.sent[1].text
    async with harness.transaction() as tx:
        refused = await cancel(purchase.purchase_id, "cus-1", tx=tx)
    assert isinstance(refused, Refusal)
    assert (refused.code, "not paid" in refused.detail) == ("already_ended", True)


async def test_non_payment_that_crosses_the_customers_cancellation_tells_what_is_owed(harness: Harness) -> None:
    purchase = await subscribed(harness)
    await harness.receive(cancel_purchase(purchase))
    await harness.receive(unpaid(purchase))
    ended = await stored(harness, purchase.purchase_id)
    assert (ended.status, ended.reason) == (PurchaseStatus.ENDED, "cancelled_by_customer")
    assert [kind for kind, _ in await told_of(harness, purchase)][1:] == [
        "subscription_cancelled",
        "subscription_unpaid",
    ]


async def test_every_step_of_a_payment_is_told_once(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await subscribed(harness)  # NOT-1
    news: list[Message] = [
        paid(purchase, 1),
        paid(purchase, 2),
        payment_failed(purchase, 1),
        payment_failed(purchase, 2, new_method_needed=True),
        payment_failed(purchase, 3, is_last=True),
        needs_customer(purchase),
        paid(purchase, 3, late=True),
        settled(purchase),
    ]
    for message in news:
        await harness.receive(message)
        await harness.receive_again(message)
        await harness.receive(message.model_copy())
    await harness.run_effects()
    assert (await told_of(harness, purchase))[1:] == [
        ("subscription_paid", "M-2026-000001"),
        ("subscription_paid", "M-2026-000002"),
        ("subscription_payment_failed", "M-2026-000001:1"),
        ("subscription_method_needed", "M-2026-000001:2"),
        ("subscription_payment_failed", "M-2026-000001:3"),
        ("subscription_confirmation_needed", "M-2026-000001:1"),
        ("subscription_paid_late", "M-2026-000003"),
        ("subscription_paid_late", "M-2026-000001"),
    ]
    assert len(mailer.sent) == 1 + len(news)
    first_failure, last_failure = mailer.sent[3].text, mailer.sent[5].text
    assert "25/11/2026" in first_failure
    assert "No lo intentaremos más" in last_failure


@pytest.mark.parametrize("is_settled_first", [True, False])
async def test_a_late_payment_is_told_once_whichever_fact_comes_first(harness: Harness, is_settled_first: bool) -> None:
    purchase = await subscribed(harness)
    facts: list[Message] = [paid(purchase, 1, late=True), settled(purchase)]
    for fact in reversed(facts) if is_settled_first else facts:
        await harness.receive(fact)
    assert (await told_of(harness, purchase))[1:] == [("subscription_paid_late", "M-2026-000001")]


async def test_the_link_of_a_confirmation_is_in_the_mail_alone(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await subscribed(harness, language=Language.ENGLISH)  # PAY-9
    await harness.receive(needs_customer(purchase))
    await harness.run_effects()
    async with harness.transaction() as tx:
        filed = str(await tx.fetchval("SELECT body FROM notifications WHERE kind = 'subscription_confirmation_needed'"))
    assert LINK in mailer.sent[1].text
    assert LINK not in filed
    assert "(link sent by mail)" in filed


async def test_every_monthly_invoice_is_listed(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await subscribed(harness)
    invoices = [invoice_issued(purchase, f"M-2026-00000{number}") for number in (1, 2, 3)]
    await harness.receive(*invoices)
    await harness.receive_again(*invoices)
    await harness.run_effects()
    assert [occasion for _, occasion in (await told_of(harness, purchase))[1:]] == [one.number for one in invoices]
    assert len(mailer.sent) == 1, "billing mails them with their PDF"
    async with harness.transaction() as tx:
        body = await tx.fetchval("SELECT body FROM notifications WHERE occasion = 'M-2026-000002'")
    assert "8,99 €" in str(body)


async def test_news_about_subscriptions_of_others_are_skipped(harness: Harness) -> None:
    purchase = await subscribed(harness)
    stranger = {"subscription_id": purchase.activation_id}
    for message in (paid(purchase), payment_failed(purchase), needs_customer(purchase), settled(purchase)):
        await harness.receive(message.model_copy(update=stranger))
    await harness.receive(unpaid(purchase).model_copy(update=stranger))
    assert [kind for kind, _ in await told_of(harness, purchase)] == ["subscription_started"]
    assert await harness.parked() == []
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.ACTIVE
