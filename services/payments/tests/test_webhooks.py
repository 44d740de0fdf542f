"""The webhook bridge (GW-5): what is forged, stale, malformed or oversized is refused and changes nothing."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.gateway import GatewayWebhookReceived
from caas_contracts.operations import AlertRaised
from caas_contracts.payments import AuthorizePayment, ChargebackReceived, PaymentVoided
from caas_payments.domain.attempt import Operation, Step
from caas_payments.gateway import GatewayTask
from services.payments.tests.builders import a_success, an_authorization
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import rows_of, status_of
from services.payments.tests.web import PREVIOUS_SECRET, SECRET, serving
from services.payments.tests.working import settle

OTHER_SECRET = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXI="


@pytest.fixture
async def api(payments: Harness, gateway: InProcessGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(payments.runtime.settings.database_url, gateway) as client:
        yield client


def a_body(reference: str = "another-merchant", kind: str = "transaction.authorized", **data: Any) -> bytes:
    return json.dumps({"type": kind, "data": {"id": "txn_1", "reference": reference} | data}).encode()


def signed(
    body: bytes, *, secret: str = SECRET, webhook_id: str = "msg_1", at: datetime | None = None
) -> dict[str, str]:
    """The headers of a webhook; `at` is when it was signed, now unless said otherwise."""
    moment = at or datetime.now(UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, moment, body.decode("latin-1")),
        "content-type": "application/json",
    }


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


async def send(api: httpx.AsyncClient, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return await api.post("/webhooks/gateway", content=body, headers=headers)


async def test_a_webhook_is_stored_and_published_once(payments: Harness, api: httpx.AsyncClient) -> None:
    body = a_body()
    for secret in (SECRET, PREVIOUS_SECRET, SECRET):
        answer = await send(api, body, signed(body, secret=secret))
        assert answer.status_code == 200, answer.text
    [published] = await payments.published(GatewayWebhookReceived)
    assert (published.webhook_id, published.body) == ("msg_1", body.decode())
    async with payments.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM webhooks") == 1


def tampered(name: str, value: str | None) -> dict[str, str]:
    headers = signed(a_body())
    if value is None:
        headers.pop(name)
    else:
        headers[name] = value
    return headers


MINUTES = timedelta(minutes=1)


def untrusted() -> dict[str, tuple[bytes, dict[str, str]]]:
    """Webhooks that must not be accepted, by what is wrong with them; signed at the time of the call."""
    now = datetime.now(UTC)
    return {
        "another secret": (a_body(), signed(a_body(), secret=OTHER_SECRET)),
        "another body": (a_body("changed"), signed(a_body())),
        "another id": (a_body(), tampered("webhook-id", "msg_2")),
        "no id": (a_body(), tampered("webhook-id", None)),
        "no timestamp": (a_body(), tampered("webhook-timestamp", None)),
        "no signature": (a_body(), tampered("webhook-signature", None)),
        "empty signature": (a_body(), tampered("webhook-signature", "")),
        "signature without version": (a_body(), tampered("webhook-signature", "abc")),
        "signature that is not base64": (a_body(), tampered("webhook-signature", "v1,%%%")),
        "signature of another version": (a_body(), tampered("webhook-signature", "v2,YWJj")),
        "timestamp that is no number": (a_body(), tampered("webhook-timestamp", "yesterday")),
        "timestamp out of range": (a_body(), tampered("webhook-timestamp", "9" * 40)),
        "timestamp not a number": (a_body(), tampered("webhook-timestamp", "nan")),
        "six minutes old": (a_body(), signed(a_body(), at=now - 6 * MINUTES)),
        "six minutes ahead": (a_body(), signed(a_body(), at=now + 6 * MINUTES)),
        "not JSON": (b"{", signed(b"{")),
        "not UTF-8": (b"\xff", signed(b"\xff")),
        "not an object": (b"[]", signed(b"[]")),
        "no type": (b'{"data": {}}', signed(b'{"data": {}}')),
        "no data": (b'{"type": "x"}', signed(b'{"type": "x"}')),
        "data of another form": (b'{"type": "x", "data": 3}', signed(b'{"type": "x", "data": 3}')),
        "deeply nested": (b'{"data":' * 5000, signed(b'{"data":' * 5000)),
        "NUL in the reference": (a_body("a\x00b"), signed(a_body("a\x00b"))),
        "overlong id": (a_body(), signed(a_body(), webhook_id="m" * 300)),
    }


async def test_a_webhook_that_cannot_be_trusted_is_refused_and_changes_nothing(
    payments: Harness, api: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for name, (body, headers) in untrusted().items():
        with subtests.test(name):
            answer = await send(api, body, headers)
            assert answer.status_code == 400, answer.text
            assert answer.json()["code"] in ("webhook_refused", "invalid_request")
            assert answer.headers["content-type"] == "application/problem+json"
    assert await payments.published(GatewayWebhookReceived) == []
    async with payments.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM webhooks") == 0


async def test_an_oversized_webhook_is_refused(payments: Harness, api: httpx.AsyncClient) -> None:
    body = a_body(padding="x" * 65_536)
    assert (await send(api, body, signed(body))).status_code == 413
    assert await payments.published(GatewayWebhookReceived) == []


async def test_a_card_number_in_a_webhook_is_refused_without_an_echo(api: httpx.AsyncClient) -> None:
    body = a_body(note="4111 1111 1111 1111")
    answer = await send(api, body, signed(body))
    assert answer.status_code == 400
    assert "4111" not in answer.text


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
