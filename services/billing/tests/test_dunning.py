"""Failed charges: tried again on a schedule, given up once, never charged twice (SUB-6, PAY-3, PAY-9)."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid5

import pytest

from caas_billing.domain.dunning import PAID_TWICE
from caas_chassis.testing.harness import Harness
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.ota import ActivationAttempt, DeactivateService, DeactivationDelayed, ServiceDeactivated
from caas_contracts.payments import ChargePayment, PaymentPurpose
from caas_contracts.subscriptions import (
    CollectionOpened,
    CollectionSettled,
    SubscriptionCancelledForNonpayment,
    SubscriptionPaid,
    SubscriptionPaymentFailed,
    SubscriptionPaymentNeedsCustomer,
)
from services.billing.tests.dunning_world import Bill, a_bill, another_bill
from services.billing.tests.subscription_builders import a_cancellation, a_start


async def test_a_paid_invoice_brings_its_subscription_back_to_active(billing: Harness) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.confirmed())
    assert await bill.states() == ("paid", "active")
    (paid,) = await billing.published(SubscriptionPaid)
    assert (paid.invoice_id, paid.attempt, paid.late, paid.period) == (bill.invoice_id, 1, False, "2026-10")
    assert await bill.outcomes() == [(1, "paid")]
    assert await billing.published(ChargePayment) == []


async def test_a_failed_charge_is_tried_again_after_three_and_seven_days_at_the_local_hour(billing: Harness) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.failed())
    assert await bill.states() == ("retry", "retry")
    (told,) = await billing.published(SubscriptionPaymentFailed)
    assert (told.attempt, told.reason, told.new_method_needed) == (1, "insufficient_funds", False)
    assert told.next_attempt_at == datetime(2026, 11, 4, 9, 0, tzinfo=UTC)

    await bill.wait_for_next_attempt()
    assert await bill.states() == ("processing", "payment_processing")
    (second,) = await bill.charges()
    assert second.idempotency_key == f"invoice:{bill.invoice_id}:attempt:2"
    assert (second.purpose, second.customer_present) == (PaymentPurpose.SUBSCRIPTION, False)
    assert second.payment_id != bill.payment_id
    assert second.amount == bill.amount

    await billing.receive(bill.failed(payment_id=second.payment_id))
    assert (await bill.receivable())["next_attempt_at"] == datetime(2026, 11, 8, 9, 0, tzinfo=UTC)
    await bill.wait_for_next_attempt()
    await billing.receive(bill.confirmed(await bill.last_payment()))
    assert await bill.states() == ("paid", "active")
    (paid,) = await billing.published(SubscriptionPaid)
    assert paid.attempt == 3


async def test_nothing_is_charged_before_its_day(billing: Harness) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.failed())
    due = (await bill.receivable())["next_attempt_at"]
    await billing.move_clock(due - billing.clock.now() - timedelta(minutes=1))
    assert await bill.charges() == []
    async with billing.transaction() as tx:  # A timer that fires early or twice asks for nothing.
        tx.schedule("dunning", str(bill.invoice_id), billing.clock.now())
    await billing.move_clock(timedelta(0))
    assert await bill.charges() == []


async def test_after_the_last_failure_the_service_ends_and_the_debt_is_collected(billing: Harness) -> None:
    bill = await a_bill(billing)
    await bill.fail_to_the_end()
    assert await bill.states() == ("unpaid", "cancelled_nonpayment")
    assert [told.next_attempt_at is None for told in await billing.published(SubscriptionPaymentFailed)] == [
        False,
        False,
        True,
    ]
    (cancelled,) = await billing.published(SubscriptionCancelledForNonpayment)
    assert cancelled.outstanding == bill.amount
    standing = await bill.standing()
    assert standing["ended_at"] == cancelled.cancelled_at
    assert standing["next_period"] == date(2026, 11, 1)  # What was used until then is billed at the month's end.
    (collection,) = await billing.published(CollectionOpened)
    assert (collection.invoice_id, collection.amount, collection.attempts) == (bill.invoice_id, bill.amount, 3)
    assert (collection.customer_name, collection.due_on) == ("María Núñez", "2026-11-15")
    (deactivate,) = await billing.published(DeactivateService)
    assert (deactivate.activation_id, deactivate.vehicle_id) == (bill.started.activation_id, "VIN-0001")

    await billing.move_clock(timedelta(days=60))
    assert len(await bill.charges()) == 2


async def test_a_deactivation_is_followed_until_the_car_has_done_it(billing: Harness) -> None:
    bill = await a_bill(billing)
    await bill.fail_to_the_end()
    (asked,) = await billing.published(DeactivateService)
    common: dict[str, Any] = {
        "activation_id": asked.activation_id,
        "purchase_id": bill.subscription_id,
        "vehicle_id": asked.vehicle_id,
        "service_code": asked.service_code,
        "occurred_at": billing.clock.now(),
        "deactivation_id": asked.deactivation_id,
    }
    attempt = ActivationAttempt(
        number=1, command_id=asked.deactivation_id, sent_at=billing.clock.now(), outcome="no_answer"
    )
    await billing.receive(DeactivationDelayed(**common, attempts=[attempt]))
    (alert,) = await billing.published(AlertRaised)
    assert (alert.kind, alert.subject) == (AlertKind.DEACTIVATION_FAILED, str(bill.subscription_id))
    await billing.receive(ServiceDeactivated(**common, reason="nonpayment"))
    async with billing.transaction() as tx:
        (end,) = await tx.fetch("SELECT * FROM service_end")
    assert end["delayed_at"] is not None
    assert end["done_at"] is not None


@pytest.mark.parametrize("reason", ["lost_card", "stolen_card", "closed_account", "expired_card", "invalid_card"])
async def test_a_method_that_is_refused_for_good_is_not_charged_again(billing: Harness, reason: str) -> None:
    bill = await a_bill(billing)
    await bill.fail_to_the_end(reason)
    assert await bill.charges() == []
    assert await bill.outcomes() == [(1, "failed"), (2, "not_asked"), (3, "not_asked")]
    told = await billing.published(SubscriptionPaymentFailed)
    assert [(one.attempt, one.new_method_needed, one.payment_id is None) for one in told] == [
        (1, True, False),
        (2, True, True),
        (3, True, True),
    ]
    assert await bill.states() == ("unpaid", "cancelled_nonpayment")


async def test_a_soft_decline_charges_the_same_method_again(billing: Harness) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.failed("card_declined"))
    await bill.wait_for_next_attempt()
    (second,) = await bill.charges()
    assert second.payment_method == "pm_ok"


async def test_a_failure_of_the_gateway_uses_up_no_step_of_the_schedule(billing: Harness) -> None:
    bill = await a_bill(billing)
    for _ in range(5):
        await billing.receive(bill.abandoned(await bill.last_payment()))
        receivable = await bill.receivable()
        assert receivable["next_attempt_at"] - receivable["changed_at"] == timedelta(hours=6)
        await bill.wait_for_next_attempt()
    assert await billing.published(SubscriptionPaymentFailed) == []
    assert (await bill.receivable())["failures"] == 0
    first_failed = billing.clock.now()
    await billing.receive(bill.failed(payment_id=await bill.last_payment()))
    assert (await bill.receivable())["next_attempt_at"].date() == (first_failed + timedelta(days=3)).date()
    await bill.wait_for_next_attempt()
    await billing.receive(bill.failed(payment_id=await bill.last_payment()))
    assert await bill.states() == ("retry", "retry")  # Two failures of three, after seven attempts.


async def test_a_payment_that_needs_the_customer_waits_for_them_whatever_the_schedule(billing: Harness) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.action_required())
    assert await bill.states() == ("needs_customer", "payment_processing")
    (told,) = await billing.published(SubscriptionPaymentNeedsCustomer)
    assert (told.payment_id, told.attempt) == (bill.payment_id, 1)
    await billing.move_clock(timedelta(days=30))
    assert await bill.charges() == []

    await billing.receive(bill.failed("authentication_expired"))
    assert (await bill.receivable())["failures"] == 1
    assert await bill.states() == ("retry", "retry")


async def test_a_bank_that_wants_the_customer_gets_them_by_a_link_at_once_and_no_step_is_used_up(
    billing: Harness,
) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.failed("authentication_required"))
    (charge,) = await bill.charges()
    assert (charge.customer_present, charge.payment_method) == (True, "pm_ok")
    assert (await bill.receivable())["failures"] == 0
    assert await billing.published(SubscriptionPaymentFailed) == []

    await billing.receive(bill.action_required(charge.payment_id))
    (told,) = await billing.published(SubscriptionPaymentNeedsCustomer)
    assert (told.payment_id, told.attempt) == (charge.payment_id, 2)
    await billing.receive(bill.failed("authentication_expired", payment_id=charge.payment_id))
    assert (await bill.receivable())["failures"] == 1
    assert await bill.states() == ("retry", "retry")
    assert await bill.outcomes() == [(1, "failed"), (2, "failed")]


async def test_a_bank_that_wants_the_customer_although_they_were_asked_uses_up_the_step(billing: Harness) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.failed("authentication_required"))
    (charge,) = await bill.charges()
    await billing.receive(bill.failed("authentication_required", payment_id=charge.payment_id))
    assert (await bill.receivable())["failures"] == 1
    assert await bill.charges() == [charge]


async def test_a_customer_who_answered_the_bank_has_paid(billing: Harness) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.action_required())
    await billing.receive(bill.confirmed())
    assert await bill.states() == ("paid", "active")


async def test_facts_that_come_again_or_late_change_nothing(billing: Harness) -> None:
    bill = await a_bill(billing)
    first, waiting = bill.failed(), bill.action_required()
    await billing.receive(first)
    await billing.receive_again(first)
    await billing.receive(bill.failed("card_declined"), waiting)
    await billing.receive(bill.abandoned())
    receivable = await bill.receivable()
    assert (receivable["status"], receivable["failures"], receivable["attempts"]) == ("retry", 1, 1)
    assert len(await billing.published(SubscriptionPaymentFailed)) == 1
    assert await billing.published(SubscriptionPaymentNeedsCustomer) == []


async def test_a_confirmation_of_an_attempt_that_was_given_up_finds_its_invoice(billing: Harness) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.abandoned())
    await billing.receive(bill.confirmed())
    assert await bill.states() == ("paid", "active")
    await billing.move_clock(timedelta(days=30))
    assert await bill.charges() == []
    assert await bill.outcomes() == [(1, "abandoned"), (1, "paid")]


async def test_two_confirmations_of_one_invoice_give_the_second_back_once(billing: Harness) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.failed())
    await bill.wait_for_next_attempt()
    second = await bill.last_payment()
    await billing.receive(bill.confirmed())
    assert await bill.states() == ("paid", "active")
    surplus = bill.confirmed(second)
    await billing.receive(surplus)
    await billing.receive_again(surplus)
    await billing.receive(bill.confirmed(second))
    (refund,) = await bill.refunds()
    assert (refund.payment_id, refund.amount) == (second, bill.amount)
    assert refund.refund_id == uuid5(second, PAID_TWICE)  # However often it were asked for, it is one refund.
    (alert,) = await billing.published(AlertRaised)
    assert alert.kind is AlertKind.LATE_PAYMENT
    assert len(await billing.published(SubscriptionPaid)) == 1
    assert sorted(await bill.outcomes()) == [(1, "failed"), (1, "paid"), (2, "surplus")]


async def test_a_payment_that_comes_after_the_collection_settles_it_and_revives_nothing(billing: Harness) -> None:
    bill = await a_bill(billing)
    await bill.fail_to_the_end()
    await billing.receive(bill.confirmed())
    assert await bill.states() == ("paid", "cancelled_nonpayment")
    (settled,) = await billing.published(CollectionSettled)
    (opened,) = await billing.published(CollectionOpened)
    assert (settled.collection_id, settled.payment_id) == (opened.collection_id, bill.payment_id)
    (paid,) = await billing.published(SubscriptionPaid)
    assert paid.late


async def test_what_a_customer_owes_who_gave_up_is_charged_to_the_end(billing: Harness) -> None:
    started = a_start()
    await billing.receive(started, a_cancellation(started))
    bill = await a_bill(billing, started)
    await bill.fail_to_the_end()
    assert await bill.states() == ("unpaid", "cancelled_customer")
    assert len(await billing.published(CollectionOpened)) == 1
    assert await billing.published(SubscriptionCancelledForNonpayment) == []
    assert await billing.published(DeactivateService) == []


async def test_a_customer_who_gives_up_during_the_dunning_stays_cancelled_by_themselves(billing: Harness) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.failed())
    await billing.receive(a_cancellation(bill.started))
    assert await bill.states() == ("retry", "cancelled_customer")
    await bill.wait_for_next_attempt()
    await billing.receive(bill.confirmed(await bill.last_payment()))
    assert await bill.states() == ("paid", "cancelled_customer")


async def test_two_open_invoices_of_one_subscription_are_dunned_side_by_side(billing: Harness) -> None:
    october = await a_bill(billing)
    await billing.receive(october.failed())
    november = await another_bill(billing, october.started, 500, date(2026, 11, 1))
    assert (await october.standing())["status"] == "payment_processing"
    await billing.receive(november.confirmed())
    assert await october.states() == ("retry", "retry")
    await october.fail_to_the_end()
    assert await october.states() == ("unpaid", "cancelled_nonpayment")


async def test_both_invoices_can_go_to_collections_and_the_service_ends_once(billing: Harness) -> None:
    october = await a_bill(billing)
    november = await another_bill(billing, october.started, 500, date(2026, 11, 1))
    await billing.receive(october.failed(), november.failed())
    await billing.move_clock(timedelta(days=4))
    await billing.receive(
        october.failed(payment_id=await october.last_payment()),
        november.failed(payment_id=await november.last_payment()),
    )
    await billing.move_clock(timedelta(days=4))
    await billing.receive(
        october.failed(payment_id=await october.last_payment()),
        november.failed(payment_id=await november.last_payment()),
    )
    assert (await november.states())[0] == (await october.states())[0] == "unpaid"
    assert len(await billing.published(CollectionOpened)) == 2
    assert len(await billing.published(SubscriptionCancelledForNonpayment)) == 1
    assert len(await billing.published(DeactivateService)) == 1


async def test_what_nobody_asked_for_or_costs_something_else_is_parked(billing: Harness) -> None:
    bill = await a_bill(billing)
    stranger = Bill(billing, bill.started, bill.invoice_id, bill.amount)
    await billing.receive(stranger.confirmed())
    await billing.receive(bill.confirmed(amount=bill.amount + bill.amount))
    assert [parked["detail"].split(":")[0] for parked in await billing.parked()] == [
        "unknown_charge",
        "charge_not_as_agreed",
    ]
    assert await bill.states() == ("processing", "payment_processing")
