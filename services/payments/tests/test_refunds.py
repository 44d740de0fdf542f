"""Refunds add up and never pass what was captured (PAY-8)."""

from datetime import timedelta

from caas_chassis.testing.harness import Harness
from caas_contracts import Money
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.payments import AuthorizePayment, PaymentRefunded
from caas_contracts.purchase_life import RefundDelayed
from caas_payments.domain.attempt import RetryPolicy
from caas_payments.domain.gateway_result import Refused, Unavailable
from caas_payments.store.refunds import read_delayed
from services.payments.tests.builders import a_chargeback, a_refund, a_settlement, a_success, an_authorization
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import journey_of, payment_of, rows_of, status_of
from services.payments.tests.working import run_rounds, settle


async def a_captured_payment(payments: Harness) -> AuthorizePayment:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_success(command))
    await payments.run_effects()
    return command


async def test_partial_refunds_add_up_to_the_capture_and_not_beyond(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_captured_payment(payments)
    await payments.receive(a_settlement(command))
    await payments.receive(a_refund(command, 1000))
    await payments.receive(a_refund(command, 999))
    await payments.receive(a_refund(command, 1))
    await settle(payments)
    refunded = await payments.published(PaymentRefunded)
    assert [(one.refunded.amount_minor, one.refunded_total.amount_minor) for one in refunded] == [
        (1000, 1000),
        (999, 1999),
    ]
    assert gateway.books[str(command.payment_id)].refunded_minor == 1999
    assert await journey_of(payments, command.payment_id) == [
        "INITIATED>PROCESSING",
        "PROCESSING>AUTHORIZED",
        "AUTHORIZED>CAPTURING",
        "CAPTURING>SETTLED",
        "SETTLED!refund",
        "SETTLED>REFUNDING",
        "REFUNDING>REFUNDED",
    ]
    [alert] = await payments.published(AlertRaised)
    assert (alert.kind, "more_than_captured" in alert.detail) == (AlertKind.RETRIES_EXHAUSTED, True)


async def test_the_same_refund_asked_twice_is_made_once(payments: Harness, gateway: InProcessGateway) -> None:
    command = await a_captured_payment(payments)
    refund = a_refund(command, 700)
    await payments.receive(refund)
    await settle(payments)
    await payments.receive(refund.model_copy())
    await settle(payments)
    assert gateway.books[str(command.payment_id)].refunded_minor == 700
    assert len(await rows_of(payments, "refunds", command.payment_id)) == 1


async def test_a_refund_of_unknown_outcome_is_made_once(payments: Harness, gateway: InProcessGateway) -> None:
    command = await a_captured_payment(payments)
    gateway.script("refund", TIMEOUT, booked=True)
    await payments.receive(a_refund(command, 700), a_refund(command, 300))
    await settle(payments)
    assert gateway.books[str(command.payment_id)].refunded_minor == 1000
    assert (await payment_of(payments, command.payment_id)).refunded_minor == 1000
    assert {row["state"] for row in await rows_of(payments, "refunds", command.payment_id)} == {"succeeded"}


async def test_nothing_is_refunded_before_it_was_captured(payments: Harness, gateway: InProcessGateway) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_refund(command, 1))
    await settle(payments)
    assert gateway.calls["refund"] == 0
    assert await status_of(payments, command.payment_id) == "AUTHORIZED"


async def test_another_currency_is_not_refunded(payments: Harness, gateway: InProcessGateway) -> None:
    command = await a_captured_payment(payments)
    dollars = a_refund(command, 1).model_copy(update={"amount": Money(amount_minor=1, currency="USD")})
    await payments.receive(dollars)
    await settle(payments)
    assert gateway.calls["refund"] == 0


async def test_a_refund_that_the_gateway_refuses_is_asked_for_again_until_it_is_made_and_told_once(
    payments: Harness, gateway: InProcessGateway
) -> None:  # DES-4
    command = await a_captured_payment(payments)
    gateway.script("refund", *[Refused("account_blocked")] * 3)
    await payments.receive(a_refund(command, 1999), a_refund(command, 1))
    await run_rounds(payments, 1)
    payment = await payment_of(payments, command.payment_id)
    assert (payment.status, payment.refunded_minor, payment.refunding_minor) == ("CAPTURING", 0, 1999)
    [row] = await rows_of(payments, "refunds", command.payment_id)
    assert (row["state"], row["refusals"], row["delay_reason"]) == ("requested", 2, "account_blocked")
    async with payments.transaction() as tx:
        assert [one.id for one in await read_delayed(tx, 10)] == [row["id"]]
    await settle(payments)
    [delayed] = await payments.published(RefundDelayed)
    [refunded] = await payments.published(PaymentRefunded)
    assert (delayed.refund_id, delayed.outstanding, delayed.reason) == (row["id"], command.amount, "gateway_refused")
    assert (refunded.refund_id, refunded.refunded) == (row["id"], command.amount)
    alerts = [one.detail for one in await payments.published(AlertRaised) if "account_blocked" in one.detail]
    assert len(alerts) == 1
    keys = [row["idempotency_key"] for row in await rows_of(payments, "attempts", command.payment_id)]
    assert len(set(keys)) == 1 + 1 + 4, "each refused refund is asked for under a key of its own"
    async with payments.transaction() as tx:
        assert await read_delayed(tx, 10) == []


async def test_a_refund_without_an_answer_is_told_once_and_made_once(
    payments: Harness, gateway: InProcessGateway
) -> None:  # DES-4
    command = await a_captured_payment(payments)
    gateway.script("refund", *[Unavailable("ConnectError")] * 7, Refused("account_blocked"))
    refund = a_refund(command, 700)
    await payments.receive(refund)
    await settle(payments)
    [delayed] = await payments.published(RefundDelayed)
    assert (delayed.refund_id, delayed.reason) == (refund.refund_id, "gateway_silent")
    assert len(await payments.published(PaymentRefunded)) == 1
    assert gateway.books[str(command.payment_id)].refunded_minor == 700


async def test_a_refund_that_is_refused_and_then_not_answered_is_told_once(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_captured_payment(payments)
    gateway.script("refund", Refused("account_blocked"), *[Unavailable("ConnectError")] * 7)
    await payments.receive(a_refund(command, 700))
    await settle(payments)
    assert [one.reason for one in await payments.published(RefundDelayed)] == ["gateway_refused"]
    assert len(await payments.published(PaymentRefunded)) == 1


async def test_a_refund_that_is_made_anew_a_day_later_is_told_once(
    payments: Harness, gateway: InProcessGateway
) -> None:  # GW-4
    command = await a_captured_payment(payments)
    gateway.script("refund", *[TIMEOUT] * 40)
    await payments.receive(a_refund(command, 700))
    await run_rounds(payments, 12)
    payments.clock.move(timedelta(hours=21))
    await run_rounds(payments, 16)
    gateway.forget_script()
    await settle(payments)
    attempts = [row for row in await rows_of(payments, "attempts", command.payment_id) if row["operation"] == "refund"]
    assert [row["state"] for row in sorted(attempts, key=lambda row: row["number"])] == ["abandoned", "succeeded"]
    assert len(await payments.published(RefundDelayed)) == 1
    assert gateway.books[str(command.payment_id)].refunded_minor == 700


async def test_the_next_refund_waits_for_the_one_that_is_refused(payments: Harness, gateway: InProcessGateway) -> None:
    command = await a_captured_payment(payments)
    gateway.script("refund", *[Refused("account_blocked")] * 2)
    await payments.receive(a_refund(command, 700), a_refund(command, 300))
    await settle(payments)
    assert [one.refunded.amount_minor for one in await payments.published(PaymentRefunded)] == [700, 300]
    assert len(await payments.published(RefundDelayed)) == 1


async def test_a_refused_refund_ends_when_a_chargeback_takes_its_money(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_captured_payment(payments)
    gateway.script("refund", Refused("account_blocked"), Refused("charge_disputed"))
    await payments.receive(a_refund(command, 1999))
    await payments.run_effects()
    await payments.receive(a_chargeback(command, 1999))
    await settle(payments)
    [row] = await rows_of(payments, "refunds", command.payment_id)
    assert (row["state"], gateway.calls["refund"]) == ("refused", 2)
    assert await payments.published(PaymentRefunded) == []
    assert (await payment_of(payments, command.payment_id)).refunding_minor == 0


def test_the_pauses_grow_from_seconds_to_an_hour() -> None:
    retries = RetryPolicy()
    pauses = [retries.before_refund(refusals).total_seconds() for refusals in range(1, 14)]
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]
