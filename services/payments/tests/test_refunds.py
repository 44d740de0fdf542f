"""Refunds add up and never pass what was captured (PAY-8)."""

from caas_chassis.testing.harness import Harness
from caas_contracts import Money
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.payments import AuthorizePayment, PaymentRefunded
from caas_payments.domain.gateway_result import Refused
from services.payments.tests.builders import a_refund, a_settlement, a_success, an_authorization
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import journey_of, payment_of, rows_of, status_of
from services.payments.tests.working import settle


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


async def test_a_refund_that_the_gateway_refuses_releases_its_reservation(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_captured_payment(payments)
    gateway.script("refund", Refused("refund_window_closed"))
    await payments.receive(a_refund(command, 1999))
    await settle(payments)
    payment = await payment_of(payments, command.payment_id)
    assert (payment.status, payment.refunded_minor, payment.refunding_minor) == ("CAPTURING", 0, 0)
    [alert] = await payments.published(AlertRaised)
    assert (alert.kind, "refund_window_closed" in alert.detail) == (AlertKind.RETRIES_EXHAUSTED, True)
    [row] = await rows_of(payments, "refunds", command.payment_id)
    assert row["state"] == "refused"
    await payments.receive(a_refund(command, 1999))
    await settle(payments)
    assert await status_of(payments, command.payment_id) == "REFUNDED"
