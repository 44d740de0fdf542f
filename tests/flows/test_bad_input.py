"""Wrong input at every endpoint and on every topic: a clear answer or a parked message, and nothing else happens."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from caas_contracts.topics import (
    BILLING_EVENTS,
    ORDERS_COMMANDS,
    OTA_COMMANDS,
    OTA_EVENTS,
    PAYMENTS_COMMANDS,
    PAYMENTS_EVENTS,
)
from caas_local.demo.databases import PARKED
from caas_local.layout import SERVICES
from caas_local.tokens import fetch_token
from tests.flows.market import Market

ROLES = ["customer", "dealer", "operator", "partner"]
BODIES: list[Any] = [
    None,
    [],
    "text",
    {},
    {"vehicle_id": 7, "service_code": None},
    {"vehicle_id": "x" * 5000},
    {"amount_minor": -1, "reason": "no"},
    {"amount_minor": 10**30, "reason": "too much", "currency": "EUR"},
    {"amount": {"amount_minor": True, "currency": "eur"}, "reason": "x"},
    {"reason": "\u0000\ud83d\ude00", "payment_method": "4111 1111 1111 1111"},
]


@pytest.mark.parametrize("service", SERVICES)
async def test_no_endpoint_answers_wrong_input_with_an_error_of_ours(
    market: Market, client: httpx.AsyncClient, service: str
) -> None:
    base = market.platform.layout.url(service)
    token = await fetch_token(market.platform.layout, "C-hostile", ROLES)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "hostile", "Content-Type": "application/json"}
    paths = (await client.get(f"{base}/openapi.json")).json()["paths"]
    answers = []
    for path, methods in paths.items():
        for method in set(methods) & {"get", "post", "put", "delete", "patch"}:
            for value in ("does-not-exist", str(uuid4()), "%00", "9" * 400):
                url = base + _filled(path, value)
                for body in BODIES if method != "get" else [None]:
                    answer = await client.request(method.upper(), url, content=json.dumps(body), headers=headers)
                    answers.append((method, path, body, answer.status_code, answer.text[:200]))
    assert len(answers) > 20
    # 503 is what readiness and a refused look-up may say; every other 5xx is a defect.
    assert [answer for answer in answers if answer[3] >= 500] == []
    assert not [answer for answer in answers if "4111" in answer[4]]  # GW-6: never echoed


@pytest.mark.parametrize("service", SERVICES)
async def test_every_endpoint_wants_a_token_but_health_the_signed_webhooks_and_customers_links(
    market: Market, client: httpx.AsyncClient, service: str
) -> None:
    base = market.platform.layout.url(service)
    paths = (await client.get(f"{base}/openapi.json")).json()["paths"]
    open_paths = {"/health/live", "/health/ready", "/metrics", "/webhooks/gateway", "/webhooks/{partner}"}
    open_paths.add("/payment-actions/{secret}")  # PAY-9: the secret is the proof.
    for path, methods in paths.items():
        for method in methods:
            answer = await client.request(method.upper(), base + _filled(path, str(uuid4())), json={})
            assert path in open_paths or answer.status_code == 401, (method, path, answer.status_code)


async def test_oversized_and_malformed_bodies_are_refused(market: Market, client: httpx.AsyncClient) -> None:
    url = f"{market.platform.layout.url('orders')}/purchases"
    token = await fetch_token(market.platform.layout, "C-hostile", ["customer"])
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": "big"}
    too_large = await client.post(url, content=b"{" + b" " * 70_000 + b"}", headers=headers)
    assert (too_large.status_code, too_large.json()["code"]) == (413, "payload_too_large")
    not_json = await client.post(url, content=b"{nope", headers=headers)
    assert (not_json.status_code, not_json.headers["content-type"]) == (400, "application/problem+json")


TOPICS_WITH_READERS = [
    (PAYMENTS_COMMANDS, ["payments"]),
    (PAYMENTS_EVENTS, ["orders", "billing", "reconciliation"]),
    (ORDERS_COMMANDS, ["orders"]),
    (OTA_COMMANDS, ["ota"]),
    (OTA_EVENTS, ["orders", "payments"]),
    (BILLING_EVENTS, ["orders", "reconciliation"]),
]


def bad_records() -> list[tuple[bytes, list[tuple[str, bytes]]]]:
    """Bodies and headers that no producer of ours sends."""

    def headers(kind: str) -> list[tuple[str, bytes]]:
        return [("ce_id", uuid4().hex.encode()), ("ce_source", b"hostile"), ("ce_type", kind.encode())]

    known = "caas.payments.PaymentCaptured.v1"
    return [
        (b"no headers at all", []),
        (b"{}", [("ce_id", b"\xff\xfe"), ("ce_source", b"x"), ("ce_type", b"y")]),
        (b"not json", headers(known)),
        (json.dumps({"payment_id": 7}).encode(), headers(known)),
        (b"\x00" * 1000, headers("caas.orders.PlacePurchase.v1")),
        (b"[]", [*headers("caas.ota.ActivateService.v1"), ("ce_sequence", b"minus one")]),
    ]


@pytest.mark.parametrize(("topic", "readers"), TOPICS_WITH_READERS, ids=lambda value: getattr(value, "name", ""))
async def test_bad_records_are_parked_with_their_reason_and_delay_nothing(
    market: Market, topic: Any, readers: list[str]
) -> None:
    before = {reader: await market.databases.number(reader, PARKED) for reader in readers}
    producer = AIOKafkaProducer(bootstrap_servers=market.platform.bootstrap_servers)
    await producer.start()
    try:
        for value, headers in bad_records():
            await producer.send_and_wait(topic.name, value, key=b"hostile", headers=headers)
    finally:
        await producer.stop()
    ((purchase_id, sale),) = (await market.sell("approved")).items()
    assert await market.outcomes([purchase_id]) == [sale.scenario.ends]
    for reader in readers:
        await _parked(market, reader, before[reader] + len(bad_records()))
        reasons = await market.databases.rows(
            reader, "SELECT DISTINCT reason, detail <> '' AS said FROM chassis.parked"
        )
        assert all(row["reason"] in ("invalid", "refused") and row["said"] for row in reasons)


async def _parked(market: Market, reader: str, number: int) -> None:
    async with asyncio.timeout(120):
        while True:
            if await market.databases.number(reader, PARKED) == number:
                return
            await asyncio.sleep(0.1)


def _filled(path: str, value: str) -> str:
    filled = path
    while "{" in filled:
        start, end = filled.index("{"), filled.index("}")
        filled = filled[:start] + value + filled[end + 1 :]
    return filled
