"""Renewals (REC-1): charged only where the success of what they renew is stored, without the customer (PAY-9)."""

import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.payments import PaymentConfirmed, PaymentFailed, PaymentRefunded
from services.payments.tests.builders import (
    Activated,
    a_failure,
    a_planned_charge,
    a_refund,
    a_renewal,
    a_settlement,
    a_success,
    an_authorization,
)
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.reading import payment_of, status_of
from services.payments.tests.working import settle


async def a_delivered_service(payments: Harness, command: Activated) -> Activated:
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_success(command))
    await payments.run_effects()
    return command


@pytest.mark.parametrize("first", [an_authorization, a_planned_charge])
async def test_each_period_of_what_was_delivered_is_charged_once(
    payments: Harness, gateway: InProcessGateway, first: object
) -> None:
    assert callable(first)
    command = await a_delivered_service(payments, first())
    second, third = a_renewal(command, 2), a_renewal(command, 3)
    await payments.receive(second)
    await payments.receive(second.model_copy(), third)
    await settle(payments)
    confirmed = {one.payment_id: one for one in await payments.published(PaymentConfirmed)}
    assert {second.payment_id, third.payment_id} == confirmed.keys() - {command.payment_id}
    assert confirmed[second.payment_id].activation_id is None
    stored = await payment_of(payments, second.payment_id)
    assert (stored.intent.customer_present, stored.captured_minor) == (False, 1999)
    await payments.receive(a_settlement(second), a_refund(third, 1999))
    await settle(payments)
    assert await status_of(payments, second.payment_id) == "SETTLED"
    assert [one.payment_id for one in await payments.published(PaymentRefunded)] == [third.payment_id]


async def test_nothing_is_charged_for_what_never_succeeded(payments: Harness, gateway: InProcessGateway) -> None:
    unknown, failed, undecided = an_authorization(), an_authorization(), a_planned_charge()
    await payments.receive(failed, undecided)
    await payments.run_effects()
    await payments.receive(a_failure(failed))
    await settle(payments)
    sales = gateway.calls["sale"]
    renewals = [a_renewal(unknown), a_renewal(failed), a_renewal(undecided)]
    await payments.receive(*renewals)
    await settle(payments)
    refused = await payments.published(PaymentFailed)
    assert {one.payment_id for one in refused} == {one.payment_id for one in renewals}
    assert {(one.reason, one.customer_may_retry) for one in refused} == {("not_activated", False)}
    assert gateway.calls["sale"] == sales


async def test_the_success_of_somebody_elses_purchase_renews_nothing(payments: Harness) -> None:
    command = await a_delivered_service(payments, an_authorization())
    other = an_authorization(customer_id="customer-2")
    wrong = [
        a_renewal(command).model_copy(update={"customer_id": "customer-2", "idempotency_key": "a"}),
        a_renewal(command).model_copy(update={"subject_id": other.subject_id, "idempotency_key": "b"}),
        a_renewal(command).model_copy(update={"vehicle_id": "vehicle-2", "idempotency_key": "c"}),
        a_renewal(command).model_copy(update={"service_code": "sport-mode", "idempotency_key": "d"}),
    ]
    await payments.receive(*wrong)
    assert [one.reason for one in await payments.published(PaymentFailed)] == ["not_activated"] * 4


async def test_a_declined_renewal_is_told_and_not_repeated(
    payments: Harness, gateway: InProcessGateway
) -> None:  # REC-3
    command = await a_delivered_service(payments, an_authorization())
    renewal = a_renewal(command, payment_method="tok_insufficient_funds")
    await payments.receive(renewal)
    await settle(payments)
    [failed] = await payments.published(PaymentFailed)
    assert (failed.payment_id, failed.reason) == (renewal.payment_id, "insufficient_funds")
    assert gateway.calls["sale"] == 1
