"""The service against the real sandbox gateway with scripted faults: its books say what was really charged."""

import asyncio
from datetime import timedelta

import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.payments import PaymentAbandoned, PaymentCaptured, PaymentConfirmed, PaymentFailed, PaymentVoided
from services.payments.tests.builders import a_charge, a_failure, a_refund, a_success, an_authorization
from services.payments.tests.reading import status_of
from services.payments.tests.sandbox_gateway import SandboxGateway
from services.payments.tests.working import settle

FAULTS = ["timeout_before", "timeout_after", "503", "500_after", "429", "garbage", "half", "wrong_amount"]


@pytest.fixture
def payments(payments_at_sandbox: Harness) -> Harness:
    return payments_at_sandbox


@pytest.mark.parametrize("kind", FAULTS)
async def test_every_operation_survives_every_fault_and_charges_once(
    payments: Harness, sandbox: SandboxGateway, kind: str
) -> None:
    delivered, rejected = an_authorization(), an_authorization()
    sandbox.fault("authorize", kind, times=2)
    sandbox.fault("lookup", kind, times=2)
    await payments.receive(delivered, rejected)
    await settle(payments)
    for operation in ("capture", "void"):
        sandbox.fault(operation, kind)
    await payments.receive(a_success(delivered), a_failure(rejected))
    await settle(payments)
    sandbox.fault("refund", kind)
    await payments.receive(a_refund(delivered, 500))
    await settle(payments)
    fired = {fault["operation"]: fault["fired"] for fault in sandbox.clear_faults()}
    # A 429 is a certain answer: nothing has to be looked up after it.
    assert [fired[name] for name in ("authorize", "capture", "void", "refund")] == [2, 1, 1, 1]
    assert fired["lookup"] == (0 if kind == "429" else 2)
    assert sandbox.effects(str(delivered.payment_id)) == [
        ("authorize", 1999), ("capture", 1999), ("refund", 500),
    ]  # fmt: skip
    assert sandbox.effects(str(rejected.payment_id)) == [("authorize", 1999), ("void", 1999)]
    assert len(await payments.published(PaymentCaptured)) == 1
    assert len(await payments.published(PaymentVoided)) == 1
    assert await status_of(payments, delivered.payment_id) == "REFUNDED"


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_sale_survives_every_fault_and_takes_the_money_once(
    payments: Harness, sandbox: SandboxGateway, kind: str
) -> None:
    command = a_charge()
    sandbox.fault("authorize", kind, times=2)
    sandbox.fault("lookup", kind, times=2)
    await payments.receive(command)
    await settle(payments)
    sandbox.clear_faults()
    assert sandbox.effects(str(command.payment_id)) == [("authorize", 1999), ("capture", 1999)]
    assert len(await payments.published(PaymentConfirmed)) == 1
    assert await status_of(payments, command.payment_id) == "CONFIRMED"


@pytest.mark.parametrize("token", ["tok_timeout_before", "tok_timeout_after", "tok_503_twice"])
async def test_disturbed_authorizations_are_held_once(payments: Harness, sandbox: SandboxGateway, token: str) -> None:
    command = an_authorization(payment_method=token)
    await payments.receive(command)
    await settle(payments)
    assert await status_of(payments, command.payment_id) == "AUTHORIZED"
    assert sandbox.effects(str(command.payment_id)) == [("authorize", 1999)]


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_invalid_card", "invalid_card"),
        ("tok_never_heard_of", "invalid_payment_method"),
    ],
)
async def test_declines_are_told_with_their_reason(payments: Harness, token: str, reason: str) -> None:
    await payments.receive(an_authorization(payment_method=token))
    await settle(payments)
    assert [failed.reason for failed in await payments.published(PaymentFailed)] == [reason]


async def test_a_pending_authorization_is_found_by_polling(payments: Harness, sandbox: SandboxGateway) -> None:
    approved = an_authorization(payment_method="tok_pending")
    declined = an_authorization(payment_method="tok_pending_declined")
    await payments.receive(approved, declined)
    await payments.run_effects()
    assert await status_of(payments, approved.payment_id) == "PENDING"
    async with asyncio.timeout(15):
        while await status_of(payments, approved.payment_id) == "PENDING":
            await payments.skip_delays()
            await payments.run_effects()
            await asyncio.sleep(0.05)
    await settle(payments)
    assert await status_of(payments, approved.payment_id) == "AUTHORIZED"
    assert await status_of(payments, declined.payment_id) == "FAILED"


async def test_an_outage_ends_abandoned_only_after_the_gateway_says_never_charged(
    payments: Harness, sandbox: SandboxGateway
) -> None:
    command = an_authorization()
    sandbox.fault("any", "outage")
    await payments.receive(command)
    for _ in range(8):
        await payments.run_effects()
        await payments.skip_delays()
    assert await status_of(payments, command.payment_id) == "RETRY"
    sandbox.clear_faults()
    sandbox.fault("authorize", "outage")
    await settle(payments)
    sandbox.clear_faults()
    assert await status_of(payments, command.payment_id) == "ABANDONED"
    assert len(await payments.published(PaymentAbandoned)) == 1
    assert sandbox.effects(str(command.payment_id)) == []


async def test_the_fence_holds_while_business_time_passes(payments: Harness, sandbox: SandboxGateway) -> None:
    command = an_authorization()
    await payments.receive(command)
    await settle(payments)
    await payments.move_clock(timedelta(days=14))
    await settle(payments)
    assert sandbox.effects(str(command.payment_id)) == [("authorize", 1999), ("void", 1999)]
