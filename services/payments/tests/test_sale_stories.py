"""Sales as a law: whatever comes in whatever order, the money is taken once, or taken and given back, and told."""

import json
from dataclasses import replace
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caas_chassis.testing.harness import Harness
from caas_contracts import Message
from caas_contracts.gateway import GatewayWebhookReceived
from caas_contracts.payments import (
    ChargePayment,
    OrphanSaleFound,
    PaymentAuthorized,
    PaymentConfirmed,
    PaymentFailed,
    PaymentRefunded,
)
from caas_contracts.purchase_life import ChargePlannedService
from caas_payments.domain.gateway_result import GatewayResult, NotFound, TransactionStatus, Unavailable
from caas_payments.domain.standing import Standing, standing_of
from caas_payments.domain.status import NEVER_HELD, TRANSITIONS, PaymentStatus
from caas_payments.store.audit import verify_audit_log
from services.payments.tests.builders import NOW, a_charge, a_refund, a_settlement
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import journey_of, payment_of
from services.payments.tests.working import run_rounds, settle

FAULTS: dict[str, tuple[GatewayResult, bool]] = {
    "timeout before": (TIMEOUT, False),
    "timeout after": (TIMEOUT, True),
    "nothing sent": (Unavailable("ConnectError"), False),
}
STEPS = [
    "work", "work", "work", "wait", "wait", "decide", "settlement", "refund", "webhook", "webhook",
    "look-up fails", "look-up misses", "look-up misses", "look-up misses",
    *(f"{operation} {fault}" for operation in ("sale", "sale", "refund") for fault in FAULTS),
]  # fmt: skip
TOKENS = ("tok_approved", "tok_approved", "tok_pending", "tok_declined")


def a_webhook(command: ChargePayment | ChargePlannedService) -> GatewayWebhookReceived:
    return GatewayWebhookReceived(
        webhook_id=f"msg_{command.payment_id.hex}",
        event_type="transaction.captured",
        transaction_id="txn_1",
        reference=str(command.payment_id),
        body=json.dumps({"type": "transaction.captured", "data": {}}),
        received_at=NOW,
    )


async def tell(payments: Harness, gateway: InProcessGateway, command: ChargePayment, step: str) -> None:
    messages: dict[str, Message] = {
        "settlement": a_settlement(command),
        "refund": a_refund(command, 700),
        "webhook": a_webhook(command),
    }
    reference = str(command.payment_id)
    operation, _, fault = step.partition(" ")
    if step in messages:
        await payments.receive(messages[step])
    elif step == "work":
        await payments.run_effects()
    elif step == "wait":
        await run_rounds(payments, 2)
    elif step == "decide":
        booked = gateway.books.get(reference)
        if booked and booked.status is TransactionStatus.PENDING:
            gateway.decide_pending(reference, approved=True)
    elif operation == "look-up":
        gateway.script("look_up", TIMEOUT if fault == "fails" else NotFound())
    else:
        result, booked_all_the_same = FAULTS[fault]
        gateway.script(operation, result, booked=booked_all_the_same)


async def finish(payments: Harness, gateway: InProcessGateway, command: ChargePayment) -> None:
    """The partner decides and its webhook comes at last; everything that was begun ends."""
    await run_rounds(payments, 10)
    await tell(payments, gateway, command, "decide")
    await settle(payments)
    gateway.forget_script()
    await payments.receive(a_webhook(command))
    await settle(payments)


async def assert_well_ended(payments: Harness, gateway: InProcessGateway, command: ChargePayment) -> None:
    payment = await payment_of(payments, command.payment_id)
    booked = gateway.books.get(str(command.payment_id))
    assert payment.attempt is None
    assert payment.captured_minor == (booked.captured_minor if booked else 0), "our books differ from theirs"
    assert payment.refunded_minor == (booked.refunded_minor if booked else 0)
    confirmed = [one for one in await payments.published(PaymentConfirmed) if one.payment_id == payment.id]
    orphans = [one for one in await payments.published(OrphanSaleFound) if one.payment_id == payment.id]
    if payment.status in NEVER_HELD:
        assert not confirmed
        assert payment.captured_minor == payment.refunded_minor, "money of a payment that ended stayed with us"
        assert standing_of(payment) in (Standing.NOT_CHARGED, Standing.GIVEN_BACK)
    assert len(confirmed) + len(orphans) == (1 if payment.captured_minor else 0)
    assert [one for one in await payments.published(PaymentAuthorized) if one.payment_id == payment.id] == []
    back = [one for one in await payments.published(PaymentRefunded) if one.payment_id == payment.id]
    assert sum(one.refunded.amount_minor for one in back) == payment.refunded_minor
    assert len([one for one in await payments.published(PaymentFailed) if one.payment_id == payment.id]) <= 1
    journey = [step.split(">") for step in await journey_of(payments, payment.id) if ">" in step]
    assert all(after in TRANSITIONS[PaymentStatus(before)] for before, after in journey)
    assert all(first[1] == second[0] for first, second in pairwise(journey))


@settings(max_examples=40, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(STEPS), min_size=4, max_size=14), token=st.sampled_from(TOKENS))
async def test_no_story_takes_the_money_twice_or_keeps_what_nobody_bought(
    payments: Harness, gateway: InProcessGateway, steps: list[str], token: str
) -> None:
    gateway.forget_script()
    command = a_charge(payment_method=token)
    for step in steps[:2]:
        if " " in step and "look-up" not in step:
            await tell(payments, gateway, command, step)
    await payments.receive(command)
    for step in steps:
        await tell(payments, gateway, command, step)
    await finish(payments, gateway, command)
    await assert_well_ended(payments, gateway, command)
    async with payments.transaction() as tx:
        assert (await verify_audit_log(tx)).broken == []


async def test_standing_is_what_is_known(payments: Harness, gateway: InProcessGateway) -> None:
    command = a_charge()
    await payments.receive(command)
    assert standing_of(await payment_of(payments, command.payment_id)) is Standing.BEING_CONFIRMED
    await settle(payments)
    paid = await payment_of(payments, command.payment_id)
    assert standing_of(paid) is Standing.PAID
    assert standing_of(replace(paid, refunded_minor=1998)) is Standing.PAID
    assert standing_of(replace(paid, refunded_minor=1000, charged_back_minor=999)) is Standing.GIVEN_BACK
    assert standing_of(replace(paid, captured_minor=0, status=PaymentStatus.SETTLEMENT_FAILED)) is Standing.NOT_CHARGED
    assert standing_of(replace(paid, captured_minor=0, status=PaymentStatus.VOIDED)) is Standing.NOT_CHARGED
    assert standing_of(replace(paid, captured_minor=0, status=PaymentStatus.AUTHORIZED)) is Standing.HELD
