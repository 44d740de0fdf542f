"""The maintenance gate against the sandbox's maintenance system, a process of its own (SVC-2)."""

from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.payments import AuthorizePayment
from caas_orders.app import orders_service, vss_client
from caas_orders.domain.status import PurchaseStatus
from caas_orders.gateway import Current, MaintenanceAnswer, MaintenanceQuestion, NotAnswering, NotCurrent
from caas_orders.gateway.vss import VssClient
from caas_orders.settings import OrdersSettings
from services.orders.tests.builders import PlayedMailer, place_purchase, registered, stored
from services.orders.tests.partners import partner, unused_port

KEY = "vss-key"


@pytest.fixture(scope="module")
def vss(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with partner("vss", tmp_path_factory.mktemp("vss"), "--api-key", KEY, "--slow-s", "2") as client:
        yield client


def settings_for(url: str, key: str = KEY) -> OrdersSettings:
    return OrdersSettings(
        database_url="postgresql://unused", vss_url=url, vss_api_key=SecretStr(key), vss_timeout_s=0.5
    )


@pytest.fixture
async def client(vss: httpx.Client) -> VssClient:
    return vss_client(settings_for(str(vss.base_url)))


def put_state(vss: httpx.Client, vehicle_id: str, state: str) -> None:
    vss.put(f"/vehicles/{vehicle_id}", json={"state": state}).raise_for_status()


async def asked(client: VssClient, vehicle_id: str) -> MaintenanceAnswer:
    return await client.ask(MaintenanceQuestion(purchase_id=new_id(), vehicle_id=vehicle_id))


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ("current", Current()),
        ("overdue", NotCurrent()),
        ("unavailable", NotAnswering("maintenance_unavailable")),
        ("slow", NotAnswering("maintenance_unavailable")),
    ],
)
async def test_each_state_of_the_maintenance_system_has_its_answer(
    vss: httpx.Client, client: VssClient, state: str, answer: MaintenanceAnswer
) -> None:
    put_state(vss, f"veh-{state}", state)
    assert await asked(client, f"veh-{state}") == answer


async def test_a_vehicle_it_does_not_know_keeps_the_gate_closed(client: VssClient) -> None:
    assert await asked(client, "veh-unknown") == NotAnswering("maintenance_unknown_vehicle")


async def test_a_wrong_key_and_a_dead_partner_keep_the_gate_closed(vss: httpx.Client) -> None:
    wrong_key = vss_client(settings_for(str(vss.base_url), key="other"))
    dead = vss_client(settings_for(f"http://127.0.0.1:{unused_port()}"))
    assert await asked(wrong_key, "veh-1") == NotAnswering("maintenance_unavailable")
    assert await asked(dead, "veh-1") == NotAnswering("maintenance_unavailable")


async def test_a_purchase_waits_for_the_real_answer(vss: httpx.Client, client: VssClient, database_url: str) -> None:
    put_state(vss, "veh-1", "overdue")
    async with Harness(orders_service(client, PlayedMailer()), database_url) as harness:
        await registered(harness)
        blocked = place_purchase("adaptive-cruise")
        await harness.receive(blocked)
        await harness.run_effects()
        assert (await stored(harness, blocked.purchase_id)).status is PurchaseStatus.BLOCKED
        assert await harness.published(AuthorizePayment) == []
        put_state(vss, "veh-1", "current")
        allowed = place_purchase("adaptive-cruise")
        await harness.receive(allowed)
        await harness.run_effects()
        assert (await stored(harness, allowed.purchase_id)).status is PurchaseStatus.AUTHORIZING
