"""A one-time service is paid: hold, activation, capture or void, on a real database (SVC-3 to SVC-8)."""

from datetime import timedelta

from caas_chassis.testing.harness import Harness
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.payments import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentFailed,
    PaymentInitiated,
    PaymentSettled,
    PaymentSettlementFailed,
    PaymentVoided,
    SettlementStage,
    VoidGround,
)
from services.payments.tests.builders import (
    a_cancellation,
    a_failure,
    a_settlement,
    a_success,
    an_authorization,
)
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.reading import journey_of, payment_of, rows_of, status_of


async def test_a_delivered_service_is_captured_once_and_settled(payments: Harness, gateway: InProcessGateway) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    [authorized] = await payments.published(PaymentAuthorized)
    assert authorized.activate_not_after == authorized.capture_before - timedelta(hours=24)

    success = a_success(command)
    await payments.receive(success)
    await payments.receive_again(success)
    await payments.run_effects()
    [captured] = await payments.published(PaymentCaptured)
    [proof] = await rows_of(payments, "delivery_proofs", command.payment_id)
    assert (captured.captured, captured.proof_id) == (command.amount, proof["id"])
    assert gateway.calls["capture"] == 1

    await payments.receive(a_settlement(command))
    assert len(await payments.published(PaymentSettled)) == 1
    assert len(await payments.published(PaymentInitiated)) == 1
    assert await journey_of(payments, command.payment_id) == [
        "INITIATED>PROCESSING",
        "PROCESSING>AUTHORIZED",
        "AUTHORIZED>CAPTURING",
        "CAPTURING>SETTLED",
    ]


async def test_a_failed_activation_is_voided_and_not_charged(payments: Harness, gateway: InProcessGateway) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_failure(command))
    assert await status_of(payments, command.payment_id) == "AUTHORIZED"
    await payments.run_effects()
    [voided] = await payments.published(PaymentVoided)
    assert (voided.ground, voided.reason) == (VoidGround.VERIFIED_REJECTION, "incompatible")
    assert await status_of(payments, command.payment_id) == "VOIDED"
    assert gateway.calls["capture"] == 0


async def test_a_declined_payment_fails_and_is_never_retried(payments: Harness, gateway: InProcessGateway) -> None:
    command = an_authorization(payment_method="tok_declined:7")
    await payments.receive(command)
    await payments.run_effects()
    [failed] = await payments.published(PaymentFailed)
    assert (failed.reason, failed.customer_may_retry) == ("card_declined", True)
    assert await status_of(payments, command.payment_id) == "FAILED"
    assert gateway.calls["authorize"] == 1


async def test_a_refused_capture_is_written_off_and_operations_are_told(payments: Harness) -> None:
    command = an_authorization(payment_method="tok_capture_fails")
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_success(command))
    await payments.run_effects()
    [lost] = await payments.published(PaymentSettlementFailed)
    assert (lost.stage, lost.lost, lost.reason) == (SettlementStage.CAPTURE, command.amount, "capture_failed")
    assert [alert.kind for alert in await payments.published(AlertRaised)] == [AlertKind.CAPTURE_FAILED]
    assert await rows_of(payments, "captures", command.payment_id) == []


async def test_a_cancelled_payment_is_voided(payments: Harness) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_cancellation(command))
    await payments.run_effects()
    [voided] = await payments.published(PaymentVoided)
    assert voided.ground is VoidGround.ACTIVATION_NEVER_REQUESTED


async def test_a_cancellation_during_authorization_voids_as_soon_as_it_is_held(payments: Harness) -> None:
    command = an_authorization()
    await payments.receive(command, a_cancellation(command))
    await payments.run_effects()
    [authorized] = await payments.published(PaymentAuthorized)
    assert authorized.delivery.decision.value == "refuse"
    assert len(await payments.published(PaymentVoided)) == 1


async def test_results_that_come_before_the_hold_wait_for_it(payments: Harness, gateway: InProcessGateway) -> None:
    delivered, rejected = an_authorization(), an_authorization()
    await payments.receive(delivered, rejected)
    await payments.receive(a_success(delivered), a_failure(rejected))
    await payments.run_effects()
    assert len(await payments.published(PaymentCaptured)) == 1
    assert await status_of(payments, delivered.payment_id) == "CAPTURING"
    assert await status_of(payments, rejected.payment_id) == "VOIDED"


async def test_a_success_after_the_void_was_decided_is_not_charged(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_failure(command))
    await payments.receive(a_success(command, late=True))
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "VOIDED"
    assert gateway.calls["capture"] == 0
    assert [alert.kind for alert in await payments.published(AlertRaised)] == [AlertKind.LATE_SUCCESS]
    assert "AUTHORIZED!capture" in await journey_of(payments, command.payment_id)


async def test_a_service_applied_after_its_last_instant_is_not_charged(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    hold = (await payment_of(payments, command.payment_id)).hold
    assert hold is not None
    too_late = hold.activate_not_after + timedelta(seconds=1)
    await payments.receive(a_success(command, applied_at=too_late))
    await payments.run_effects()
    assert gateway.calls["capture"] == 0
    assert [alert.kind for alert in await payments.published(AlertRaised)] == [AlertKind.LATE_SUCCESS]


async def test_the_success_of_another_activation_charges_nothing(payments: Harness, gateway: InProcessGateway) -> None:
    command, other = an_authorization(), an_authorization()
    await payments.receive(command, other)
    await payments.run_effects()
    await payments.receive(a_success(command, activation_id=other.activation_id))
    await payments.run_effects()
    assert gateway.calls["capture"] == 0
    assert "AUTHORIZED!capture" in await journey_of(payments, command.payment_id)


async def test_a_hold_without_a_verdict_is_voided_after_its_deadline(
    payments: Harness, gateway: InProcessGateway
) -> None:
    silent, delivered = an_authorization(), an_authorization()
    await payments.receive(silent, delivered)
    await payments.run_effects()
    await payments.receive(a_success(delivered))
    await payments.move_clock(timedelta(days=8, minutes=59))
    assert await rows_of(payments, "delivery_proofs", silent.payment_id) == []
    await payments.move_clock(timedelta(minutes=2))
    await payments.run_effects()
    [voided] = await payments.published(PaymentVoided)
    assert (voided.payment_id, voided.ground) == (silent.payment_id, VoidGround.DEADLINE_PASSED)
    assert await status_of(payments, delivered.payment_id) == "CAPTURING"


async def test_an_expired_hold_counts_as_voided(payments: Harness, gateway: InProcessGateway) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    gateway.expire(str(command.payment_id))
    await payments.receive(a_failure(command))
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "VOIDED"


async def test_the_message_of_an_unknown_payment_is_parked(payments: Harness) -> None:
    await payments.receive(a_success(an_authorization()))
    [parked] = await payments.parked()
    assert parked["reason"] == "refused"
    assert "unknown_payment" in parked["detail"]


async def test_the_result_of_a_subscription_concerns_no_payment(payments: Harness, gateway: InProcessGateway) -> None:
    bought, subscribed = an_authorization(), an_authorization()
    await payments.receive(bought)
    await payments.run_effects()
    without_payment = {"payment_id": None}  # SUB-1
    await payments.receive(a_success(subscribed).model_copy(update=without_payment))
    await payments.receive(a_failure(subscribed).model_copy(update=without_payment))
    assert await status_of(payments, bought.payment_id) == "AUTHORIZED"
    assert await journey_of(payments, bought.payment_id) == ["INITIATED>PROCESSING", "PROCESSING>AUTHORIZED"]
    await payments.receive(a_success(subscribed).model_copy(update=without_payment), a_success(bought))
    await payments.run_effects()
    assert gateway.calls["capture"] == 1
    assert await payments.parked() == []
