"""Money that was taken and does not come (SVC-8): written off when it was delivered for, else reversed or waiting."""

import json

import httpx
import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.gateway import GatewayWebhookReceived
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.payments import FailSettlement, PaymentRefunded, PaymentSettlementFailed, SettlementStage
from caas_payments.domain.authorization import Beginning
from caas_payments.domain.risk import CustomerHistory
from caas_payments.store.exposure import read_exposure_of, read_written_off
from caas_payments.store.payments import read_histories
from services.payments.tests.builders import (
    NOW,
    Activated,
    a_cancellation,
    a_charge,
    a_chargeback,
    a_failure,
    a_planned_charge,
    a_refund,
    a_settlement,
    a_success,
    an_authorization,
)
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.reading import journey_of, payment_of, status_of
from services.payments.tests.web import a_token, serving
from services.payments.tests.working import settle


def a_failed_settlement(of: Beginning) -> FailSettlement:
    return FailSettlement(payment_id=of.payment_id, reason="payout_returned", requested_at=NOW)


async def a_delivered_payment(payments: Harness, command: Activated) -> Activated:
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_success(command))
    await payments.run_effects()
    return command


async def lost_by(payments: Harness, customer_id: str = "customer-1") -> tuple[int, list[int]]:
    """How many losses the risk limits know of the customer, and what is written off for them."""
    async with payments.transaction() as tx:
        lost = [one.amount_minor for one in await read_written_off(tx, customer_id)]
        history = (await read_histories(tx, [customer_id])).get(customer_id, CustomerHistory())
        return history.write_offs, lost


@pytest.mark.parametrize("begin", [an_authorization, a_planned_charge])
async def test_after_delivery_the_loss_is_written_off_once_and_seen(payments: Harness, begin: object) -> None:
    assert callable(begin)
    command = await a_delivered_payment(payments, begin())
    await payments.receive(a_failed_settlement(command))
    await payments.receive(a_failed_settlement(command))
    [lost] = await payments.published(PaymentSettlementFailed)
    assert (lost.stage, lost.lost, lost.reason) == (SettlementStage.SETTLEMENT, command.amount, "payout_returned")
    assert lost.activation_id == command.activation_id
    assert [one.kind for one in await payments.published(AlertRaised)] == [AlertKind.SETTLEMENT_FAILED]
    assert await lost_by(payments) == (1, [1999])
    async with payments.transaction() as tx:
        assert await read_exposure_of(tx, "customer-1") == []


async def test_a_refused_capture_is_seen_as_a_loss_too(payments: Harness) -> None:
    await a_delivered_payment(payments, an_authorization(payment_method="tok_capture_fails"))
    assert await lost_by(payments) == (1, [1999])


async def test_what_was_settled_refunded_or_charged_back_is_not_lost(payments: Harness) -> None:
    command = await a_delivered_payment(payments, an_authorization())
    await payments.receive(a_refund(command, 700))
    await settle(payments)
    assert await status_of(payments, command.payment_id) == "REFUNDED"
    await payments.receive(a_failed_settlement(command))
    assert await payments.published(PaymentSettlementFailed) == []
    other = await a_delivered_payment(payments, an_authorization())
    await payments.receive(a_chargeback(other, 999))
    await payments.receive(a_failed_settlement(other))
    [lost] = await payments.published(PaymentSettlementFailed)
    assert lost.lost.amount_minor == 1000
    await payments.receive(a_settlement(other, gross_minor=1000))  # It came after all.
    assert await lost_by(payments) == (0, [])


async def test_before_delivery_there_is_no_loss_and_cancelling_reverses_it(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = a_planned_charge()
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_failed_settlement(command))
    assert len(await payments.published(PaymentSettlementFailed)) == 1
    assert await lost_by(payments) == (0, [])
    await payments.receive(a_cancellation(command))
    await settle(payments)
    assert [one.refunded for one in await payments.published(PaymentRefunded)] == [command.amount]
    assert (await journey_of(payments, command.payment_id))[-3:] == [
        "CONFIRMED>SETTLEMENT_FAILED",
        "SETTLEMENT_FAILED>REFUNDING",
        "REFUNDING>REFUNDED",
    ]
    assert gateway.books[str(command.payment_id)].refunded_minor == 1999


@pytest.mark.parametrize("failed_first", [True, False])
async def test_a_failed_activation_is_no_loss(payments: Harness, failed_first: bool) -> None:
    command = a_planned_charge()
    await payments.receive(command)
    await payments.run_effects()
    news = [a_failed_settlement(command), a_failure(command)]
    for message in news if failed_first else reversed(news):
        await payments.receive(message)
    await settle(payments)
    assert len(await payments.published(PaymentRefunded)) == 1
    assert await lost_by(payments) == (0, [])


async def test_a_success_after_the_settlement_failed_is_a_loss_and_no_refund(payments: Harness) -> None:
    command = a_planned_charge()
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_failed_settlement(command))
    await payments.receive(a_success(command), a_cancellation(command))
    await settle(payments)
    assert await payments.published(PaymentRefunded) == []
    assert await lost_by(payments) == (1, [1999])


async def test_nothing_fails_that_was_not_taken_or_is_at_the_bank(payments: Harness) -> None:
    held, settled = an_authorization(), a_charge()
    await payments.receive(held, settled)
    await payments.run_effects()
    await payments.receive(a_settlement(settled))
    await payments.receive(a_failed_settlement(held), a_failed_settlement(settled))
    assert await payments.published(PaymentSettlementFailed) == []
    assert (await journey_of(payments, held.payment_id))[-1] == "AUTHORIZED!fail_settlement"
    assert (await journey_of(payments, settled.payment_id))[-1] == "SETTLED!fail_settlement"


async def test_the_gateway_tells_it_by_a_webhook(payments: Harness) -> None:
    command = await a_delivered_payment(payments, an_authorization())
    body = {"type": "settlement.failed", "data": {"id": "txn_1", "reason": "payout_returned"}}
    webhook = GatewayWebhookReceived(
        webhook_id="msg_1", event_type="settlement.failed", transaction_id="txn_1",
        reference=str(command.payment_id), body=json.dumps(body), received_at=NOW,
    )  # fmt: skip
    await payments.receive(webhook)
    [lost] = await payments.published(PaymentSettlementFailed)
    assert lost.reason == "payout_returned"


async def test_operators_record_it_and_see_losses_and_refunds_that_wait(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_delivered_payment(payments, an_authorization())
    ana = a_token("ana", "operator")
    async with serving(payments.runtime.settings.database_url, gateway) as api:
        path = f"/payments/{command.payment_id}/settlement-failure"
        failed = await api.post(path, json={"reason": "payout_returned"}, headers=ana)
        again = await api.post(path, json={"reason": "payout_returned"}, headers=ana)
        refused = await api.post(path, json={"reason": "x"}, headers=a_token("customer-1", "customer"))
        exposure = (await api.get("/exposure", headers=ana)).json()
        of_customer = (await api.get("/exposure/customers/customer-1", headers=ana)).json()
    assert (failed.status_code, again.status_code) == (httpx.codes.OK, httpx.codes.OK)
    assert (failed.json()["status"], refused.status_code) == ("SETTLEMENT_FAILED", httpx.codes.FORBIDDEN)
    lost = [{"currency": "EUR", "payments": 1, "amount_minor": 1999}]
    assert (exposure["written_off"], of_customer["written_off"], of_customer["write_offs"]) == (lost, lost, 1)
    assert (await payment_of(payments, command.payment_id)).at_risk_minor == 0
