"""Retries, look-ups and unknown outcomes (GW-2 to GW-4): no path charges twice or forgets a charge."""

import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.payments import PaymentAbandoned, PaymentAuthorized, PaymentCaptured, PaymentFailed
from caas_payments.domain.gateway_result import GatewayResult, NotFound, TransactionStatus, Unavailable, Unknown
from caas_payments.gateway import GatewayTask
from caas_payments.handlers.outcomes import ask_gateway
from services.payments.tests.builders import a_cancellation, a_failure, a_refund, a_success, an_authorization
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import journey_of, rows_of, status_of
from services.payments.tests.working import run_rounds, settle


async def pauses_of(payments: Harness) -> list[float]:
    """Seconds until the waiting tasks are due, rounded."""
    async with payments.transaction() as tx:
        rows = await tx.fetch("SELECT extract(epoch FROM due_at - now())::float8 AS s FROM chassis.task")
    return [round(row["s"]) for row in rows]


async def test_an_outcome_that_was_lost_is_found_by_its_reference(payments: Harness, gateway: InProcessGateway) -> None:
    gateway.script("authorize", TIMEOUT, booked=True)
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    assert (gateway.calls["authorize"], gateway.calls["look_up"]) == (1, 1)
    assert await journey_of(payments, command.payment_id) == [
        "INITIATED>PROCESSING",
        "PROCESSING>RETRY",
        "RETRY>PROCESSING",
        "PROCESSING>AUTHORIZED",
    ]


async def test_a_call_is_repeated_only_after_two_look_ups_found_nothing(
    payments: Harness, gateway: InProcessGateway
) -> None:
    gateway.script("authorize", TIMEOUT)
    await payments.receive(an_authorization())
    await payments.run_effects()
    assert (gateway.calls["authorize"], gateway.calls["look_up"]) == (1, 1)
    assert await pauses_of(payments) == [2.0]
    await run_rounds(payments, 1)
    assert (gateway.calls["authorize"], gateway.calls["look_up"]) == (2, 2)
    assert len(await payments.published(PaymentAuthorized)) == 1


async def test_retries_wait_2_4_and_8_seconds_and_then_the_payment_is_abandoned(
    payments: Harness, gateway: InProcessGateway
) -> None:
    gateway.script("authorize", *[Unavailable("ConnectError")] * 4)
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    pauses = []
    for _ in range(3):
        pauses += await pauses_of(payments)
        await run_rounds(payments, 1)
    assert pauses == [2.0, 4.0, 8.0]
    assert gateway.calls["authorize"] == 4
    assert await status_of(payments, command.payment_id) == "ABANDONED"
    assert len(await payments.published(PaymentAbandoned)) == 1
    assert [alert.kind for alert in await payments.published(AlertRaised)] == [AlertKind.PAYMENT_ABANDONED]


async def test_a_pause_that_the_gateway_asks_for_is_honoured(payments: Harness, gateway: InProcessGateway) -> None:
    gateway.script("authorize", Unavailable("too_many_requests", 30))
    await payments.receive(an_authorization())
    await payments.run_effects()
    assert await pauses_of(payments) == [30.0]


async def test_unknown_outcomes_end_abandoned_only_when_the_look_ups_say_never_charged(
    payments: Harness, gateway: InProcessGateway
) -> None:
    gateway.script("authorize", *[Unknown("http_503")] * 4)
    command = an_authorization()
    await payments.receive(command)
    await settle(payments)
    assert (gateway.calls["authorize"], gateway.calls["look_up"]) == (4, 8)
    assert await status_of(payments, command.payment_id) == "ABANDONED"


async def test_look_ups_without_an_answer_go_on_and_operations_are_told_once(
    payments: Harness, gateway: InProcessGateway
) -> None:
    gateway.script("authorize", TIMEOUT, booked=True)
    gateway.script("look_up", *[TIMEOUT] * 12)
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    pauses = await pauses_of(payments)
    for _ in range(8):
        await run_rounds(payments, 1)
        pauses += await pauses_of(payments)
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]
    assert await status_of(payments, command.payment_id) == "RETRY"
    assert [alert.kind for alert in await payments.published(AlertRaised)] == [AlertKind.OUTCOME_UNKNOWN]
    await run_rounds(payments, 4)
    assert await status_of(payments, command.payment_id) == "AUTHORIZED"
    assert gateway.calls["authorize"] == 1


@pytest.mark.parametrize("result", [TIMEOUT, Unknown("http_500"), Unknown("unreadable_answer")])
@pytest.mark.parametrize("booked", [True, False])
async def test_a_capture_of_unknown_outcome_is_made_once(
    payments: Harness, gateway: InProcessGateway, result: GatewayResult, booked: bool
) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    gateway.script("capture", result, booked=booked)
    gateway.script("look_up", TIMEOUT)
    await payments.receive(a_success(command))
    await settle(payments)
    assert len(await payments.published(PaymentCaptured)) == 1
    assert gateway.calls["capture"] == (1 if booked else 2)
    assert gateway.books[str(command.payment_id)].captured_minor == command.amount.amount_minor


async def test_a_capture_is_never_given_up(payments: Harness, gateway: InProcessGateway) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    gateway.script("capture", *[Unavailable("ConnectError")] * 9)
    await payments.receive(a_success(command))
    await settle(payments)
    assert len(await payments.published(PaymentCaptured)) == 1
    assert [alert.kind for alert in await payments.published(AlertRaised)] == [AlertKind.RETRIES_EXHAUSTED]


@pytest.mark.parametrize("booked", [True, False])
async def test_a_void_of_unknown_outcome_is_looked_up_before_the_payment_is_voided(
    payments: Harness, gateway: InProcessGateway, booked: bool
) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    gateway.script("void", TIMEOUT, booked=booked)
    gateway.script("look_up", NotFound())
    await payments.receive(a_failure(command))
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "AUTHORIZED"
    await settle(payments)
    assert await status_of(payments, command.payment_id) == "VOIDED"
    assert gateway.books[str(command.payment_id)].status is TransactionStatus.VOIDED
    assert gateway.calls["void"] == (1 if booked else 2)


async def test_an_answer_for_another_amount_is_looked_up_and_not_believed(
    payments: Harness, gateway: InProcessGateway
) -> None:
    other = an_authorization()
    await payments.receive(other)
    await payments.run_effects()
    wrong = await gateway.look_up(str(other.payment_id))
    gateway.script("authorize", wrong, booked=True)
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "AUTHORIZED"
    assert gateway.calls["look_up"] == 2


async def test_a_pending_payment_is_polled_until_it_is_decided(payments: Harness, gateway: InProcessGateway) -> None:
    approved, declined = (
        an_authorization(payment_method="tok_pending"),
        an_authorization(payment_method="tok_pending"),
    )
    await payments.receive(approved, declined)
    await run_rounds(payments, 2)
    assert await status_of(payments, approved.payment_id) == "PENDING"
    assert await pauses_of(payments) == [30.0, 30.0]
    gateway.decide_pending(str(approved.payment_id), approved=True)
    gateway.decide_pending(str(declined.payment_id), approved=False)
    await settle(payments)
    assert await status_of(payments, approved.payment_id) == "AUTHORIZED"
    assert [failed.payment_id for failed in await payments.published(PaymentFailed)] == [declined.payment_id]


async def test_a_pending_payment_that_was_cancelled_is_voided_when_it_is_held(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = an_authorization(payment_method="tok_pending")
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_cancellation(command))
    gateway.decide_pending(str(command.payment_id), approved=True)
    await settle(payments)
    assert await status_of(payments, command.payment_id) == "VOIDED"


async def test_every_retry_carries_the_key_that_was_stored_before_the_first_call(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = an_authorization()
    gateway.script("authorize", *[Unavailable("ConnectError")] * 2)
    await payments.receive(command)
    [attempt] = await rows_of(payments, "attempts", command.payment_id)
    await settle(payments)
    [same] = await rows_of(payments, "attempts", command.payment_id)
    assert same["idempotency_key"] == attempt["idempotency_key"] == f"{command.payment_id}:authorize:1"
    assert (same["calls"], same["state"]) == (3, "succeeded")


async def test_a_process_that_dies_between_a_call_and_its_record_charges_once(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = an_authorization()
    await payments.receive(command)
    await call_and_die(payments, gateway)
    await settle(payments)
    await payments.receive(a_success(command))
    await call_and_die(payments, gateway)
    await settle(payments)
    await payments.receive(a_refund(command, 500))
    await call_and_die(payments, gateway)
    await settle(payments)
    booked = gateway.books[str(command.payment_id)]
    assert (booked.captured_minor, booked.refunded_minor) == (command.amount.amount_minor, 500)
    assert {name: gateway.calls[name] for name in ("authorize", "capture", "refund")} == {
        "authorize": 2,
        "capture": 2,
        "refund": 2,
    }
    assert len(await payments.published(PaymentCaptured)) == 1


async def call_and_die(payments: Harness, gateway: InProcessGateway) -> None:
    """The call of the waiting task, after which nothing is recorded."""
    async with payments.transaction() as tx:
        payload = await tx.fetchval("SELECT payload FROM chassis.task")
    assert isinstance(payload, bytes)
    await ask_gateway(gateway, GatewayTask.model_validate_json(payload))
