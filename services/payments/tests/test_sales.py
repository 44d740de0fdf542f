"""What is no service is sold: taken at once, once, found again when it was lost, given back when nobody owns it."""

import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.gateway import GatewayWebhookReceived
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.payments import (
    ChargePayment,
    OrphanSaleFound,
    PaymentAbandoned,
    PaymentAuthorized,
    PaymentConfirmed,
    PaymentFailed,
    PaymentInitiated,
    PaymentPurpose,
    PaymentRefunded,
    PaymentSettled,
    RiskRating,
    SoldPurpose,
)
from caas_payments.domain.gateway_result import NotFound, TransactionStatus, Unavailable
from services.payments.tests.builders import NOW, a_charge, a_refund, a_settlement, an_authorization
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import journey_of, payment_of, rows_of, status_of
from services.payments.tests.working import run_rounds, settle

SOLD = [
    (PaymentPurpose.RESERVATION, RiskRating.LOW),
    (PaymentPurpose.FINAL, RiskRating.NONE),
    (PaymentPurpose.SUBSCRIPTION, RiskRating.HIGH),
]


def a_hint(of: ChargePayment, event_type: str = "transaction.captured") -> GatewayWebhookReceived:
    return GatewayWebhookReceived(
        webhook_id=f"msg_{of.payment_id.hex}",
        event_type=event_type,
        transaction_id="txn_1",
        reference=str(of.payment_id),
        body="{}",
        received_at=NOW,
    )


@pytest.mark.parametrize(("purpose", "rating"), SOLD)
async def test_a_sale_is_confirmed_and_settled_without_a_hold(
    payments: Harness, gateway: InProcessGateway, purpose: SoldPurpose, rating: RiskRating
) -> None:
    command = a_charge(purpose=purpose)
    await payments.receive(command, command.model_copy())
    await payments.run_effects()
    await payments.receive(a_settlement(command))
    [initiated] = await payments.published(PaymentInitiated)
    [confirmed] = await payments.published(PaymentConfirmed)
    assert (initiated.rating, confirmed.purpose, confirmed.amount) == (rating, purpose, command.amount)
    assert len(await payments.published(PaymentSettled)) == 1
    assert await payments.published(PaymentAuthorized) == []
    assert await journey_of(payments, command.payment_id) == [
        "INITIATED>PROCESSING",
        "PROCESSING>CONFIRMED",
        "CONFIRMED>SETTLED",
    ]
    assert (gateway.calls["sale"], gateway.calls["authorize"], gateway.calls["capture"]) == (1, 0, 0)
    stored = await payment_of(payments, command.payment_id)
    assert (stored.captured_minor, stored.at_risk_minor) == (1999, 0)


async def test_a_declined_sale_fails_and_takes_nothing(payments: Harness, gateway: InProcessGateway) -> None:
    command = a_charge(payment_method="tok_declined")
    await payments.receive(command)
    await settle(payments)
    [failed] = await payments.published(PaymentFailed)
    assert (failed.reason, failed.customer_may_retry) == ("card_declined", True)
    assert gateway.calls["sale"] == 1


@pytest.mark.parametrize("booked", [True, False])
async def test_a_sale_of_unknown_outcome_takes_the_money_once(
    payments: Harness, gateway: InProcessGateway, booked: bool
) -> None:
    gateway.script("sale", TIMEOUT, booked=booked)
    gateway.script("look_up", TIMEOUT)
    command = a_charge()
    await payments.receive(command)
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "RETRY"
    await settle(payments)
    assert len(await payments.published(PaymentConfirmed)) == 1
    assert gateway.calls["sale"] == (1 if booked else 2)
    assert gateway.books[str(command.payment_id)].captured_minor == 1999


async def test_a_sale_that_never_happened_is_abandoned_after_its_retries(
    payments: Harness, gateway: InProcessGateway
) -> None:
    gateway.script("sale", *[Unavailable("ConnectError")] * 4)
    command = a_charge()
    await payments.receive(command)
    await settle(payments)
    assert len(await payments.published(PaymentAbandoned)) == 1
    assert gateway.calls["sale"] == 4


async def test_a_sale_that_is_decided_later_is_held_and_taken_in_one_step(
    payments: Harness, gateway: InProcessGateway
) -> None:
    approved, declined = a_charge(payment_method="tok_pending"), a_charge(payment_method="tok_pending")
    await payments.receive(approved, declined)
    await run_rounds(payments, 2)
    assert await status_of(payments, approved.payment_id) == "PENDING"
    gateway.decide_pending(str(approved.payment_id), approved=True)
    gateway.decide_pending(str(declined.payment_id), approved=False)
    await settle(payments)
    assert [one.payment_id for one in await payments.published(PaymentConfirmed)] == [approved.payment_id]
    assert [one.payment_id for one in await payments.published(PaymentFailed)] == [declined.payment_id]
    assert (await journey_of(payments, approved.payment_id))[2:] == ["PENDING>AUTHORIZED", "AUTHORIZED>CAPTURING"]
    await payments.receive(a_settlement(approved))
    assert await status_of(payments, approved.payment_id) == "SETTLED"


async def test_a_settlement_line_before_the_answer_settles_the_sale_with_it(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = a_charge()
    await payments.receive(command, a_settlement(command))
    await payments.run_effects()
    assert (await journey_of(payments, command.payment_id))[1:] == ["PROCESSING>CONFIRMED", "CONFIRMED>SETTLED"]


async def test_a_confirmed_sale_is_refunded_in_parts(payments: Harness, gateway: InProcessGateway) -> None:
    command = a_charge()
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_refund(command, 1000), a_refund(command, 999), a_refund(command, 1))
    await settle(payments)
    assert [one.refunded.amount_minor for one in await payments.published(PaymentRefunded)] == [1000, 999]
    assert gateway.books[str(command.payment_id)].refunded_minor == 1999
    assert (await journey_of(payments, command.payment_id))[-1] == "REFUNDING>REFUNDED"


async def an_abandoned_sale(payments: Harness, gateway: InProcessGateway) -> ChargePayment:
    """Abandoned, though the gateway has taken the money: its own record said the opposite, again and again."""
    gateway.script("sale", *[TIMEOUT] * 4, booked=True)
    gateway.script("look_up", *[NotFound()] * 8)
    command = a_charge()
    await payments.receive(command)
    await settle(payments)
    assert await status_of(payments, command.payment_id) == "ABANDONED"
    return command


async def test_money_that_an_abandoned_sale_took_is_given_back_and_told(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await an_abandoned_sale(payments, gateway)
    await payments.receive(a_hint(command), a_hint(command, "transaction.authorized"))
    await settle(payments)
    booked = gateway.books[str(command.payment_id)]
    assert (booked.status, booked.refunded_minor) == (TransactionStatus.REFUNDED, 1999)
    [found] = await payments.published(OrphanSaleFound)
    [refunded] = await payments.published(PaymentRefunded)
    assert (found.taken, refunded.refunded, refunded.reason) == (command.amount, command.amount, "orphan_sale")
    assert await payments.published(PaymentConfirmed) == []
    assert [one.kind for one in await payments.published(AlertRaised)] == [
        AlertKind.PAYMENT_ABANDONED,
        AlertKind.OUTCOME_UNKNOWN,
    ]
    assert await status_of(payments, command.payment_id) == "ABANDONED"
    [refund] = await rows_of(payments, "refunds", command.payment_id)
    assert refund["state"] == "succeeded"


async def test_a_sale_is_the_same_payment_when_it_is_asked_twice_and_a_conflict_with_another_amount(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = a_charge(idempotency_key="invoice-7:1")
    other = an_authorization(idempotency_key="invoice-7:1")
    await payments.receive(command)
    await payments.receive(command.model_copy(), other)
    await settle(payments)
    assert gateway.calls["sale"] == 1
    [failed] = await payments.published(PaymentFailed)
    assert (failed.payment_id, failed.reason) == (other.payment_id, "idempotency_conflict")
