"""The webhook bridge (GW-5): genuine webhooks are stored and published once, all others change nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from asyncpg import Record

from caas_chassis.testing.harness import Harness
from caas_contracts.gateway import GatewayWebhookReceived
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.web import PREVIOUS_SECRET, SECRET, serving
from services.payments.tests.webhook_builders import a_body, counted, send, signed

OTHER_SECRET = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXI="
MINUTES = timedelta(minutes=1)
LIMIT_BYTES = 65_536


@pytest.fixture
async def api(payments: Harness, gateway: InProcessGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(payments.runtime.settings.database_url, gateway) as client:
        yield client


async def stored(payments: Harness) -> list[Record]:
    async with payments.transaction() as tx:
        return await tx.fetch("SELECT *, xmin::text AS transaction FROM webhooks ORDER BY id")


async def nothing_changed(payments: Harness) -> bool:
    return not await stored(payments) and not await payments.published(GatewayWebhookReceived)


async def test_a_repeated_webhook_is_answered_alike_and_changes_nothing(
    payments: Harness, api: httpx.AsyncClient
) -> None:
    body = a_body()
    answers = [await send(api, body, signed(body, at=datetime.now(UTC) - age * MINUTES)) for age in (3, 0, 4)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, '{"received":true}')}
    [published] = await payments.published(GatewayWebhookReceived)
    assert (published.webhook_id, published.body) == ("msg_1", body.decode())
    assert len(await stored(payments)) == 1


async def test_fifty_deliveries_of_one_webhook_at_the_same_instant_are_one(
    payments: Harness, api: httpx.AsyncClient
) -> None:
    before = counted("repeated")
    body = a_body()
    answers = await asyncio.gather(*[send(api, body, signed(body)) for _ in range(50)])
    assert [answer.status_code for answer in answers] == [200] * 50
    assert (len(await stored(payments)), len(await payments.published(GatewayWebhookReceived))) == (1, 1)
    assert counted("repeated") - before == 49


async def test_webhooks_that_arrive_together_are_committed_together(payments: Harness, api: httpx.AsyncClient) -> None:
    bodies = [a_body(id=f"txn_{number}") for number in range(60)]
    answers = await asyncio.gather(
        *[send(api, body, signed(body, webhook_id=f"msg_{number}")) for number, body in enumerate(bodies)]
    )
    assert [answer.status_code for answer in answers] == [200] * 60
    rows = await stored(payments)
    assert (len(rows), len(await payments.published(GatewayWebhookReceived))) == (60, 60)
    assert len({row["transaction"] for row in rows}) < 20


async def test_an_event_of_three_days_ago_that_is_delivered_now_is_accepted(
    payments: Harness, api: httpx.AsyncClient
) -> None:
    body = json.dumps({**json.loads(a_body()), "timestamp": "2026-11-19T08:00:00Z"}).encode()
    assert (await send(api, body, signed(body))).status_code == 200
    assert len(await stored(payments)) == 1


ODD_BODIES = {
    "spaces, escapes and letters of all kinds": '{ "type" : "x.y",\r\n\t"data":{"note":"\\u00e9 é 🚗 \\/"} }\n',
    "a key twice": '{"type":"a","type":"x.y","data":{},"data":{"id":"txn_2","id":"txn_1"}}',
    "a huge number": '{"type":"x.y","data":{"amount":1e999,"count":' + "9" * 4000 + "}}",
    "fields that we do not know": '{"type":"x.y","data":{"new":[{"a":null}]},"livemode":false}',
}


async def test_the_stored_and_the_published_text_are_the_signed_bytes(
    payments: Harness, api: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for number, (name, text) in enumerate(ODD_BODIES.items()):
        with subtests.test(name):
            body = text.encode()
            answer = await send(api, body, signed(body, webhook_id=f"msg_{number}"))
            assert answer.status_code == 200, answer.text
            [row] = [row for row in await stored(payments) if row["id"] == f"msg_{number}"]
            assert row["body"].encode() == body
            assert (await payments.published(GatewayWebhookReceived))[-1].body.encode() == body


async def test_the_type_of_the_content_does_not_matter(payments: Harness, api: httpx.AsyncClient) -> None:
    for number, kind in enumerate(("text/plain", "application/x-www-form-urlencoded", "")):
        body = a_body()
        headers = signed(body, webhook_id=f"msg_{number}") | {"content-type": kind}
        assert (await send(api, body, headers)).status_code == 200
    assert len(await stored(payments)) == 3


async def test_both_secrets_are_accepted_during_a_rotation_and_the_old_one_not_afterwards(
    payments: Harness, gateway: InProcessGateway
) -> None:
    url, body = payments.runtime.settings.database_url, a_body()
    async with serving(url, gateway) as during:
        for number, secret in enumerate((SECRET, PREVIOUS_SECRET)):
            headers = signed(body, secret=secret, webhook_id=f"msg_{number}")
            assert (await send(during, body, headers)).status_code == 200
        both = signed(body, secret=OTHER_SECRET, webhook_id="msg_2")
        both["webhook-signature"] += f" {signed(body, webhook_id='msg_2')['webhook-signature']}"
        assert (await send(during, body, both)).status_code == 200
    async with serving(url, gateway, previous_secret="") as afterwards:
        late = signed(body, secret=PREVIOUS_SECRET, webhook_id="msg_3")
        assert (await send(afterwards, body, late)).status_code == 400
    assert [row["id"] for row in await stored(payments)] == ["msg_0", "msg_1", "msg_2"]


def tampered(name: str, value: str | None) -> dict[str, str]:
    headers = signed(a_body())
    if value is None:
        headers.pop(name)
    else:
        headers[name] = value
    return headers


def untrusted() -> dict[str, tuple[str, bytes, dict[str, str]]]:
    """How it is counted, body and headers, by what is wrong; signed at the time of the call."""
    now = datetime.now(UTC)
    return {
        "another secret": ("forged", a_body(), signed(a_body(), secret=OTHER_SECRET)),
        "another body": ("forged", a_body("changed"), signed(a_body())),
        "another id under an old signature": ("forged", a_body(), tampered("webhook-id", "msg_2")),
        "another timestamp": ("forged", a_body(), tampered("webhook-timestamp", str(int(now.timestamp()) - 60))),
        "no id": ("malformed", a_body(), tampered("webhook-id", None)),
        "no timestamp": ("malformed", a_body(), tampered("webhook-timestamp", None)),
        "no signature": ("malformed", a_body(), tampered("webhook-signature", None)),
        "empty signature": ("malformed", a_body(), tampered("webhook-signature", "")),
        "signature without version": ("forged", a_body(), tampered("webhook-signature", "abc")),
        "signature that is not base64": ("forged", a_body(), tampered("webhook-signature", "v1,%%%")),
        "signature of another version": ("forged", a_body(), tampered("webhook-signature", "v2,YWJj")),
        "timestamp that is no number": ("forged", a_body(), tampered("webhook-timestamp", "yesterday")),
        "timestamp out of range": ("forged", a_body(), tampered("webhook-timestamp", "9" * 40)),
        "timestamp not a number": ("forged", a_body(), tampered("webhook-timestamp", "nan")),
        "six minutes old": ("stale", a_body(), signed(a_body(), at=now - 6 * MINUTES)),
        "three days old": ("stale", a_body(), signed(a_body(), at=now - timedelta(days=3))),
        "six minutes ahead": ("stale", a_body(), signed(a_body(), at=now + 6 * MINUTES)),
        "not JSON": ("malformed", b"{", signed(b"{")),
        "nothing": ("malformed", b"", signed(b"")),
        "not UTF-8": ("forged", b"\xff", signed(b"\xff")),
        "not an object": ("malformed", b"[]", signed(b"[]")),
        "no type": ("malformed", b'{"data": {}}', signed(b'{"data": {}}')),
        "no data": ("malformed", b'{"type": "x"}', signed(b'{"type": "x"}')),
        "data of another form": ("malformed", b'{"type": "x", "data": 3}', signed(b'{"type": "x", "data": 3}')),
        "deeply nested": ("malformed", b'{"data":' * 5000, signed(b'{"data":' * 5000)),
        "deeply nested on the side": ("malformed", nested(), signed(nested())),
        "NUL as a byte": ("malformed", a_body() + b"\x00", signed(a_body() + b"\x00")),
        "NUL in the reference": ("malformed", a_body("a\x00b"), signed(a_body("a\x00b"))),
        "half a character": ("malformed", lone_surrogate(), signed(lone_surrogate())),
        "overlong id": ("malformed", a_body(), signed(a_body(), webhook_id="m" * 300)),
        "overlong reference": ("malformed", a_body("r" * 300), signed(a_body("r" * 300))),
    }


def nested() -> bytes:
    return b'{"type": "x", "data": {"id": "1"}, "more": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"


def lone_surrogate() -> bytes:
    return b'{"type": "x", "data": {"reference": "\\ud800"}}'


async def test_a_webhook_that_cannot_be_trusted_is_counted_refused_and_changes_nothing(
    payments: Harness, api: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for name, (outcome, body, headers) in untrusted().items():
        with subtests.test(name):
            before = counted(outcome)
            answer = await send(api, body, headers)
            assert (answer.status_code, answer.json()["code"]) == (400, "webhook_refused"), answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert counted(outcome) == before + 1
            for given in (*headers.values(), "another-merchant", "txn_1"):
                assert len(given) < 4 or given == "application/json" or given not in answer.text
    assert await nothing_changed(payments)


async def test_without_a_secret_every_webhook_is_refused(payments: Harness, gateway: InProcessGateway) -> None:
    body = a_body()
    empty = signed(body, secret="whsec_AA==")
    async with serving(payments.runtime.settings.database_url, gateway, secret="", previous_secret="") as api:
        assert (await send(api, body, empty)).status_code == 400
        assert (await send(api, body, signed(body))).status_code == 400
    assert await nothing_changed(payments)


async def test_an_oversized_webhook_is_refused_without_being_read(payments: Harness, api: httpx.AsyncClient) -> None:
    before, sent = counted("too_large"), 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 8192
            yield b" " * 8192

    chunked = await api.post("/webhooks/gateway", content=endless(), headers=signed(a_body()))
    assert chunked.status_code == 413
    assert sent <= LIMIT_BYTES + 2 * 8192
    announced = signed(a_body()) | {"content-length": str(LIMIT_BYTES + 1)}
    sent = 0
    assert (await api.post("/webhooks/gateway", content=endless(), headers=announced)).status_code == 413
    assert sent <= 8192
    assert chunked.headers["connection"] == "close"
    assert counted("too_large") - before == 2
    assert await nothing_changed(payments)


async def test_the_largest_webhook_that_is_allowed_is_accepted(payments: Harness, api: httpx.AsyncClient) -> None:
    body = a_body(padding="x" * (LIMIT_BYTES - len(a_body(padding=""))))
    assert len(body) == LIMIT_BYTES
    assert (await send(api, body, signed(body))).status_code == 200
    assert (await stored(payments))[0]["body"].encode() == body


async def test_a_card_number_in_a_webhook_is_refused_without_an_echo(payments: Harness, api: httpx.AsyncClient) -> None:
    before = counted("card_number")
    for note in ("4111 1111 1111 1111", "\\u0034111111111111111"):
        body = a_body(note="?").replace(b"?", note.encode())
        answer = await send(api, body, signed(body))
        assert answer.status_code == 400
        assert "111" not in answer.text
    assert counted("card_number") - before == 2
    assert await nothing_changed(payments)


async def test_a_webhook_is_not_answered_well_while_the_database_is_away(gateway: InProcessGateway) -> None:
    before = counted("unavailable")
    async with serving("postgresql://nobody@127.0.0.1:9/nowhere", gateway) as api:
        body = a_body()
        answer = await send(api, body, signed(body))
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "not_committed", "1")
    assert counted("unavailable") == before + 1


async def test_the_bridge_is_in_the_openapi_document(api: httpx.AsyncClient) -> None:
    operation = (await api.get("/openapi.json")).json()["paths"]["/webhooks/gateway"]["post"]
    assert {parameter["name"] for parameter in operation["parameters"]} == {
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }
    assert {"200", "400", "413", "503"} <= operation["responses"].keys()
