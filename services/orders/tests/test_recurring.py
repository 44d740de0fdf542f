"""Purchases that renew themselves: charged first, then given; stopped by a decline or by their customer (REC)."""

from datetime import UTC, datetime, timedelta

import pytest

from caas_chassis.cause import Cause
from caas_chassis.handling import Received
from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.orders import PurchaseActivated
from caas_contracts.ota import ActivateService, DeactivateService
from caas_contracts.payments import AuthorizePayment, RefundPayment
from caas_contracts.purchase_life import ChargeRenewal, PurchaseExpired, PurchaseRenewed, RecurrenceEnded
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.recurring import LEAD
from caas_orders.domain.status import PurchaseStatus
from caas_orders.handlers.renewing import confirm_renewals
from caas_orders.store import recurrences
from services.orders.tests.builders import (
    PlayedMailer,
    cancel_purchase,
    payment_authorized,
    payment_captured,
    payment_failed,
    service_activated,
    stored,
)
from services.orders.tests.life_builders import (
    BEGINNING,
    LINK,
    a_planned,
    a_recurring,
    clock_at,
    placed,
    renewal_abandoned,
    renewal_confirmed,
    renewal_declined,
    renewal_needs_customer,
    scheduled,
)

FIRST_END = datetime(2026, 12, 22, 9, 0, tzinfo=UTC)
SECOND_END = datetime(2027, 1, 22, 9, 0, tzinfo=UTC)
THIRD_END = datetime(2027, 2, 22, 9, 0, tzinfo=UTC)


async def running(harness: Harness) -> Purchase:
    """A monthly purchase in its first period."""
    purchase = await placed(harness, a_recurring())
    await harness.receive(payment_authorized(purchase))
    await harness.receive(payment_captured(purchase), service_activated(purchase, applied_at=BEGINNING))
    return await stored(harness, purchase.purchase_id)


async def charged(harness: Harness) -> tuple[Purchase, ChargeRenewal]:
    """The same, with the payment of its second period asked for."""
    purchase = await running(harness)
    await clock_at(harness, FIRST_END - LEAD)
    (charge,) = await harness.published(ChargeRenewal)
    return purchase, charge


async def outcomes(harness: Harness, purchase: Purchase) -> list[tuple[int, int, str | None]]:
    async with harness.transaction() as tx:
        known = await recurrences.renewals_of(purchase.purchase_id, limit=100, tx=tx)
    return [(one.period_number, one.attempt, one.outcome and one.outcome.value) for one in reversed(known)]


async def test_the_first_period_is_paid_and_active_at_once(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await running(harness)  # REC-1
    await harness.run_effects()
    (authorize,) = await harness.published(AuthorizePayment)
    (event,) = await harness.published(PurchaseActivated)
    assert authorize.amount.amount_minor == 899
    assert (purchase.status, purchase.charged) == (PurchaseStatus.ACTIVE, True)
    assert purchase.ends_at == event.ends_at == FIRST_END
    assert "Se renovará cada 1 mes(es)" in mailer.sent[0].text


async def test_a_period_is_charged_first_and_given_afterwards(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await running(harness)  # REC-1
    await clock_at(harness, FIRST_END - LEAD - timedelta(minutes=1))
    assert await harness.published(ChargeRenewal) == []
    await clock_at(harness, FIRST_END - LEAD)
    (charge,) = await harness.published(ChargeRenewal)
    assert (charge.amount, charge.period_number, charge.renewed_activation_id) == (
        purchase.price,
        2,
        purchase.activation_id,
    )
    assert charge.idempotency_key == f"purchase:{purchase.purchase_id}:period:2"  # PAY-7
    assert (await stored(harness, purchase.purchase_id)).ends_at == FIRST_END, "not before it is paid"
    await harness.receive(renewal_confirmed(charge))
    await harness.run_effects()
    (renewed,) = await harness.published(PurchaseRenewed)
    assert (renewed.period_number, renewed.payment_id) == (2, charge.payment_id)
    assert (renewed.period_from, renewed.period_to, renewed.price) == (FIRST_END, SECOND_END, purchase.price)
    assert (await stored(harness, purchase.purchase_id)).ends_at == SECOND_END
    assert mailer.subjects[1:] == ["Hemos renovado Sonido prémium"]
    assert "22/12/2026 10:00 al 22/01/2027 10:00" in mailer.sent[1].text
    assert len(await harness.published(ActivateService)) == 1, "it stays in the car"


async def test_a_year_of_renewals_keeps_to_its_anchor(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await placed(harness, a_recurring())
    anchor = datetime(2026, 12, 31, 11, 0, tzinfo=UTC)  # REC-4
    await harness.receive(payment_authorized(purchase))
    await clock_at(harness, anchor)
    await harness.receive(payment_captured(purchase), service_activated(purchase, applied_at=anchor))
    ends = []
    for _ in range(12):
        active = await stored(harness, purchase.purchase_id)
        assert active.ends_at is not None
        ends.append((active.ends_at.month, active.ends_at.day))
        await clock_at(harness, active.ends_at - LEAD)
        await harness.receive(renewal_confirmed((await harness.published(ChargeRenewal))[-1]))
    assert ends == [
        (1, 31),
        (2, 28),
        (3, 31),
        (4, 30),
        (5, 31),
        (6, 30),
        (7, 31),
        (8, 31),
        (9, 30),
        (10, 31),
        (11, 30),
        (12, 31),
    ]
    await harness.run_effects()
    assert mailer.subjects.count("Hemos renovado Sonido prémium") == 12, "each period is told once (NOT-1)"
    assert len({one.payment_id for one in await harness.published(ChargeRenewal)}) == 12


async def test_periods_that_were_missed_are_made_up_for(harness: Harness) -> None:
    purchase = await running(harness)
    await clock_at(harness, THIRD_END - LEAD)  # Nobody was there for two months, and the car kept the service.
    (second,) = await harness.published(ChargeRenewal)
    assert await harness.published(PurchaseExpired) == []
    await harness.receive(renewal_confirmed(second))
    await clock_at(harness, THIRD_END - LEAD)
    third = (await harness.published(ChargeRenewal))[-1]
    assert third.period_number == 3
    await harness.receive(renewal_confirmed(third))
    assert (await stored(harness, purchase.purchase_id)).ends_at == THIRD_END


async def test_a_declined_renewal_ends_the_recurrence_and_keeps_the_paid_period(
    harness: Harness, mailer: PlayedMailer
) -> None:
    purchase, charge = await charged(harness)  # REC-3
    await harness.receive(renewal_declined(charge))
    (ended,) = await harness.published(RecurrenceEnded)
    kept = await stored(harness, purchase.purchase_id)
    assert (ended.reason, ended.ends_at) == ("payment_failed", FIRST_END)
    assert (kept.status, kept.ends_at) == (PurchaseStatus.ACTIVE, FIRST_END)
    assert await harness.published(DeactivateService) == []
    await clock_at(harness, FIRST_END)
    await harness.run_effects()
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.EXPIRED
    assert len(await harness.published(DeactivateService)) == 1
    await clock_at(harness, THIRD_END)
    assert len(await harness.published(ChargeRenewal)) == 1, "never charged again"
    assert mailer.subjects[1:] == ["No hemos podido renovar Sonido prémium", "Sonido prémium ha llegado a su fin"]
    assert "hasta el 22/12/2026 10:00" in mailer.sent[1].text


async def test_an_unreachable_gateway_is_tried_again_until_the_period_is_over(
    harness: Harness, mailer: PlayedMailer
) -> None:
    purchase, charge = await charged(harness)
    for _ in range(30):
        await harness.receive(renewal_abandoned(charge))
        if await harness.published(RecurrenceEnded):
            break
        assert harness.clock.now() < FIRST_END
        await harness.move_clock(timedelta(hours=4))
        charge = (await harness.published(ChargeRenewal))[-1]
    charges = await harness.published(ChargeRenewal)
    assert len({one.payment_id for one in charges}) == len({one.idempotency_key for one in charges}) == len(charges)
    assert 3 < len(charges) < 12
    assert {one.period_number for one in charges} == {2}
    (ended,) = await harness.published(RecurrenceEnded)
    assert ended.reason == "gateway_unreachable"
    await clock_at(harness, FIRST_END)
    await harness.run_effects()
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.EXPIRED
    assert "pasarela de pago a tiempo" in mailer.sent[1].text


async def test_an_attempt_after_an_outage_renews(harness: Harness) -> None:
    purchase, first = await charged(harness)
    await harness.receive(renewal_abandoned(first))
    await harness.move_clock(timedelta(hours=1))
    second = (await harness.published(ChargeRenewal))[-1]
    assert second.idempotency_key == f"purchase:{purchase.purchase_id}:period:2:attempt:2"
    await harness.receive(renewal_confirmed(second))
    assert (await stored(harness, purchase.purchase_id)).ends_at == SECOND_END
    assert await outcomes(harness, purchase) == [(2, 1, "abandoned"), (2, 2, "paid")]


async def test_the_bank_that_wants_to_hear_from_the_customer_is_waited_for(
    harness: Harness, mailer: PlayedMailer
) -> None:
    purchase, charge = await charged(harness)  # PAY-9
    needed = renewal_needs_customer(charge)
    await harness.receive(needed)
    await harness.receive(needed.model_copy())
    await clock_at(harness, FIRST_END + timedelta(hours=1))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.ACTIVE, "the payment may yet come"
    await harness.receive(renewal_confirmed(charge))
    await harness.run_effects()
    assert (await stored(harness, purchase.purchase_id)).ends_at == SECOND_END
    assert mailer.subjects[1:] == [
        "Su banco le pide que confirme la renovación de Sonido prémium",
        "Hemos renovado Sonido prémium",
    ]
    assert LINK in mailer.sent[1].text
    async with harness.transaction() as tx:
        filed = await tx.fetchval("SELECT body FROM notifications WHERE kind = 'confirmation_needed'")
    assert LINK not in str(filed), "whoever reads the purchase file cannot use it"


async def test_a_decline_that_comes_after_the_end_ends_at_once(harness: Harness) -> None:
    purchase, charge = await charged(harness)
    await clock_at(harness, FIRST_END + timedelta(hours=1))
    await harness.receive(renewal_declined(charge, "authentication_expired"))
    await harness.runtime.timers.run_until_idle()
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.EXPIRED


async def test_cancelling_keeps_the_running_period(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await running(harness)  # REC-2
    await harness.receive(cancel_purchase(purchase))
    await harness.receive(cancel_purchase(purchase))
    (ended,) = await harness.published(RecurrenceEnded)
    assert (ended.reason, ended.ends_at) == ("cancelled_by_customer", FIRST_END)
    await clock_at(harness, FIRST_END - timedelta(minutes=1))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.ACTIVE
    assert await harness.published(ChargeRenewal) == []
    await clock_at(harness, FIRST_END)
    await harness.run_effects()
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.EXPIRED
    assert mailer.subjects[1:] == ["No renovaremos más Sonido prémium", "Sonido prémium ha llegado a su fin"]


async def test_a_payment_that_the_cancellation_overtook_goes_back(harness: Harness) -> None:
    purchase, charge = await charged(harness)  # REC-2
    await harness.receive(cancel_purchase(purchase))
    confirmed = renewal_confirmed(charge)
    await harness.receive(confirmed)
    await harness.receive(confirmed.model_copy())
    (refund,) = await harness.published(RefundPayment)
    assert (refund.payment_id, refund.amount) == (charge.payment_id, charge.amount)
    assert await harness.published(PurchaseRenewed) == []
    assert (await stored(harness, purchase.purchase_id)).ends_at == FIRST_END
    assert await outcomes(harness, purchase) == [(2, 1, "given_back")]


async def test_cancelling_after_a_renewal_keeps_what_was_renewed(harness: Harness) -> None:
    purchase, charge = await charged(harness)
    await harness.receive(renewal_confirmed(charge))
    await harness.receive(cancel_purchase(purchase))
    (ended,) = await harness.published(RecurrenceEnded)
    assert ended.ends_at == SECOND_END
    assert await harness.published(RefundPayment) == []


async def test_a_success_that_was_faster_than_the_cancellation_lasts_one_period(harness: Harness) -> None:
    purchase = await placed(harness, a_recurring())  # SVC-11, REC-2
    await harness.receive(payment_authorized(purchase))
    await harness.receive(cancel_purchase(purchase))
    await harness.receive(payment_captured(purchase), service_activated(purchase, applied_at=BEGINNING))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.ACTIVE
    assert len(await harness.published(RecurrenceEnded)) == 1
    await clock_at(harness, FIRST_END)
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.EXPIRED
    assert await harness.published(ChargeRenewal) == []


@pytest.mark.parametrize("copies", [1, 2])
async def test_facts_that_are_told_twice_renew_once(harness: Harness, copies: int) -> None:
    purchase, charge = await charged(harness)
    confirmed = [renewal_confirmed(charge) for _ in range(copies)]
    await harness.receive(*confirmed)
    await harness.receive_again(confirmed[0])
    await harness.receive(renewal_declined(charge), renewal_abandoned(charge))
    assert len(await harness.published(PurchaseRenewed)) == 1
    assert await harness.published(RefundPayment) == []
    assert await harness.published(RecurrenceEnded) == []
    assert (await stored(harness, purchase.purchase_id)).ends_at == SECOND_END


async def test_a_confirmation_that_is_twice_in_one_batch_renews_once(harness: Harness) -> None:
    purchase, charge = await charged(harness)
    cause = Cause.of_person("operator:test")
    async with harness.transaction() as tx:
        await confirm_renewals([Received(renewal_confirmed(charge), cause) for _ in range(2)], tx=tx)
    assert await harness.published(RefundPayment) == []
    assert await outcomes(harness, purchase) == [(2, 1, "paid")]


async def test_a_fact_about_another_payment_ends_no_purchase(harness: Harness) -> None:
    purchase = await placed(harness, a_recurring())
    await harness.receive(payment_failed(purchase).model_copy(update={"payment_id": new_id()}))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.AUTHORIZING


async def test_a_planned_purchase_may_recur_from_its_day_on(harness: Harness) -> None:
    command = a_planned("2027-01-31", duration_days=None, period_months=1)  # PLN-2
    purchase = await scheduled(harness, command)
    day = datetime(2027, 1, 30, 23, 0, tzinfo=UTC)
    await clock_at(harness, day)
    await harness.receive(service_activated(purchase, applied_at=day - timedelta(seconds=3)))
    active = await stored(harness, purchase.purchase_id)
    assert active.ends_at == datetime(2027, 2, 27, 23, 0, tzinfo=UTC), "28 February in Madrid"
    await clock_at(harness, active.ends_at - LEAD)
    await harness.receive(renewal_confirmed((await harness.published(ChargeRenewal))[-1]))
    renewed = await stored(harness, purchase.purchase_id)
    assert renewed.ends_at == datetime(2027, 3, 30, 22, 0, tzinfo=UTC), "31 March, in summer time"


async def test_a_purchase_for_a_year_is_renewed_for_a_year(harness: Harness) -> None:
    purchase = await placed(harness, a_recurring(12))
    assert purchase.price.amount_minor == 8990
    await harness.receive(payment_authorized(purchase))
    await harness.receive(payment_captured(purchase), service_activated(purchase, applied_at=BEGINNING))
    assert (await stored(harness, purchase.purchase_id)).ends_at == datetime(2027, 11, 22, 9, 0, tzinfo=UTC)
