"""Refunds against captures and chargebacks, voids against captures: whoever comes first, the books end equal."""

import asyncio
from collections.abc import Sequence

import pytest

from caas_chassis.cause import Cause
from caas_chassis.handling import Received
from caas_chassis.testing.harness import Harness
from caas_contracts import Message
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.payments import (
    AuthorizePayment,
    ChargebackReceived,
    PaymentCaptured,
    PaymentRefunded,
    PaymentVoided,
)
from caas_payments.domain.gateway_result import Refused, TransactionStatus, Unavailable
from caas_payments.domain.rules import Rules
from caas_payments.gateway.standard_webhooks import StandardWebhooks
from caas_payments.handlers.table import handlers_under
from services.payments.tests.builders import (
    a_cancellation,
    a_chargeback,
    a_failure,
    a_refund,
    a_settlement,
    a_success,
    an_authorization,
)
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import payment_of, rows_of, status_of
from services.payments.tests.working import settle

HANDLERS = handlers_under(Rules(jitter=0.0), StandardWebhooks(()))
ROUNDS = 12


async def in_own_transaction(payments: Harness, message: Message) -> None:
    """On a connection of its own, as another replica would."""
    async with payments.transaction() as tx:
        await HANDLERS[type(message)]([Received(message, Cause.of_person("replica"))], tx=tx)


async def at_once(payments: Harness, messages: Sequence[Message]) -> None:
    """All of them at the same time, each in its own transaction on its own connection."""
    await asyncio.gather(*(in_own_transaction(payments, message) for message in messages))


async def held_payments(payments: Harness, count: int) -> list[AuthorizePayment]:
    commands = [an_authorization(customer_id=f"customer-{number}") for number in range(count)]
    await payments.receive(*commands)
    await payments.run_effects()
    return commands


async def a_captured_payment(payments: Harness) -> AuthorizePayment:
    [command] = await held_payments(payments, 1)
    await payments.receive(a_success(command))
    await payments.run_effects()
    return command


async def alerts_of(payments: Harness) -> list[AlertKind]:
    return [alert.kind for alert in await payments.published(AlertRaised)]


@pytest.mark.parametrize("ground", ["rejection", "cancellation"])
async def test_a_void_and_a_capture_at_the_same_time_move_money_one_way(
    payments: Harness, gateway: InProcessGateway, ground: str
) -> None:
    commands = await held_payments(payments, ROUNDS)
    giving_up = a_failure if ground == "rejection" else a_cancellation
    for number, command in enumerate(commands):
        both: list[Message] = [a_success(command), giving_up(command)]
        await at_once(payments, both if number % 2 else both[::-1])
    await settle(payments)
    captured = {one.payment_id for one in await payments.published(PaymentCaptured)}
    voided = {one.payment_id for one in await payments.published(PaymentVoided)}
    assert captured.isdisjoint(voided)
    assert captured | voided == {one.payment_id for one in commands}
    for command in commands:
        booked = gateway.books[str(command.payment_id)].status
        taken = command.payment_id in captured
        assert booked is (TransactionStatus.CAPTURED if taken else TransactionStatus.VOIDED)
        assert len(await rows_of(payments, "delivery_proofs", command.payment_id)) == 1


async def test_refunds_that_are_asked_for_at_the_same_time_never_pass_the_capture(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_captured_payment(payments)
    await at_once(payments, [a_refund(command, 700) for _ in range(5)])
    await settle(payments)
    assert gateway.books[str(command.payment_id)].refunded_minor == 1400
    assert (await payment_of(payments, command.payment_id)).refunded_minor == 1400
    assert len(await payments.published(PaymentRefunded)) == 2


async def test_a_captured_payment_is_refunded_before_it_is_settled(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_captured_payment(payments)
    await payments.receive(a_refund(command, 1999))
    await settle(payments)
    assert await status_of(payments, command.payment_id) == "REFUNDED"
    await payments.receive(a_settlement(command))
    stored = await payment_of(payments, command.payment_id)
    assert (stored.status, stored.settled_minor, stored.refunded_minor) == ("REFUNDED", 1999, 1999)


async def test_a_refund_waits_for_the_capture_that_is_under_way(payments: Harness, gateway: InProcessGateway) -> None:
    [command] = await held_payments(payments, 1)
    gateway.script("capture", TIMEOUT, booked=True)
    gateway.script("look_up", TIMEOUT)
    await payments.receive(a_success(command))
    await payments.run_effects()
    await payments.receive(a_refund(command, 1500), a_refund(command, 500))
    assert gateway.calls["refund"] == 0
    await settle(payments)
    assert len(await payments.published(PaymentCaptured)) == 1
    assert [one.refunded.amount_minor for one in await payments.published(PaymentRefunded)] == [1500]
    assert gateway.books[str(command.payment_id)].refunded_minor == 1500


async def test_a_refund_of_a_capture_that_is_refused_is_not_made_and_told(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = an_authorization(payment_method="tok_capture_fails")
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_success(command))
    refund = a_refund(command, 500)
    await payments.receive(refund, a_refund(command, 700))
    await settle(payments)
    assert gateway.calls["refund"] == 0
    assert {row["state"] for row in await rows_of(payments, "refunds", command.payment_id)} == {"refused"}
    stored = await payment_of(payments, command.payment_id)
    assert (stored.status, stored.refunding_minor) == ("SETTLEMENT_FAILED", 0)
    assert await alerts_of(payments) == [
        AlertKind.CAPTURE_FAILED,
        AlertKind.RETRIES_EXHAUSTED,
        AlertKind.RETRIES_EXHAUSTED,
    ]


async def test_what_the_bank_took_back_is_not_refunded_too(payments: Harness, gateway: InProcessGateway) -> None:
    command = await a_captured_payment(payments)
    chargeback = a_chargeback(command, 1500)
    await payments.receive(chargeback)
    await payments.receive(chargeback.model_copy())
    await payments.receive(a_refund(command, 500))
    await payments.receive(a_refund(command, 499))
    await settle(payments)
    assert [one.refunded.amount_minor for one in await payments.published(PaymentRefunded)] == [499]
    assert len(await payments.published(ChargebackReceived)) == 1
    assert AlertKind.OVER_REFUNDED not in await alerts_of(payments)


async def test_a_waiting_refund_loses_its_money_to_a_chargeback(payments: Harness, gateway: InProcessGateway) -> None:
    command = await a_captured_payment(payments)
    gateway.script("refund", Unavailable("ConnectError"))
    await payments.receive(a_refund(command, 1000), a_refund(command, 999))
    await payments.run_effects()
    await payments.receive(a_chargeback(command, 999))
    await settle(payments)
    booked = gateway.books[str(command.payment_id)]
    stored = await payment_of(payments, command.payment_id)
    assert booked.refunded_minor == stored.refunded_minor == 1000
    assert (stored.refunding_minor, stored.charged_back_minor) == (0, 999)
    assert AlertKind.OVER_REFUNDED not in await alerts_of(payments)


async def test_a_chargeback_before_the_answer_of_its_capture_is_no_overpayment(
    payments: Harness, gateway: InProcessGateway
) -> None:
    [command] = await held_payments(payments, 1)
    gateway.script("capture", TIMEOUT, booked=True)
    gateway.script("look_up", TIMEOUT)
    await payments.receive(a_success(command))
    await payments.run_effects()
    await payments.receive(a_chargeback(command, 1999))
    await settle(payments)
    await payments.receive(a_refund(command, 1))
    stored = await payment_of(payments, command.payment_id)
    assert (stored.captured_minor, stored.charged_back_minor, stored.refunding_minor) == (1999, 1999, 0)
    assert AlertKind.OVER_REFUNDED not in await alerts_of(payments)


@pytest.mark.parametrize("chargeback_first", [True, False])
async def test_a_refund_that_races_a_chargeback_ends_with_equal_books_and_an_alert(
    payments: Harness, gateway: InProcessGateway, chargeback_first: bool
) -> None:
    command = await a_captured_payment(payments)
    gateway.script("refund", TIMEOUT, booked=True)
    gateway.script("look_up", TIMEOUT)
    await payments.receive(a_refund(command, 1999))
    await payments.run_effects()
    if not chargeback_first:
        await settle(payments)
    await payments.receive(a_chargeback(command, 1999))
    await settle(payments)
    booked = gateway.books[str(command.payment_id)]
    stored = await payment_of(payments, command.payment_id)
    assert booked.refunded_minor == stored.refunded_minor == 1999
    assert (stored.charged_back_minor, stored.overpaid_minor) == (1999, 1999)
    assert await alerts_of(payments) == [AlertKind.OVER_REFUNDED]


async def test_a_refund_that_the_gateway_refuses_after_a_chargeback_took_nothing(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_captured_payment(payments)
    gateway.script("refund", Unavailable("ConnectError"), Refused("charge_disputed"))
    await payments.receive(a_refund(command, 1999))
    await payments.run_effects()
    await payments.receive(a_chargeback(command, 1999))
    await settle(payments)
    stored = await payment_of(payments, command.payment_id)
    assert (stored.refunded_minor, stored.refunding_minor, stored.charged_back_minor) == (0, 0, 1999)
    assert await alerts_of(payments) == [AlertKind.RETRIES_EXHAUSTED]


async def test_refund_and_chargeback_at_the_same_time_are_both_counted(
    payments: Harness, gateway: InProcessGateway
) -> None:
    for number in range(6):
        command = await a_captured_payment(payments)
        both: list[Message] = [a_refund(command, 1000), a_chargeback(command, 1500, name=f"cb_{number}")]
        await at_once(payments, both if number % 2 else both[::-1])
        await settle(payments)
        stored = await payment_of(payments, command.payment_id)
        assert stored.refunded_minor == gateway.books[str(command.payment_id)].refunded_minor
        assert stored.charged_back_minor == 1500
        assert stored.overpaid_minor == (501 if stored.refunded_minor else 0)
