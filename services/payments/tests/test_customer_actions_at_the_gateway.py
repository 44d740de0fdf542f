"""PAY-9 against the real sandbox gateway: its books say what was charged when answers are lost."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.payments import (
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentConfirmed,
    PaymentFailed,
    PaymentPurpose,
)
from services.payments.tests.builders import a_charge, a_success, an_authorization
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.reading import rows_of, status_of
from services.payments.tests.sandbox_gateway import SandboxGateway
from services.payments.tests.web import serving
from services.payments.tests.working import run_rounds

FAULTS = ["timeout_before", "timeout_after", "503", "500_after", "429", "garbage", "half", "wrong_amount"]
LIFE = timedelta(hours=72)


@pytest.fixture
def payments(payments_at_sandbox: Harness) -> Harness:
    return payments_at_sandbox


async def page_behind(payments: Harness, asked: PaymentActionRequired) -> str:
    """Where our link leads the customer."""
    async with serving(payments.runtime.settings.database_url, InProcessGateway()) as client:
        return (await client.get(httpx.URL(asked.action_url).path)).headers["location"]


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_lost_answer_asks_the_customer_once_and_charges_once(
    payments: Harness, sandbox: SandboxGateway, kind: str
) -> None:
    command = a_charge(payment_method="tok_requires_action")
    sandbox.fault("authorize", kind)
    sandbox.fault("lookup", kind)
    await payments.receive(command)
    await run_rounds(payments, 6)
    sandbox.clear_faults()
    [asked] = await payments.published(PaymentActionRequired)
    sandbox.customer(await page_behind(payments, asked), "approve")
    await run_rounds(payments, 3)
    assert sandbox.effects(str(command.payment_id)) == [("action", 1999), ("authorize", 1999), ("capture", 1999)]
    assert len(await payments.published(PaymentConfirmed)) == 1


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_cancellation_survives_every_fault(payments: Harness, sandbox: SandboxGateway, kind: str) -> None:
    sale, hold = (
        a_charge(payment_method="tok_requires_action"),
        an_authorization(payment_method="tok_requires_action"),
    )
    await payments.receive(sale, hold)
    await run_rounds(payments, 2)
    sandbox.fault("void", kind, times=2)
    sandbox.fault("lookup", kind, times=2)
    await payments.move_clock(LIFE)
    await run_rounds(payments, 12)
    sandbox.clear_faults()
    for command in (sale, hold):
        assert sandbox.effects(str(command.payment_id)) == [("action", 1999), ("void", 1999)]
    failures = await payments.published(PaymentFailed)
    assert [one.reason for one in failures] == ["authentication_expired"] * 2


@pytest.mark.parametrize("sold", [True, False], ids=["sale", "hold"])
async def test_an_approval_at_the_very_expiry_is_charged_or_failed_and_never_both(
    payments: Harness, sandbox: SandboxGateway, sold: bool
) -> None:
    begin = a_charge if sold else an_authorization
    commands = [begin(payment_method="tok_requires_action") for _ in range(8)]
    await payments.receive(*commands)
    await run_rounds(payments, 2)
    pages = [row["page_url"] for one in commands for row in await rows_of(payments, "customer_actions", one.payment_id)]
    await payments.move_clock(LIFE)
    approvals = [asyncio.to_thread(sandbox.customer, page, "approve") for page in pages]
    await asyncio.gather(run_rounds(payments, 4), *approvals)
    await run_rounds(payments, 4)
    failed = {one.payment_id for one in await payments.published(PaymentFailed)}
    paid = {one.payment_id for one in await payments.published(PaymentConfirmed)}
    held = {one.payment_id for one in await payments.published(PaymentAuthorized)}
    assert failed | paid | held == {one.payment_id for one in commands}
    assert not failed & (paid | held)
    for one in commands:
        last = sandbox.effects(str(one.payment_id))[-1][0]
        assert last == ("void" if one.payment_id in failed else "capture" if sold else "authorize")


async def test_a_hold_that_its_customer_approved_is_captured_like_any_other(
    payments: Harness, sandbox: SandboxGateway
) -> None:
    command = an_authorization(payment_method="tok_requires_action")
    await payments.receive(command)
    await run_rounds(payments, 1)
    [asked] = await payments.published(PaymentActionRequired)
    sandbox.customer(await page_behind(payments, asked), "approve")
    await run_rounds(payments, 2)
    await payments.receive(a_success(command))
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "CAPTURING"
    assert [name for name, _ in sandbox.effects(str(command.payment_id))] == ["action", "authorize", "capture"]


async def test_what_the_customer_refuses_fails_with_that_reason(payments: Harness, sandbox: SandboxGateway) -> None:
    command = a_charge(payment_method="tok_requires_action")
    await payments.receive(command)
    await run_rounds(payments, 1)
    [asked] = await payments.published(PaymentActionRequired)
    sandbox.customer(await page_behind(payments, asked), "refuse")
    await run_rounds(payments, 2)
    [failed] = await payments.published(PaymentFailed)
    assert failed.reason == "authentication_failed"


@pytest.mark.parametrize("customer_present", [True, False])
async def test_the_gateways_books_say_who_began_a_charge(
    payments: Harness, sandbox: SandboxGateway, customer_present: bool
) -> None:
    command = a_charge(purpose=PaymentPurpose.SUBSCRIPTION, customer_present=customer_present)
    await payments.receive(command)
    await payments.run_effects()
    assert sandbox.transaction(str(command.payment_id))["merchant_initiated"] is not customer_present
    assert await status_of(payments, command.payment_id) == "CONFIRMED"


async def test_a_bill_that_fails_twice_is_paid_by_its_third_attempt(payments: Harness, sandbox: SandboxGateway) -> None:
    method = f"tok_fails_twice:{a_charge().payment_id}"
    attempts = [
        a_charge(
            purpose=PaymentPurpose.SUBSCRIPTION,
            payment_method=method,
            customer_present=False,
            idempotency_key=f"invoice:{method}:attempt:{number}",
        )
        for number in (1, 2, 3)
    ]
    for attempt in attempts:
        await payments.receive(attempt)
        await payments.run_effects()
    assert [one.reason for one in await payments.published(PaymentFailed)] == ["insufficient_funds"] * 2
    assert [one.payment_id for one in await payments.published(PaymentConfirmed)] == [attempts[2].payment_id]
