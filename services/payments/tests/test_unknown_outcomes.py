"""The end of the ladder (GW-4): no call when the gateway may have forgotten the key, and nothing guessed after it."""

from datetime import timedelta

import pytest
from asyncpg import InsufficientPrivilegeError

from caas_chassis.testing.harness import Harness
from caas_contracts.gateway import GatewayWebhookReceived
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.payments import AuthorizePayment, PaymentAuthorized, PaymentCaptured, PaymentRefunded
from caas_payments.domain.gateway_result import NotFound, Unavailable
from caas_payments.domain.rules import Rules
from caas_payments.gateway import GatewayTask
from caas_payments.handlers.outcomes import ask_gateway
from services.payments.tests.builders import NOW, a_failure, a_refund, a_success, an_authorization
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import payment_of, rows_of, status_of
from services.payments.tests.working import run_rounds, settle

A_DAY_LATER = timedelta(hours=20, minutes=1)


async def a_hold(payments: Harness) -> AuthorizePayment:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    return command


async def a_frozen_capture(payments: Harness, gateway: InProcessGateway, *, booked: bool) -> AuthorizePayment:
    """The capture timed out, and the gateway says nothing about it until its key is too old."""
    command = await a_hold(payments)
    gateway.script("capture", TIMEOUT, booked=booked)
    gateway.script("look_up", *[TIMEOUT] * 6)
    await payments.receive(a_success(command))
    await run_rounds(payments, 3)
    payments.clock.move(A_DAY_LATER)
    await run_rounds(payments, 1)
    return command


async def kinds_of_alerts(payments: Harness) -> list[AlertKind]:
    return [alert.kind for alert in await payments.published(AlertRaised)]


async def call_states(payments: Harness, command: AuthorizePayment, operation: str) -> list[tuple[str, str]]:
    attempts = await rows_of(payments, "attempts", command.payment_id)
    return [(one["state"], one["last_result"]) for one in attempts if one["operation"] == operation]


async def test_what_stays_unknown_is_frozen_before_the_key_is_forgotten_and_never_called_again(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_frozen_capture(payments, gateway, booked=False)
    assert (await payment_of(payments, command.payment_id)).frozen
    [case] = await rows_of(payments, "cases", command.payment_id)
    assert (case["number"], case["reason"], case["resolved_at"]) == (2, "ReadTimeout", None)
    assert (await kinds_of_alerts(payments))[-1] is AlertKind.OUTCOME_UNKNOWN
    gateway.script("look_up", *[TIMEOUT] * 12)
    await run_rounds(payments, 5)
    assert gateway.calls["capture"] == 1
    async with payments.transaction() as tx:
        pause = await tx.fetchval("SELECT due_at - now() FROM chassis.task")
    assert isinstance(pause, timedelta)
    assert timedelta(minutes=59) < pause <= timedelta(hours=1)
    assert len(await rows_of(payments, "cases", command.payment_id)) == 1


async def test_a_look_up_that_finds_the_truth_unfreezes_and_closes_the_case_by_itself(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_frozen_capture(payments, gateway, booked=True)
    gateway.forget_script()
    await settle(payments)
    [case] = await rows_of(payments, "cases", command.payment_id)
    assert case["resolution"] == "captured"
    assert not (await payment_of(payments, command.payment_id)).frozen
    assert len(await payments.published(PaymentCaptured)) == 1
    assert gateway.calls["capture"] == 1


async def test_a_webhook_unfreezes_without_waiting_for_the_next_look_up(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_frozen_capture(payments, gateway, booked=True)
    gateway.forget_script()
    hint = GatewayWebhookReceived(
        webhook_id="msg_1",
        event_type="transaction.captured",
        transaction_id="txn_1",
        reference=str(command.payment_id),
        body="{}",
        received_at=NOW,
    )
    await payments.receive(hint)
    await payments.run_effects()
    [case] = await rows_of(payments, "cases", command.payment_id)
    assert case["resolution"] == "captured"
    assert (await payment_of(payments, command.payment_id)).captured_minor == 1999


async def test_absence_that_is_established_late_makes_the_capture_anew_under_a_new_key(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_frozen_capture(payments, gateway, booked=False)
    gateway.forget_script()
    await settle(payments)
    assert await call_states(payments, command, "capture") == [("abandoned", "not_captured"), ("succeeded", "captured")]
    [case] = await rows_of(payments, "cases", command.payment_id)
    assert case["resolution"] == "not_captured"
    assert gateway.calls["capture"] == 2
    assert len(await payments.published(PaymentCaptured)) == 1


async def test_a_gateway_that_denies_a_transaction_that_we_know_proves_nothing(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_frozen_capture(payments, gateway, booked=False)
    gateway.forget_script()
    gateway.script("look_up", *[NotFound()] * 12)
    await run_rounds(payments, 8)
    assert (await payment_of(payments, command.payment_id)).frozen
    assert gateway.calls["capture"] == 1


@pytest.mark.parametrize("uncertain", [True, False])
async def test_a_call_that_waited_too_long_is_not_made_under_the_old_key(
    payments: Harness, gateway: InProcessGateway, uncertain: bool
) -> None:
    command = await a_hold(payments)
    if uncertain:
        gateway.script("capture", TIMEOUT)
    gateway.script("capture", Unavailable("ConnectError"))
    await payments.receive(a_success(command))
    await run_rounds(payments, 1 if uncertain else 0)
    asked = gateway.calls["capture"]
    # The process is down until the gateway may have forgotten the key.
    payments.clock.move(timedelta(hours=25))
    await settle(payments)
    states = await call_states(payments, command, "capture")
    assert states == [
        ("abandoned", "not_captured" if uncertain else "key_too_old"),
        ("succeeded", "captured"),
    ]
    assert gateway.calls["capture"] == asked + 1
    assert gateway.books[str(command.payment_id)].captured_minor == 1999


async def test_refunds_queue_behind_a_frozen_one_and_go_on_when_it_is_resolved(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = await a_hold(payments)
    await payments.receive(a_success(command))
    await payments.run_effects()
    gateway.script("refund", TIMEOUT, booked=True)
    gateway.script("look_up", *[TIMEOUT] * 6)
    await payments.receive(a_refund(command, 500))
    await run_rounds(payments, 3)
    payments.clock.move(A_DAY_LATER)
    await run_rounds(payments, 1)
    await payments.receive(a_refund(command, 300))
    await payments.run_effects()
    assert (await payment_of(payments, command.payment_id)).frozen
    assert gateway.calls["refund"] == 1
    gateway.forget_script()
    await settle(payments)
    assert gateway.books[str(command.payment_id)].refunded_minor == 800
    assert len(await payments.published(PaymentRefunded)) == 2


@pytest.mark.parametrize("operation", ["capture", "void", "refund"])
async def test_an_operation_that_never_reached_the_gateway_needs_no_person_after_a_day(
    payments: Harness, gateway: InProcessGateway, operation: str
) -> None:
    command = await a_hold(payments)
    if operation == "refund":
        await payments.receive(a_success(command))
        await payments.run_effects()
    gateway.script(operation, *[Unavailable("ConnectError")] * 6)
    cause = {"capture": a_success(command), "void": a_failure(command), "refund": a_refund(command, 500)}[operation]
    await payments.receive(cause)
    await run_rounds(payments, 2)
    payments.clock.move(A_DAY_LATER)
    await settle(payments)
    assert [state for state, _ in await call_states(payments, command, operation)] == ["abandoned", "succeeded"]
    assert await rows_of(payments, "cases", command.payment_id) == []


async def test_an_authorization_is_not_abandoned_before_its_absence_is_late(
    payments: Harness, gateway: InProcessGateway
) -> None:
    gateway.script("authorize", *[TIMEOUT] * 4)
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    for _ in range(4):
        await payments.skip_delays()
        await payments.run_effects()
    assert (gateway.calls["authorize"], gateway.calls["look_up"]) == (4, 8)
    await payments.skip_delays()
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "RETRY"
    pauses = [one["retry_in_ms"] for one in await rows_of(payments, "attempt_calls", command.payment_id)]
    assert pauses[:8] == [0, 2000, 0, 0, 4000, 0, 0, 8000]
    assert 55_000 < pauses[-1] <= 60_000
    payments.clock.move(timedelta(seconds=61))
    await payments.skip_delays()
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "ABANDONED"


async def test_a_hold_that_shows_up_only_after_all_retries_is_taken_and_not_forgotten(
    payments: Harness, gateway: InProcessGateway
) -> None:
    gateway.script("authorize", *[TIMEOUT] * 4, booked=True)
    gateway.script("look_up", *[NotFound()] * 8)
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    for _ in range(3):
        # Less than a minute passes: GW-2's pauses are not moved through.
        await payments.skip_delays()
        await payments.run_effects()
    assert gateway.calls["look_up"] == 7
    await payments.skip_delays()
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "RETRY"
    await settle(payments)
    assert await status_of(payments, command.payment_id) == "AUTHORIZED"
    assert len(await payments.published(PaymentAuthorized)) == 1


async def test_a_call_that_a_dead_process_may_have_made_is_looked_up_although_the_next_one_was_never_sent(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = an_authorization()
    await payments.receive(command)
    async with payments.transaction() as tx:
        payload = await tx.fetchval("UPDATE chassis.task SET attempts = 1 RETURNING payload")
    assert isinstance(payload, bytes)
    await ask_gateway(gateway, GatewayTask.model_validate_json(payload))
    gateway.script("authorize", *[Unavailable("ConnectError")] * 4)
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "AUTHORIZED"
    assert (gateway.calls["authorize"], gateway.calls["look_up"]) == (2, 1)


class TestHistory:
    """What the attempt's history says of pauses is what the tasks really waited."""

    @pytest.fixture
    def rules(self) -> Rules:
        return Rules(jitter=0.25)

    async def test_every_question_is_kept_with_its_result_and_the_pause_of_the_recorded_task(
        self, payments: Harness, gateway: InProcessGateway
    ) -> None:
        gateway.script("authorize", *[Unavailable("ConnectError")] * 3)
        command = an_authorization()
        await payments.receive(command)
        waited = []
        for _ in range(3):
            await payments.run_effects()
            async with payments.transaction() as tx:
                pause = await tx.fetchval("SELECT extract(epoch FROM due_at - created_at) * 1000 FROM chassis.task")
            waited.append(round(float(str(pause))))
            await payments.skip_delays()
        await payments.run_effects()
        calls = await rows_of(payments, "attempt_calls", command.payment_id)
        assert [(one["step"], one["result"]) for one in calls] == [
            *[("call", "ConnectError")] * 3,
            ("call", "answered:authorized"),
        ]
        assert [one["retry_in_ms"] for one in calls] == [*waited, None]
        for pause_ms, wanted_ms in zip(waited, (2000, 4000, 8000), strict=True):
            assert wanted_ms <= pause_ms <= wanted_ms * 1.25

    async def test_the_history_cannot_be_changed(self, payments: Harness) -> None:
        await a_hold(payments)
        with pytest.raises(InsufficientPrivilegeError):
            async with payments.transaction() as tx:
                await tx.execute("UPDATE attempt_calls SET result = 'better'")


async def test_a_pause_longer_than_an_hour_is_not_believed(payments: Harness, gateway: InProcessGateway) -> None:
    gateway.script("authorize", Unavailable("too_many_requests", 86_400))
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    [call] = await rows_of(payments, "attempt_calls", command.payment_id)
    assert call["retry_in_ms"] == 3_600_000
