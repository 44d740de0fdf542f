"""What suppliers tell by webhook: signed or refused, applied once, in any order, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import uvicorn
from pydantic import SecretStr
from standardwebhooks import Webhook

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_chassis.web import create_app
from caas_contracts.envelope import rfc3339
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.vehicle_orders import VehicleBuilt, VehicleDelivered, VehicleReady
from caas_orders.app import build, orders_service
from caas_orders.domain.order_status import VehicleOrderStatus
from caas_orders.domain.vehicle_order import VehicleOrder
from caas_orders.gateway.connecting import connect, webhooks
from caas_orders.http.following import partner_webhooks_router
from caas_orders.settings import OrdersSettings
from services.orders.tests.builders import PlayedMailer, PlayedMaintenance
from services.orders.tests.order_builders import (
    POLICY,
    VIN,
    charge_of,
    confirmed,
    order_of,
    paying,
    ready,
    reserved,
)
from services.orders.tests.partners import partner, unused_port

SECRET = "whsec_c3VwcGxpZXItd2ViaG9vay1zZWNyZXQtMzItYnl0ZXM="
OLD_SECRET = "whsec_b2xkLXN1cHBsaWVyLXNlY3JldC1vZi0zMi1ieXRlcyE="
KEY = "supplier-key"
DEADLINE_S = 20.0


def settings(**urls: str) -> OrdersSettings:
    secret = SecretStr(SECRET)
    return OrdersSettings(
        database_url="postgresql://unused",
        vss_url="http://unused",
        vss_api_key=SecretStr(""),
        factory_api_key=SecretStr(KEY),
        factory_webhook_secret=secret,
        factory_webhook_previous_secret=SecretStr(OLD_SECRET),
        registration_webhook_secret=secret,
        transport_webhook_secret=secret,
        factory_url=urls.get("factory", ""),
        registration_url=urls.get("factory", ""),
        transport_url=urls.get("factory", ""),
    )


@asynccontextmanager
async def answering(harness: Harness, port: int) -> AsyncIterator[httpx.AsyncClient]:
    """Orders on a real port, with nothing but its HTTP side running."""
    app = create_app(harness.runtime, [partner_webhooks_router(harness.runtime, webhooks(settings()), POLICY)])
    server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_level="warning"))
    serving = asyncio.create_task(server.serve())
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S) as client:
            async with asyncio.timeout(DEADLINE_S):
                while not server.started:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            yield client
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def caller(harness: Harness) -> AsyncIterator[httpx.AsyncClient]:
    async with answering(harness, unused_port()) as client:
        yield client


def told(kind: str, order: VehicleOrder, status: str, **facts: Any) -> bytes:
    """The body of a supplier's webhook about an order of ours."""
    return told_of(str(order.order_id), kind, status, **facts)


def told_of(reference: str, kind: str, status: str, **facts: Any) -> bytes:
    data = {"id": "fac_1", "reference": reference, "status": status, "changed_at": rfc3339(datetime.now(UTC)), **facts}
    return json.dumps({"type": kind, "timestamp": rfc3339(datetime.now(UTC)), "data": data}).encode()


def signed(body: bytes, webhook_id: str = "", secret: str = SECRET, age: timedelta = timedelta(0)) -> dict[str, str]:
    webhook_id, at = webhook_id or f"msg_{new_id().hex}", datetime.now(UTC) - age
    signature = Webhook(secret).sign(webhook_id, at, body.decode())
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
        "content-type": "application/json",
    }


async def send(caller: httpx.AsyncClient, partner: str, body: bytes, **how: Any) -> httpx.Response:
    return await caller.post(f"/webhooks/{partner}", content=body, headers=signed(body, **how))


async def count(harness: Harness) -> int:
    async with harness.transaction() as tx:
        stored = await tx.fetchval("SELECT count(*) FROM partner_webhooks")
    assert isinstance(stored, int)
    return stored


async def test_a_signed_event_moves_the_order_and_is_kept(harness: Harness, caller: httpx.AsyncClient) -> None:
    order = await reserved(harness)
    answer = await send(caller, "factory", told("order.built", order, "built", vin=VIN), webhook_id="msg_1")
    assert (answer.status_code, answer.json()) == (200, {"received": "msg_1"})
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.BUILT
    assert await count(harness) == 1


async def test_a_repeated_webhook_is_answered_alike_and_changes_nothing(
    harness: Harness, caller: httpx.AsyncClient
) -> None:
    order = await reserved(harness)
    body = told("order.arrived", order, "arrived", vin=VIN)
    answers = await asyncio.gather(*(send(caller, "factory", body, webhook_id="msg_1") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    await send(caller, "factory", body, webhook_id="msg_2")
    assert len(await harness.published(VehicleReady)) == 1
    assert await count(harness) == 2


async def test_events_in_the_wrong_order_end_where_the_right_order_does(
    harness: Harness, caller: httpx.AsyncClient
) -> None:
    order = await reserved(harness)
    for kind, facts in (
        ("order.arrived", {"vin": VIN}),
        ("order.built", {"vin": VIN}),
        ("order.delayed", {"estimated_delivery": "2027-03-01"}),
    ):
        body = told(kind, order, kind.removeprefix("order."), **facts)
        assert (await send(caller, "factory", body)).status_code == 200
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.READY
    assert len(await harness.published(VehicleReady)) == 1


async def test_an_event_that_contradicts_another_order_is_kept_and_told_to_a_person(
    harness: Harness, caller: httpx.AsyncClient
) -> None:
    first, second = await reserved(harness), await reserved(harness)
    for order in (first, second):  # Both name one factory order.
        body = told("order.delayed", order, "accepted", estimated_delivery="2027-03-01")
        assert (await send(caller, "factory", body)).status_code == 200
    assert (await order_of(harness, first.order_id)).status is VehicleOrderStatus.ORDERED
    assert (await order_of(harness, second.order_id)).status is VehicleOrderStatus.RESERVED
    alerts = [alert for alert in await harness.published(AlertRaised) if alert.kind is AlertKind.PARTNER_REFUSED]
    assert [alert.subject for alert in alerts] == [str(second.order_id)]
    assert await count(harness) == 2


@pytest.mark.parametrize(
    "how",
    [
        {"secret": "whsec_c29tZWJvZHktZWxzZXMtc2VjcmV0LTMyLWJ5dGVzIQ=="},
        {"age": timedelta(minutes=6)},
        {"age": timedelta(minutes=-6)},
    ],
    ids=["forged", "stale", "from the future"],
)
async def test_a_bad_signature_changes_nothing(
    harness: Harness, caller: httpx.AsyncClient, how: dict[str, Any]
) -> None:
    order = await reserved(harness)
    answer = await send(caller, "factory", told("order.built", order, "built", vin=VIN), **how)
    assert (answer.status_code, answer.json()["code"]) == (400, "webhook_refused")
    assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.RESERVED
    assert await count(harness) == 0


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_a_missing_header_is_refused(caller: httpx.AsyncClient, missing: str) -> None:
    body = told_of(str(new_id()), "order.built", "built", vin=VIN)
    headers = {name: value for name, value in signed(body).items() if name != missing}
    assert (await caller.post("/webhooks/factory", content=body, headers=headers)).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"type": "order.built", "data": {}}',
        told_of(str(UUID(int=1)), "order.built", "built"),
        told_of(str(UUID(int=1)), "order.built", "built", vin="short"),
        told_of(str(UUID(int=1)), "order.delayed", "accepted", estimated_delivery="soon"),
        b"\xff\xfe",
    ],
)
async def test_a_signed_body_that_is_no_event_is_refused(
    harness: Harness, caller: httpx.AsyncClient, body: bytes
) -> None:
    try:
        headers = signed(body)
    except UnicodeDecodeError:
        headers = signed(b"")
    assert (await caller.post("/webhooks/factory", content=body, headers=headers)).status_code == 400
    assert await count(harness) == 0


async def test_one_suppliers_secret_does_not_speak_for_another_and_the_old_one_is_good_while_it_rotates(
    harness: Harness, caller: httpx.AsyncClient
) -> None:
    order = await reserved(harness)
    body = told("order.built", order, "built", vin=VIN)
    assert (await send(caller, "registration", body, secret=OLD_SECRET)).status_code == 400
    assert (await send(caller, "factory", body, secret=OLD_SECRET)).status_code == 200
    assert (await send(caller, "somebody", body)).status_code == 400


@pytest.mark.parametrize("reference", ["another merchant's", str(UUID(int=7)), f"{UUID(int=7)}:1"])
@pytest.mark.parametrize(
    ("sender", "kind", "facts"),
    [
        ("factory", "order.built", {"vin": VIN}),
        ("factory", "order.painted", {}),
        ("registration", "registration.registered", {"plates": "0001 MNB"}),
        ("transport", "delivery.booked", {"delivery_on": "2027-01-18"}),
    ],
)
async def test_what_is_not_about_us_is_kept_and_changes_nothing(
    harness: Harness, caller: httpx.AsyncClient, sender: str, kind: str, facts: dict[str, Any], reference: str
) -> None:
    answer = await send(caller, sender, told_of(reference, kind, kind.rpartition(".")[2], **facts))
    assert answer.status_code == 200
    assert await count(harness) == 1
    assert await harness.take() == []


async def test_plates_and_delivery_come_by_webhook_too(harness: Harness, caller: httpx.AsyncClient) -> None:
    order = await paying(harness, await ready(harness))
    await harness.receive(confirmed(await charge_of(harness, order)))
    registered = told_of(f"{order.order_id}:1", "registration.registered", "registered", plates="0001 MNB", vin=VIN)
    delivered = told(
        "delivery.delivered", order, "delivered", delivered_at=rfc3339(datetime.now(UTC)), delivery_on="2027-01-18"
    )
    for sender, body in (("registration", registered), ("transport", delivered)):
        assert (await send(caller, sender, body)).status_code == 200
    found = await order_of(harness, order.order_id)
    assert (found.status, found.plates) == (VehicleOrderStatus.DELIVERED, "0001 MNB")
    assert len(await harness.published(VehicleDelivered)) == 1


async def test_an_old_webhook_that_comes_again_brings_no_old_day_back(
    harness: Harness, caller: httpx.AsyncClient
) -> None:
    order = await paying(harness, await ready(harness))
    await harness.receive(confirmed(await charge_of(harness, order)))
    granted = told_of(f"{order.order_id}:1", "registration.registered", "registered", plates="0001 MNB", vin=VIN)
    await send(caller, "registration", granted)
    booked = told("delivery.booked", order, "booked", delivery_on="2027-01-18")
    delayed = told("delivery.delayed", order, "booked", delivery_on="2027-01-25")
    for webhook_id, body in (("msg_1", booked), ("msg_2", delayed), ("msg_1", booked)):
        assert (await send(caller, "transport", body, webhook_id=webhook_id)).status_code == 200
    assert str((await order_of(harness, order.order_id)).delivery_on) == "2027-01-25"


async def test_a_real_factory_tells_twice_and_in_the_wrong_order_before_its_answer_is_known(
    tmp_path: Path, database_url: str
) -> None:
    port = unused_port()
    own = ("--api-key", KEY, "--hang-s", "0.1", "--webhook-secret", SECRET)
    with partner("factory", tmp_path, *own, "--webhook-url", f"http://127.0.0.1:{port}/webhooks/factory") as factory:
        suppliers = connect(settings(factory=str(factory.base_url)))
        service = orders_service(PlayedMaintenance(), PlayedMailer(), suppliers=suppliers, policy=POLICY)
        async with Harness(service, database_url) as harness, answering(harness, port):
            order = await reserved(harness)
            reference = {"reference": str(order.order_id)}
            for fault in (
                {"kind": "timeout_after", "operation": "place"},
                {"kind": "duplicate", "operation": "event", "times": 2},
                {"kind": "held_back", "operation": "event", "hold_s": 1},
            ):
                factory.post("/sandbox/faults", json={**fault, **reference}).raise_for_status()
            await harness.run_effects()  # The factory acts, and its answer is lost.
            for _ in range(2):
                factory.post("/sandbox/advance", params=reference).raise_for_status()
            await until_sent(factory)
            assert (await order_of(harness, order.order_id)).status is VehicleOrderStatus.READY

            await harness.skip_delays()
            await harness.run_effects()
            found = await order_of(harness, order.order_id)
            assert found.status is VehicleOrderStatus.READY
            assert found.factory_order_id is not None
            assert factory.get("/sandbox/books").json()["by_reference_max"] == 1
            assert len(await harness.published(VehicleBuilt)) == len(await harness.published(VehicleReady)) == 1


def test_the_application_has_the_door_for_suppliers() -> None:
    assert "/webhooks/{partner}" in build(settings()).openapi()["paths"]


async def until_sent(partner: httpx.Client) -> None:
    """Until the partner has delivered every event that it has."""
    async with asyncio.timeout(DEADLINE_S):
        while (await asyncio.to_thread(partner.get, "/sandbox/books")).json()["webhooks"]["pending"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
