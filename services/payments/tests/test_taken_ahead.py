"""Money that is taken ahead of its activation (PLN-1): earned by its success, or given back once by itself (SVC-6)."""

from datetime import timedelta

import httpx
import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts import Message
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.payments import (
    DeliveryDecision,
    OrphanSaleFound,
    PaymentAuthorized,
    PaymentConfirmed,
    PaymentFailed,
    PaymentRefunded,
    VoidGround,
)
from caas_contracts.purchase_life import ChargePlannedService
from caas_payments.domain.ahead import refund_id_of
from caas_payments.domain.gateway_result import NotFound
from caas_payments.domain.standing import Standing, standing_of
from services.payments.tests.builders import (
    a_cancellation,
    a_chargeback,
    a_failure,
    a_planned_charge,
    a_refund,
    a_renewal,
    a_settlement,
    a_success,
    an_authorization,
)
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import journey_of, payment_of, rows_of, status_of
from services.payments.tests.test_sale_stories import a_webhook
from services.payments.tests.web import a_token, serving
from services.payments.tests.working import settle


async def a_planned_payment(payments: Harness) -> ChargePlannedService:
    command = a_planned_charge()
    await payments.receive(command)
    await payments.run_effects()
    return command


async def test_the_money_is_taken_at_once_and_earned_by_the_activation_that_it_names(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_planned_payment(payments)
    [confirmed] = await payments.published(PaymentConfirmed)
    assert confirmed.activation_id == command.activation_id
    assert confirmed.delivery is not None
    assert confirmed.delivery.decision is DeliveryDecision.ON_AUTHORIZATION
    assert await payments.published(PaymentAuthorized) == []
    await payments.receive(a_success(command))
    await payments.receive(a_settlement(command))
    await settle(payments)
    [proof] = await rows_of(payments, "delivery_proofs", command.payment_id)
    assert (proof["kind"], await payments.published(PaymentRefunded)) == ("success", [])
    assert (gateway.calls["sale"], gateway.calls["authorize"], gateway.calls["refund"]) == (1, 0, 0)
    assert (await journey_of(payments, command.payment_id))[1:] == ["PROCESSING>CONFIRMED", "CONFIRMED>SETTLED"]


@pytest.mark.parametrize("settled", [False, True])
async def test_a_failed_activation_gives_all_of_it_back_without_anybody_asking(
    payments: Harness, gateway: InProcessGateway, settled: bool
) -> None:  # PLN-1
    command = await a_planned_payment(payments)
    if settled:
        await payments.receive(a_settlement(command))
    failure = a_failure(command)
    await payments.receive(failure)
    await payments.receive_again(failure)
    await settle(payments)
    [refunded] = await payments.published(PaymentRefunded)
    assert (refunded.refunded, refunded.reason) == (command.amount, "incompatible")
    assert refunded.refund_id == refund_id_of(command.payment_id)
    [proof] = await rows_of(payments, "delivery_proofs", command.payment_id)
    [refund] = await rows_of(payments, "refunds", command.payment_id)
    assert (proof["ground"], refund["proof_id"]) == (VoidGround.VERIFIED_REJECTION, proof["id"])
    assert gateway.books[str(command.payment_id)].refunded_minor == 1999
    payment = await payment_of(payments, command.payment_id)
    assert (payment.status, standing_of(payment)) == ("REFUNDED", Standing.GIVEN_BACK)


async def test_a_cancelled_payment_is_given_back(payments: Harness) -> None:  # SVC-11
    command = await a_planned_payment(payments)
    await payments.receive(a_cancellation(command), a_cancellation(command))
    await settle(payments)
    [refunded] = await payments.published(PaymentRefunded)
    assert (refunded.refunded, refunded.reason) == (command.amount, "customer_cancelled")
    [proof] = await rows_of(payments, "delivery_proofs", command.payment_id)
    assert proof["ground"] == VoidGround.ACTIVATION_NEVER_REQUESTED


@pytest.mark.parametrize("end", [a_failure, a_cancellation])
@pytest.mark.parametrize("token", ["tok_approved", "tok_pending"])
async def test_what_ends_before_the_money_is_taken_gives_it_back_as_soon_as_it_is(
    payments: Harness, gateway: InProcessGateway, end: object, token: str
) -> None:
    command = a_planned_charge(payment_method=token)
    assert callable(end)
    await payments.receive(command, end(command))
    await payments.run_effects()
    if token == "tok_pending":
        gateway.decide_pending(str(command.payment_id), approved=True)
    await settle(payments)
    [confirmed] = await payments.published(PaymentConfirmed)
    assert confirmed.delivery is not None
    assert (confirmed.delivery.decision, confirmed.delivery.reasons) == (DeliveryDecision.REFUSE, ["payment_given_up"])
    [refunded] = await payments.published(PaymentRefunded)
    assert refunded.refunded == command.amount


async def test_a_success_before_the_money_is_taken_earns_it(payments: Harness, gateway: InProcessGateway) -> None:
    command = a_planned_charge()
    await payments.receive(command, a_success(command))
    await payments.receive(a_failure(command), a_cancellation(command))
    await settle(payments)
    assert await payments.published(PaymentRefunded) == []
    assert await status_of(payments, command.payment_id) == "CONFIRMED"
    assert (await payment_of(payments, command.payment_id)).delivered


async def test_a_success_after_the_ground_earns_nothing_and_is_told(payments: Harness) -> None:  # SVC-10
    command = await a_planned_payment(payments)
    await payments.receive(a_failure(command))
    await payments.receive(a_success(command, late=True))
    await settle(payments)
    assert [alert.kind for alert in await payments.published(AlertRaised)] == [AlertKind.LATE_SUCCESS]
    assert len(await payments.published(PaymentRefunded)) == 1
    assert "CONFIRMED!capture" in await journey_of(payments, command.payment_id)


async def test_the_results_of_another_activation_move_nothing(payments: Harness, gateway: InProcessGateway) -> None:
    command, other = await a_planned_payment(payments), a_planned_charge()
    wrong: list[Message] = [
        a_success(command, activation_id=other.activation_id),
        a_failure(command, activation_id=other.activation_id),
        a_cancellation(command).model_copy(update={"activation_id": other.activation_id}),
    ]
    for message in wrong:
        await payments.receive(message)
    await settle(payments)
    assert await rows_of(payments, "delivery_proofs", command.payment_id) == []
    assert gateway.calls["refund"] == 0


async def test_nobody_gives_it_back_while_the_car_may_still_get_the_service(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_planned_payment(payments)
    await payments.receive(a_refund(command, 1999))
    await settle(payments)
    assert gateway.calls["refund"] == 0
    assert "CONFIRMED!refund" in await journey_of(payments, command.payment_id)
    await payments.receive(a_success(command))
    await payments.receive(a_refund(command, 1999))  # DES-4: a withdrawal from what is active
    await settle(payments)
    [refunded] = await payments.published(PaymentRefunded)
    assert (refunded.refunded, refunded.reason) == (command.amount, "withdrawal")


@pytest.mark.parametrize(("disputed_minor", "back_minor"), [(1500, [499]), (1999, [])])
async def test_what_a_bank_has_taken_back_is_not_given_back_again(
    payments: Harness, disputed_minor: int, back_minor: list[int]
) -> None:  # PAY-8
    command = await a_planned_payment(payments)
    await payments.receive(a_chargeback(command, disputed_minor))
    await payments.receive(a_failure(command))
    await settle(payments)
    assert [one.refunded.amount_minor for one in await payments.published(PaymentRefunded)] == back_minor
    alerts = [one.kind for one in await payments.published(AlertRaised)]
    assert alerts == ([] if back_minor else [AlertKind.OVER_REFUNDED])


async def test_operators_see_how_the_money_was_taken(payments: Harness, gateway: InProcessGateway) -> None:
    command = await a_planned_payment(payments)
    await payments.receive(a_success(command))
    renewal = a_renewal(command)
    await payments.receive(renewal)
    async with serving(payments.runtime.settings.database_url, gateway) as api:
        ana = a_token("ana", "operator")
        ahead = (await api.get(f"/payments/{command.payment_id}", headers=ana)).json()
        renewed = (await api.get(f"/payments/{renewal.payment_id}", headers=ana)).json()
        refused = await api.post(f"/payments/{command.payment_id}/void", json={"reason": "asked"}, headers=ana)
    assert (ahead["taken_ahead"], ahead["renewed_activation_id"]) == (True, None)
    assert (renewed["taken_ahead"], renewed["renewed_activation_id"]) == (False, str(command.activation_id))
    assert refused.status_code == httpx.codes.CONFLICT


async def test_a_declined_payment_takes_nothing_and_needs_no_refund(payments: Harness) -> None:
    command = a_planned_charge(payment_method="tok_declined")
    await payments.receive(command, a_cancellation(command))
    await settle(payments)
    [failed] = await payments.published(PaymentFailed)
    assert failed.reason == "card_declined"
    assert await rows_of(payments, "refunds", command.payment_id) == []


async def test_an_applied_service_is_earned_however_long_the_car_took(payments: Harness) -> None:
    """There is no hold that ends: what the car verifiably has is paid."""
    command = await a_planned_payment(payments)
    payments.clock.move(timedelta(days=200))
    success = a_success(command, applied_at=payments.clock.now(), not_after=payments.clock.now() - timedelta(hours=1))
    await payments.receive(success)
    assert (await payment_of(payments, command.payment_id)).delivered


async def test_money_that_turns_up_after_the_payment_ended_goes_back_on_a_ground(
    payments: Harness, gateway: InProcessGateway
) -> None:
    gateway.script("sale", *[TIMEOUT] * 4, booked=True)
    gateway.script("look_up", *[NotFound()] * 8)
    command = a_planned_charge()
    await payments.receive(command)
    await settle(payments)
    assert await status_of(payments, command.payment_id) == "ABANDONED"
    await payments.receive(a_webhook(command))
    await settle(payments)
    assert len(await payments.published(OrphanSaleFound)) == 1
    [refunded] = await payments.published(PaymentRefunded)
    assert (refunded.refunded, refunded.refund_id) == (command.amount, refund_id_of(command.payment_id))
    [proof] = await rows_of(payments, "delivery_proofs", command.payment_id)
    assert proof["reason"] == "orphan_sale"


async def test_the_same_key_with_another_content_is_a_conflict(payments: Harness, gateway: InProcessGateway) -> None:
    command = await a_planned_payment(payments)
    hold = an_authorization(idempotency_key=command.idempotency_key)
    await payments.receive(command.model_copy(), hold)
    await settle(payments)
    [failed] = await payments.published(PaymentFailed)
    assert (failed.payment_id, failed.reason) == (hold.payment_id, "idempotency_conflict")
    assert (gateway.calls["sale"], gateway.calls["authorize"]) == (1, 0)
