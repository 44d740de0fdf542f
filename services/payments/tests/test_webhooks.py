"""A webhook is a hint (GW-5): the state of a payment comes from the gateway's record."""

import asyncio
from collections.abc import AsyncIterator
from itertools import permutations

import httpx
import pytest

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.gateway import GatewayWebhookReceived
from caas_contracts.operations import AlertRaised
from caas_contracts.payments import AuthorizePayment, ChargebackReceived, PaymentVoided
from caas_payments.app import service_of
from caas_payments.domain.attempt import Operation, Step
from caas_payments.domain.gateway_result import GatewayResult
from caas_payments.domain.rules import Rules
from caas_payments.gateway import GatewayTask
from services.payments.tests.builders import a_success, an_authorization
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import journey_of, payment_of, rows_of, status_of
from services.payments.tests.web import serving
from services.payments.tests.webhook_builders import a_body, send, signed
from services.payments.tests.working import settle


@pytest.fixture
async def api(payments: Harness, gateway: InProcessGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(payments.runtime.settings.database_url, gateway) as client:
        yield client


def a_request(command: AuthorizePayment) -> GatewayTask:
    """A request that was on its way for so long that we gave it up."""
    return GatewayTask(
        payment_id=command.payment_id,
        number=1,
        step=Step.CALL,
        operation=Operation.AUTHORIZE,
        idempotency_key=f"{command.payment_id}:authorize:1",
        amount_minor=command.amount.amount_minor,
        currency=command.amount.currency,
        payment_method=command.payment_method,
    )


async def bridge(payments: Harness, api: httpx.AsyncClient, body: bytes, webhook_id: str = "msg_1") -> None:
    """Send a webhook and deliver what the bridge published."""
    before = len(await payments.published(GatewayWebhookReceived))
    assert (await send(api, body, signed(body, webhook_id=webhook_id))).status_code == 200
    published = await payments.published(GatewayWebhookReceived)
    await payments.receive(*published[before:])


async def test_a_webhook_is_a_hint_to_look_a_pending_payment_up(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    command = an_authorization(payment_method="tok_pending")
    await payments.receive(command)
    await payments.run_effects()
    # The webhook says authorized, the gateway's record does not yet: the record decides.
    await bridge(payments, api, a_body(str(command.payment_id)))
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "PENDING"
    gateway.decide_pending(str(command.payment_id), approved=True)
    await bridge(payments, api, a_body(str(command.payment_id)), "msg_2")
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "AUTHORIZED"
    await settle(payments)
    assert gateway.calls["authorize"] == 1


async def test_a_webhook_about_what_is_known_asks_nothing(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    await bridge(payments, api, a_body(str(command.payment_id)))
    await bridge(payments, api, a_body(str(new_id())), "msg_2")
    await bridge(payments, api, a_body("another merchant's"), "msg_3")
    await payments.run_effects()
    assert gateway.calls["look_up"] == 0


async def test_a_hold_that_turns_up_after_its_payment_ended_is_released(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    command = an_authorization()
    gateway.script("authorize", TIMEOUT, TIMEOUT, TIMEOUT, TIMEOUT)
    await payments.receive(command)
    await settle(payments)
    assert await status_of(payments, command.payment_id) == "ABANDONED"
    await gateway.authorize(a_request(command))
    await bridge(payments, api, a_body(str(command.payment_id)))
    await settle(payments)
    assert gateway.books[str(command.payment_id)].status.value == "voided"
    assert await status_of(payments, command.payment_id) == "ABANDONED"
    assert await payments.published(PaymentVoided) == []


async def test_a_chargeback_is_published_once(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_success(command))
    await payments.run_effects()
    body = a_body(
        str(command.payment_id),
        "chargeback.opened",
        transaction_id="txn_1",
        amount_minor=1999,
        currency="EUR",
        reason="fraud",
    )
    await bridge(payments, api, body)
    await bridge(payments, api, body, "msg_2")
    [received] = await payments.published(ChargebackReceived)
    assert (received.payment_id, received.disputed, received.reason) == (
        command.payment_id,
        command.amount,
        "fraud",
    )
    assert len(await rows_of(payments, "chargebacks", command.payment_id)) == 1
    assert await payments.published(AlertRaised) == []


async def test_a_webhook_without_our_reference_finds_its_payment_by_the_gateways_own_id(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_success(command))
    await payments.run_effects()
    held = gateway.books[str(command.payment_id)].id
    dispute = {"id": "cb_1", "amount_minor": 1999, "currency": "EUR", "reason": "fraud"}
    await bridge(payments, api, a_body("", "chargeback.opened", **dispute, transaction_id="another"), "msg_1")
    assert await payments.published(ChargebackReceived) == []
    await bridge(payments, api, a_body("", "chargeback.opened", **dispute, transaction_id=held), "msg_2")
    [received] = await payments.published(ChargebackReceived)
    assert received.payment_id == command.payment_id


async def a_captured_payment(payments: Harness) -> AuthorizePayment:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_success(command))
    await payments.run_effects()
    return command


async def test_webhooks_come_to_the_same_in_any_order(payments: Harness, api: httpx.AsyncClient) -> None:
    kinds = ("transaction.authorized", "transaction.captured", "chargeback.opened")
    ends = set()
    for number, order in enumerate(permutations(kinds)):
        command = await a_captured_payment(payments)
        dispute = {"id": f"cb_{number}", "amount_minor": 1999, "currency": "EUR"}
        for kind in order:
            body = a_body(str(command.payment_id), kind, **dispute, transaction_id=f"txn_{number}")
            await bridge(payments, api, body, f"msg_{number}_{kind}")
        await settle(payments)
        payment = await payment_of(payments, command.payment_id)
        chargebacks = await rows_of(payments, "chargebacks", command.payment_id)
        journey = await journey_of(payments, command.payment_id)
        ends.add((payment.status, payment.captured_minor, len(chargebacks), *journey))
    assert len(ends) == 1
    assert len(await payments.published(ChargebackReceived)) == 6


async def test_a_webhook_that_lies_about_a_capture_changes_nothing(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    # Nothing is under way: nobody asks, whatever the webhook says.
    await bridge(payments, api, a_body(str(command.payment_id), "transaction.captured", status="captured"))
    await payments.run_effects()
    assert await journey_of(payments, command.payment_id) == ["INITIATED>PROCESSING", "PROCESSING>AUTHORIZED"]
    # A capture is under way and has not reached the gateway, whose record says authorized.
    gateway.script("capture", TIMEOUT)
    await payments.receive(a_success(command))
    await payments.run_effects()
    await bridge(payments, api, a_body(str(command.payment_id), "transaction.captured", status="captured"), "msg_2")
    await payments.run_effects()
    payment = await payment_of(payments, command.payment_id)
    assert (payment.captured_minor, gateway.books[str(command.payment_id)].status.value) == (0, "authorized")
    assert len(await rows_of(payments, "captures", command.payment_id)) == 0


class SlowAnswers(InProcessGateway):
    """Holds the money, and answers when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.held, self.may_answer = asyncio.Event(), asyncio.Event()

    async def authorize(self, task: GatewayTask) -> GatewayResult:
        result = await super().authorize(task)
        self.held.set()
        await self.may_answer.wait()
        return result


async def test_a_webhook_may_come_before_the_answer_of_the_call_that_caused_it(payments: Harness) -> None:
    url, slow = payments.runtime.settings.database_url, SlowAnswers()
    command = an_authorization()
    async with Harness(service_of(Rules(jitter=0.0), slow), payments.owner_url) as replica, serving(url, slow) as api:
        await replica.receive(command)
        calling = asyncio.create_task(replica.run_effects())
        await slow.held.wait()
        await bridge(replica, api, a_body(str(command.payment_id)))
        await replica.run_effects()
        assert await status_of(replica, command.payment_id) == "AUTHORIZED"
        slow.may_answer.set()
        await calling
        assert await journey_of(replica, command.payment_id) == ["INITIATED>PROCESSING", "PROCESSING>AUTHORIZED"]
        assert slow.calls["authorize"] == 1
