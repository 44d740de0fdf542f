"""A withdrawal from its declaration to its end, on a real PostgreSQL: refund, car, receipt (DES-4 to DES-7)."""

from collections.abc import Callable
from datetime import timedelta
from itertools import permutations

import asyncpg
import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.message import Message
from caas_contracts.orders import PurchaseActivated, PurchaseCancelled
from caas_contracts.ota import CancelActivation, DeactivateService
from caas_contracts.payments import CancelPayment, RefundPayment
from caas_contracts.purchase_life import PurchaseWithdrawn, WithdrawalConfirmed
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.registration import Language
from caas_orders.domain.status import MoneyOutcome, PurchaseStatus
from caas_orders.domain.withdrawing import Withdrawal, WithdrawalStatus
from caas_orders.handlers.deadlines import REFUND_PAUSE
from caas_orders.handlers.withdrawing import Standing, declare, standing_of
from caas_orders.store import withdrawals
from services.orders.tests.builders import (
    NOW,
    PlayedMailer,
    a_vehicle,
    activation_failed,
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
from services.orders.tests.life_builders import payment_refunded as money_given_back
from services.orders.tests.life_builders import scheduled
from services.orders.tests.subscription_builders import subscribed
from services.orders.tests.withdrawal_builders import (
    MADRID,
    active,
    declared,
    payment_refunded,
    refund_delayed,
    service_deactivated,
    try_to_confirm,
    withdrawn,
)


async def standing(harness: Harness, purchase: Purchase) -> Standing:
    async with harness.transaction() as tx:
        return await standing_of(await stored(harness, purchase.purchase_id), MADRID, tx=tx)


async def status_of(harness: Harness, purchase: Purchase) -> WithdrawalStatus:
    now = await standing(harness, purchase)
    assert now.withdrawal is not None
    return now.withdrawal.status_of(now.purchase)


async def only[M: Message](harness: Harness, kind: type[M]) -> M:
    (message,) = await harness.published(kind)
    return message


async def told(harness: Harness, purchase: Purchase) -> list[str]:
    """What the customer was told, oldest first."""
    async with harness.transaction() as tx:
        rows = await tx.fetch(
            "SELECT kind FROM notifications WHERE purchase_id = $1 ORDER BY notification_id", purchase.purchase_id
        )
    return [row["kind"] for row in rows]


async def test_a_declaration_promises_and_changes_nothing(harness: Harness) -> None:
    purchase = await active(harness)  # DES-7
    await harness.take()
    first = await declared(harness, purchase)
    assert await declared(harness, purchase) == first
    assert (first.refund_due, first.confirmed_at) == (purchase.price, None)
    assert await harness.take() == []
    assert await stored(harness, purchase.purchase_id) == purchase
    assert await status_of(harness, purchase) is WithdrawalStatus.DECLARED


async def test_a_confirmation_asks_for_the_refund_and_takes_the_service_out_of_the_car(harness: Harness) -> None:
    purchase = await active(harness)  # DES-4
    withdrawal = (await withdrawn(harness, purchase)).withdrawal
    assert withdrawal is not None
    refund = await only(harness, RefundPayment)
    assert (refund.payment_id, refund.amount, refund.refund_id) == (
        purchase.payment_id,
        purchase.price,
        withdrawal.refund_id,
    )
    deactivate = await only(harness, DeactivateService)
    assert (deactivate.activation_id, deactivate.reason) == (purchase.activation_id, "withdrawal")
    fact = await only(harness, WithdrawalConfirmed)
    assert (fact.withdrawal_id, fact.refund_due) == (withdrawal.withdrawal_id, purchase.price)
    after = await stored(harness, purchase.purchase_id)
    assert (after.status, after.withdrawal_id) == (PurchaseStatus.WITHDRAWING, withdrawal.withdrawal_id)


async def test_a_withdrawal_confirmed_again_refunds_once(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await active(harness)  # DES-6
    first = await withdrawn(harness, purchase)
    assert first.withdrawal is not None
    assert await declared(harness, purchase) == first.withdrawal
    second = await try_to_confirm(harness, first.withdrawal)
    assert isinstance(second, Standing)
    assert second.withdrawal == first.withdrawal
    await harness.receive(payment_refunded(await stored(harness, purchase.purchase_id)))
    await try_to_confirm(harness, first.withdrawal)
    assert len(await harness.published(RefundPayment)) == 1
    assert len(await harness.published(DeactivateService)) == 1
    assert (await told(harness, purchase)).count("withdrawal_received") == 1


@pytest.mark.parametrize("answers", [*permutations([payment_refunded, service_deactivated])])
async def test_money_and_car_may_come_in_any_order(
    harness: Harness, answers: tuple[Callable[[Purchase], Message], ...]
) -> None:
    purchase = await active(harness)  # DES-4
    await withdrawn(harness, purchase)
    asked = await stored(harness, purchase.purchase_id)
    messages = [answer(asked) for answer in answers]
    await harness.receive(messages[0])
    assert await harness.published(PurchaseWithdrawn) == []
    halfway = WithdrawalStatus.REFUNDED if answers[0] is payment_refunded else WithdrawalStatus.DEACTIVATED
    assert await status_of(harness, purchase) is halfway
    await harness.receive(messages[1])
    for message in messages:
        await harness.receive_again(message)
        await harness.receive(message.model_copy())
    done = await only(harness, PurchaseWithdrawn)
    assert done.refunded == purchase.price
    assert await status_of(harness, purchase) is WithdrawalStatus.DONE
    end = await stored(harness, purchase.purchase_id)
    assert (end.status, end.money, end.charged) == (PurchaseStatus.WITHDRAWN, MoneyOutcome.REFUNDED, False)
    assert end.deactivated_at == NOW


async def test_another_refund_of_the_same_payment_does_not_end_a_withdrawal(harness: Harness) -> None:
    purchase = await active(harness)
    await withdrawn(harness, purchase)
    part = purchase.price.model_copy(update={"amount_minor": 100})
    other = purchase.purchase_id
    await harness.receive(payment_refunded(purchase, refund_id=other, refunded=part))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.WITHDRAWING
    await harness.receive(payment_refunded(purchase, refund_id=other, total=purchase.price))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.WITHDRAWN


async def test_a_delayed_refund_is_shown_and_told_once_and_still_ends(harness: Harness) -> None:
    purchase = await active(harness)
    await withdrawn(harness, purchase)
    await harness.receive(refund_delayed(purchase))
    await harness.receive(refund_delayed(purchase))
    now = await standing(harness, purchase)
    assert now.withdrawal is not None
    assert now.withdrawal.refund_delayed_at is not None
    assert now.withdrawal.status_of(now.purchase) is WithdrawalStatus.REFUND_DELAYED
    await harness.receive(payment_refunded(purchase))
    await harness.receive(refund_delayed(purchase))
    assert await status_of(harness, purchase) is WithdrawalStatus.REFUNDED
    assert await told(harness, purchase) == ["activated", "withdrawal_received", "refund_delayed", "withdrawn"]


async def test_what_was_written_off_is_taken_out_and_nothing_is_paid_back(
    harness: Harness, mailer: PlayedMailer
) -> None:
    purchase = await active(harness, is_written_off=True)  # SVC-8
    await withdrawn(harness, purchase)
    assert await harness.published(RefundPayment) == []
    asked = await stored(harness, purchase.purchase_id)
    assert (asked.status, asked.money) == (PurchaseStatus.WITHDRAWN, MoneyOutcome.WRITTEN_OFF)
    assert await harness.published(PurchaseWithdrawn) == []
    await harness.receive(service_deactivated(asked))
    assert (await only(harness, PurchaseWithdrawn)).refunded.amount_minor == 0
    await harness.run_effects()
    assert "no llegó a cobrarse" in mailer.sent[-1].text


async def test_the_receipt_has_date_and_time_and_is_kept_in_the_purchase_file(
    harness: Harness, mailer: PlayedMailer
) -> None:
    purchase = await active(harness)  # DES-7
    await harness.run_effects()
    declaration = await declared(harness, purchase)
    await harness.move_clock(NOW + timedelta(days=1, hours=3) - harness.clock.now())
    await try_to_confirm(harness, declaration)
    await harness.run_effects()
    receipt = mailer.sent[-1]
    assert receipt.subject == "Justificante de su desistimiento: Sonido prémium"
    assert "Declarado: 22/11/2026 10:00:0" in receipt.text
    assert "Confirmado: 23/11/2026 13:00:0" in receipt.text
    assert "(CET, UTC+01:00)" in receipt.text
    assert "Le devolvemos 8,99 € (IVA incluido)" in receipt.text
    assert str(declaration.withdrawal_id) in receipt.text
    async with harness.transaction() as tx:
        kept = await tx.fetchval("SELECT body FROM notifications WHERE kind = 'withdrawal_received'")
    assert kept == receipt.text


async def test_customers_read_their_receipt_in_their_own_language(harness: Harness, mailer: PlayedMailer) -> None:
    purchase = await active(harness, language=Language.ENGLISH)
    await withdrawn(harness, purchase)
    await harness.receive(refund_delayed(purchase))
    await harness.receive(payment_refunded(purchase))
    await harness.run_effects()
    assert sorted(mailer.subjects[1:]) == [
        "Receipt of your withdrawal: Premium sound",
        "The refund for Premium sound is delayed",
        "Your withdrawal from Premium sound is settled",
    ]


async def test_a_withdrawal_that_comes_too_late_is_refused_and_told_once(
    harness: Harness, mailer: PlayedMailer
) -> None:
    purchase = await active(harness)  # DES-1, DES-5
    declaration = await declared(harness, purchase)
    await harness.move_clock(timedelta(days=15))
    await harness.take()
    late = await try_to_confirm(harness, declaration)
    async with harness.transaction() as tx:
        again = await declare(purchase.purchase_id, MADRID, tx=tx)
    assert isinstance(late, Refusal)
    assert isinstance(again, Refusal)
    assert late.code is again.code is RefusalCode.WITHDRAWAL_PERIOD_OVER
    assert await harness.take() == []
    assert await stored(harness, purchase.purchase_id) == purchase
    await harness.run_effects()
    assert mailer.subjects.count("No es posible desistir de la compra de Sonido prémium") == 1
    assert "el plazo de 14 días naturales" in mailer.sent[-1].text


async def test_a_subscription_is_refused_with_what_to_do_instead(harness: Harness, mailer: PlayedMailer) -> None:
    subscription = await subscribed(harness)  # DES-3
    async with harness.transaction() as tx:
        refused = await declare(subscription.purchase_id, MADRID, tx=tx)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.CANCEL_INSTEAD
    await harness.run_effects()
    assert "cancélelo" in mailer.sent[-1].text


async def test_another_purchases_withdrawal_confirms_nothing(harness: Harness) -> None:
    purchase = await active(harness)
    foreign = Withdrawal(purchase.activation_id, purchase.purchase_id, NOW, purchase.price)
    outcome = await try_to_confirm(harness, foreign)
    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.WITHDRAWAL_NOT_FOUND
    await declared(harness, purchase)
    assert isinstance(await try_to_confirm(harness, foreign), Refusal)
    assert await harness.published(WithdrawalConfirmed) == []


async def asked_to_activate(harness: Harness) -> Purchase:
    """A purchase whose amount is held and whose car was asked."""
    await registered(harness, a_vehicle())
    command = place_purchase()
    await harness.receive(command)
    await harness.receive(payment_authorized(await stored(harness, command.purchase_id)))
    return await stored(harness, command.purchase_id)


async def test_what_is_only_held_is_given_up_and_released(harness: Harness) -> None:
    purchase = await asked_to_activate(harness)  # DES-4, SVC-11
    withdrawal = (await withdrawn(harness, purchase)).withdrawal
    assert withdrawal is not None
    assert withdrawal.refund_due.amount_minor == 0
    assert (await only(harness, CancelActivation)).activation_id == purchase.activation_id
    await harness.receive(activation_failed(purchase))
    await harness.receive(payment_voided(purchase))
    assert (await stored(harness, purchase.purchase_id)).status is PurchaseStatus.CANCELLED
    assert (await only(harness, PurchaseWithdrawn)).refunded.amount_minor == 0
    assert len(await harness.published(PurchaseCancelled)) == 1
    assert await harness.published(RefundPayment) == []
    assert await status_of(harness, purchase) is WithdrawalStatus.DONE


async def test_what_was_not_held_yet_is_given_up_without_asking_the_car(harness: Harness) -> None:
    await registered(harness)
    command = place_purchase()
    await harness.receive(command)
    purchase = await stored(harness, command.purchase_id)
    await withdrawn(harness, purchase)
    assert (await only(harness, CancelPayment)).payment_id == purchase.payment_id
    await harness.receive(payment_failed(purchase))
    assert (await only(harness, PurchaseWithdrawn)).refunded.amount_minor == 0
    assert await told(harness, purchase) == ["withdrawal_received", "cancelled"]


async def test_a_purchase_at_the_maintenance_gate_is_withdrawn_from_at_once(harness: Harness) -> None:
    await registered(harness)
    command = place_purchase("adaptive-cruise")
    await harness.receive(command)
    purchase = await stored(harness, command.purchase_id)
    await withdrawn(harness, purchase)
    assert await status_of(harness, purchase) is WithdrawalStatus.DONE
    assert (await only(harness, PurchaseWithdrawn)).refunded.amount_minor == 0


MONEY = [payment_captured, settlement_failed]


@pytest.mark.parametrize("money", MONEY)
@pytest.mark.parametrize("is_first", [True, False])
async def test_a_success_that_was_faster_than_the_withdrawal_goes_back(
    harness: Harness, money: Callable[[Purchase], Message], is_first: bool
) -> None:
    purchase = await asked_to_activate(harness)  # SVC-11, DES-4
    facts = [service_activated(purchase), money(purchase)]
    if is_first:  # The car has answered already; what becomes of the money is not known yet.
        await harness.receive(facts.pop(0))
    await withdrawn(harness, purchase)
    await harness.receive(*facts)
    is_captured = money is payment_captured
    assert len(await harness.published(RefundPayment)) == is_captured
    assert len(await harness.published(PurchaseActivated)) == 1
    asked = await stored(harness, purchase.purchase_id)
    assert asked.deactivation_id == (await only(harness, DeactivateService)).deactivation_id
    assert "activated" not in await told(harness, purchase)
    await harness.receive(service_deactivated(asked))
    if is_captured:
        await harness.receive(payment_refunded(asked))
    end = await stored(harness, purchase.purchase_id)
    assert end.status is PurchaseStatus.WITHDRAWN
    assert (await only(harness, PurchaseWithdrawn)).refunded.amount_minor == purchase.price.amount_minor * is_captured
    assert await status_of(harness, purchase) is WithdrawalStatus.DONE


async def test_a_service_that_was_withdrawn_from_can_be_bought_again(harness: Harness) -> None:
    purchase = await active(harness)
    await withdrawn(harness, purchase)
    again = place_purchase()
    await harness.receive(again)
    assert (await stored(harness, again.purchase_id)).status is PurchaseStatus.AUTHORIZING


async def test_the_schema_keeps_one_withdrawal_and_one_refund_per_purchase(harness: Harness) -> None:
    purchase = await active(harness)  # DES-6: whatever the code does.
    await withdrawn(harness, purchase)
    async with harness.owner() as connection:
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(
                "INSERT INTO withdrawal SELECT gen_random_uuid(), purchase_id, declared_at, 1, 'EUR' FROM withdrawal"
            )
        with pytest.raises(asyncpg.CheckViolationError, match="nothing_happens_before_the_confirmation"):
            await connection.execute("UPDATE withdrawal SET confirmed_at = NULL")
        with pytest.raises(asyncpg.CheckViolationError, match="done_means_paid_back"):
            await connection.execute("UPDATE withdrawal SET completed_at = now()")
        with pytest.raises(asyncpg.CheckViolationError, match="withdrawn_by_a_withdrawal"):
            await connection.execute("UPDATE purchases SET withdrawal_id = NULL")


async def test_a_delayed_refund_of_something_else_is_no_withdrawals(harness: Harness) -> None:
    purchase = await active(harness)
    await harness.receive(refund_delayed(purchase))
    async with harness.transaction() as tx:
        assert await withdrawals.of_purchases([purchase.purchase_id], tx=tx) == {}


async def test_a_planned_purchase_that_waits_is_given_up_and_all_of_it_comes_back(
    harness: Harness, mailer: PlayedMailer
) -> None:
    purchase = await scheduled(harness)  # PLN-1, DES-4
    withdrawal = (await withdrawn(harness, purchase)).withdrawal
    assert withdrawal is not None
    assert withdrawal.refund_due == purchase.price
    assert (await only(harness, CancelPayment)).payment_id == purchase.payment_id
    await harness.receive(refund_delayed(purchase))
    assert await status_of(harness, purchase) is WithdrawalStatus.REFUND_DELAYED
    await harness.receive(money_given_back(purchase))
    end = await stored(harness, purchase.purchase_id)
    assert (end.status, end.money) == (PurchaseStatus.CANCELLED, MoneyOutcome.REFUNDED)
    assert (await only(harness, PurchaseWithdrawn)).refunded == purchase.price
    assert await harness.published(RefundPayment) == []  # Payments gives it back by itself.
    done = await standing(harness, purchase)
    assert done.withdrawal is not None
    assert done.withdrawal.refunded_at is not None
    assert done.withdrawal.status_of(done.purchase) is WithdrawalStatus.DONE
    assert await told(harness, purchase) == ["scheduled", "withdrawal_received", "refund_delayed", "cancelled"]


async def test_a_refund_that_payments_could_not_make_yet_is_asked_for_again_until_it_is_made(harness: Harness) -> None:
    purchase = await active(harness)  # DES-4, DES-6
    await withdrawn(harness, purchase)
    first = await only(harness, RefundPayment)
    await harness.move_clock(REFUND_PAUSE - timedelta(minutes=1))
    assert len(await harness.published(RefundPayment)) == 1
    for asked in (2, 3):
        await harness.move_clock(REFUND_PAUSE + timedelta(minutes=1))
        requests = await harness.published(RefundPayment)
        assert len(requests) == asked
        assert {(one.refund_id, one.amount) for one in requests} == {(first.refund_id, purchase.price)}
    await harness.receive(payment_refunded(purchase))
    await harness.move_clock(10 * REFUND_PAUSE)
    assert len(await harness.published(RefundPayment)) == 3
    assert len(await harness.published(DeactivateService)) == 1
