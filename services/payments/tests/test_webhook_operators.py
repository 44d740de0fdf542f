"""Operators list, inspect and re-process received webhooks (GW-5)."""

from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import httpx
import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.gateway import GatewayWebhookReceived
from caas_contracts.payments import AuthorizePayment, ChargebackReceived
from services.payments.tests.builders import a_success, an_authorization
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.reading import rows_of, status_of
from services.payments.tests.web import a_token, serving
from services.payments.tests.webhook_builders import a_body, send, signed

OPERATOR = a_token("ops-1", "operator")


@pytest.fixture
async def api(payments: Harness, gateway: InProcessGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(payments.runtime.settings.database_url, gateway) as client:
        yield client


async def accept(api: httpx.AsyncClient, webhook_id: str, body: bytes) -> None:
    assert (await send(api, body, signed(body, webhook_id=webhook_id))).status_code == 200


async def listed(api: httpx.AsyncClient, **filters: str | int) -> list[str]:
    answer = await api.get("/webhooks", params=filters, headers=OPERATOR)
    assert answer.status_code == 200, answer.text
    return [webhook["id"] for webhook in answer.json()["webhooks"]]


async def test_webhooks_are_listed_from_the_newest_by_page_and_by_filter(
    payments: Harness, api: httpx.AsyncClient
) -> None:
    for number in range(5):
        await accept(api, f"msg_{number}", a_body(f"ref-{number % 2}", f"kind.{number % 2}", id=f"txn_{number}"))
    assert await listed(api) == ["msg_4", "msg_3", "msg_2", "msg_1", "msg_0"]
    assert await listed(api, transaction_id="txn_3") == ["msg_3"]
    assert await listed(api, event_type="kind.1", limit=1) == ["msg_3"]
    assert await listed(api, reference="ref-0") == ["msg_4", "msg_2", "msg_0"]
    assert await listed(api, reference="nobody's") == []
    since = (await api.get("/webhooks/msg_3", headers=OPERATOR)).json()["received_at"]
    assert await listed(api, since=since) == ["msg_4", "msg_3"]
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/webhooks", params=params, headers=OPERATOR)).json()
        seen += [webhook["id"] for webhook in page["webhooks"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["msg_4", "msg_3", "msg_2", "msg_1", "msg_0"]


async def a_pending_payment(payments: Harness) -> AuthorizePayment:
    command = an_authorization(payment_method="tok_pending")
    await payments.receive(command)
    await payments.run_effects()
    return command


async def deliver(payments: Harness) -> None:
    """Have payments follow the only webhook that it published, in the story that began with it."""
    [message] = await payments.published(GatewayWebhookReceived)
    async with payments.runtime.reading() as tx:
        story = await tx.fetchval("SELECT correlation_id::text FROM webhooks")
    sent = payments.record(message)
    headers = [(name, str(story).encode() if name == "ce_correlationid" else value) for name, value in sent.headers]
    await payments.receive_records(replace(sent, headers=headers))


async def test_a_webhook_shows_where_it_stands_and_what_it_caused(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    command = await a_pending_payment(payments)
    gateway.decide_pending(str(command.payment_id), approved=True)
    body = a_body(str(command.payment_id))
    await accept(api, "msg_1", body)
    before = (await api.get("/webhooks/msg_1", headers=OPERATOR)).json()
    assert (before["body"], before["headers"]["webhook-id"]) == (body.decode(), "msg_1")
    assert (before["publication"]["sequence"], before["publication"]["sent"]) == (1, False)
    assert (before["payment"]["status"], before["caused"]["audit"]) == ("PENDING", [])
    assert not before["publication"]["handled"]
    await deliver(payments)
    asked = (await api.get("/webhooks/msg_1", headers=OPERATOR)).json()
    assert (asked["publication"]["handled"], asked["caused"]["look_ups_waiting"]) == (True, 1)
    await payments.run_effects()
    after = (await api.get("/webhooks/msg_1", headers=OPERATOR)).json()
    assert after["payment"]["status"] == "AUTHORIZED"
    assert [entry["target"] for entry in after["caused"]["audit"]] == ["AUTHORIZED"]
    assert after["caused"]["published"] == ["caas.payments.PaymentAuthorized.v1"]


async def reprocess(api: httpx.AsyncClient, webhook_id: str, key: str | None = "key-1") -> httpx.Response:
    headers = OPERATOR | ({"Idempotency-Key": key} if key else {})
    return await api.post(f"/webhooks/{webhook_id}/reprocess", json={"reason": "support_case"}, headers=headers)


async def test_an_operator_has_a_webhook_followed_again_once_per_key_and_it_is_written_down(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    command = await a_pending_payment(payments)
    await accept(api, "msg_1", a_body(str(command.payment_id)))
    gateway.decide_pending(str(command.payment_id), approved=True)
    assert (await reprocess(api, "msg_1", key=None)).status_code == 400
    first, again = await reprocess(api, "msg_1"), await reprocess(api, "msg_1")
    assert (first.status_code, first.json()) == (202, again.json())
    assert first.json()["asks_the_gateway"]
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "AUTHORIZED"
    shown = (await api.get("/webhooks/msg_1", headers=OPERATOR)).json()
    [written] = shown["reprocessings"]
    assert (written["requested_by"], written["reason"]) == ("operator:ops-1", "support_case")
    assert [(entry["target"], entry["actor"]) for entry in shown["caused"]["audit"]] == [
        ("AUTHORIZED", "operator:ops-1")
    ]
    # Others who subscribed to the topic do not see it a second time.
    assert len(await payments.published(GatewayWebhookReceived)) == 1
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        async with payments.transaction() as tx:
            await tx.execute("UPDATE webhook_reprocessings SET requested_by = 'somebody else'")


async def test_a_chargeback_that_is_followed_again_is_recorded_once(payments: Harness, api: httpx.AsyncClient) -> None:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_success(command))
    await payments.run_effects()
    dispute = {"amount_minor": 1999, "currency": "EUR", "transaction_id": "txn_1"}
    await accept(api, "msg_1", a_body(str(command.payment_id), "chargeback.opened", id="cb_1", **dispute))
    for key in ("key-1", "key-2"):
        assert (await reprocess(api, "msg_1", key)).status_code == 202
    await payments.receive(*await payments.published(GatewayWebhookReceived))
    assert len(await payments.published(ChargebackReceived)) == 1
    assert len(await rows_of(payments, "chargebacks", command.payment_id)) == 1


async def test_a_webhook_that_is_not_there_is_not_found(api: httpx.AsyncClient) -> None:
    assert (await api.get("/webhooks/msg_9", headers=OPERATOR)).json()["code"] == "webhook_not_found"
    assert (await reprocess(api, "msg_9")).json()["code"] == "webhook_not_found"


async def test_a_webhook_id_with_a_slash_can_be_asked_for(api: httpx.AsyncClient) -> None:
    await accept(api, "msg/1+2=3", a_body())
    answer = await api.get("/webhooks/msg%2F1%2B2%3D3", headers=OPERATOR)
    assert (answer.status_code, answer.json()["id"]) == (200, "msg/1+2=3")
    assert (await reprocess(api, "msg%2F1%2B2%3D3")).status_code == 202


async def test_only_operators_see_webhooks(api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for method, path in (("GET", "/webhooks"), ("GET", "/webhooks/msg_1"), ("POST", "/webhooks/msg_1/reprocess")):
        with subtests.test(path):
            assert (await api.request(method, path, json={"reason": "x"})).status_code == 401
            customer = a_token("customer-1", "customer")
            assert (await api.request(method, path, json={"reason": "x"}, headers=customer)).status_code == 403
    assert (await api.get("/webhooks", params={"since": "yesterday"}, headers=OPERATOR)).status_code == 400
    assert (await api.get("/webhooks", params={"limit": 0}, headers=OPERATOR)).status_code == 400
