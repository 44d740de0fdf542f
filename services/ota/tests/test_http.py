"""What may be read over HTTP, and by whom (OTA-5)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI

from caas_chassis.auth import TokenVerifier
from caas_chassis.ids import new_id
from caas_ota.app import build
from caas_ota.settings import OtaSettings
from services.ota.tests.builders import Ota, a_deactivation

ISSUER: Final = "https://identity.example"
KEY: Final = ec.generate_private_key(ec.SECP256R1())


def as_caller(subject: str, *roles: str) -> dict[str, str]:
    expires_at = datetime.now(UTC) + timedelta(hours=5)
    claims = {"sub": subject, "roles": list(roles), "iss": ISSUER, "aud": "caas", "exp": expires_at}
    return {"Authorization": f"Bearer {jwt.encode(claims, KEY, algorithm='ES256', headers={'kid': 'test'})}"}


OPERATOR: Final = as_caller("ops", "operator")
OWNER: Final = as_caller("customer-1", "customer")
STRANGER: Final = as_caller("customer-2", "customer")


def identity_provider() -> FastAPI:
    app = FastAPI()
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key()))

    @app.get("/jwks.json")
    async def jwks() -> dict[str, Any]:
        return {"keys": [{**public, "kid": "test", "alg": "ES256", "use": "sig"}]}

    return app


@asynccontextmanager
async def serving(ota: Ota) -> AsyncIterator[httpx.AsyncClient]:
    """The whole application on the database of the service under test; its loops do not run."""
    app = build(OtaSettings(database_url=ota.harness.runtime.settings.database_url))
    keys = httpx.AsyncClient(transport=httpx.ASGITransport(identity_provider()))
    app.state.tokens = TokenVerifier(f"{ISSUER}/jwks.json", ISSUER, "caas", keys)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with keys, httpx.AsyncClient(transport=transport, base_url="http://ota") as client:
        yield client
    await app.state.runtime.database.close()


@pytest.fixture
async def client(ota: Ota) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(ota) as connected:
        yield connected


async def test_the_configuration_shows_what_is_wanted_beside_what_is_reported(
    ota: Ota, client: httpx.AsyncClient
) -> None:
    vehicle = await ota.registered_vehicle()
    message = await ota.activating(vehicle)
    url = f"/vehicles/{vehicle.vehicle_id}/configuration"
    before = (await client.get(url, headers=OWNER)).json()
    assert (before["desired"], before["reported"], before["in_sync"]) == (message.configuration, {}, False)
    answer = vehicle.answer(ota.last, "applied", applied_at=ota.now, configuration=message.configuration)
    await ota.hear(vehicle.says(answer))
    after = (await client.get(url, headers=OPERATOR)).json()
    assert (after["reported"], after["in_sync"]) == (message.configuration, True)
    assert after["services"][0]["status"] == "applied"


async def test_customers_see_only_their_own_vehicles(ota: Ota, client: httpx.AsyncClient) -> None:
    vehicle = await ota.registered_vehicle("customer-1")
    message = await ota.activating(vehicle)
    for url in (f"/vehicles/{vehicle.vehicle_id}/configuration", f"/activations/{message.activation_id}"):
        assert (await client.get(url, headers=OWNER)).status_code == 200
        refused = await client.get(url, headers=STRANGER)
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
        assert (await client.get(url)).status_code == 401


async def test_an_activation_shows_its_commands_and_acknowledgements(ota: Ota, client: httpx.AsyncClient) -> None:
    vehicle = await ota.registered_vehicle()
    message = await ota.activating(vehicle)
    await ota.answered(vehicle, "rejected", reason="incompatible", permanent=True)
    shown = (await client.get(f"/activations/{message.activation_id}", headers=OPERATOR)).json()
    assert (shown["status"], shown["ground"]) == ("failed", "verified_rejection")
    assert [command["kind"] for command in shown["commands"]] == ["activate", "status"]
    assert shown["acknowledgements"][0]["verified"] is True
    cases = (await client.get("/support-cases", headers=OPERATOR)).json()["support_cases"]
    assert [case["activation_id"] for case in cases] == [str(message.activation_id)]
    assert cases[0]["attempts"][0]["outcome"] == "incompatible"


async def test_the_work_list_is_for_operators_and_comes_in_pages(ota: Ota, client: httpx.AsyncClient) -> None:
    vehicle = await ota.registered_vehicle()
    message = await ota.activating(vehicle)
    await ota.answered(vehicle, "applied")
    for _ in range(3):
        await ota.harness.receive(a_deactivation(message))
    assert (await client.get("/deactivations?open=true", headers=OWNER)).status_code == 403
    first = (await client.get("/deactivations?open=true&limit=2", headers=OPERATOR)).json()
    rest = await client.get(f"/deactivations?open=true&limit=2&before={first['next']}", headers=OPERATOR)
    ids = {one["deactivation_id"] for one in first["deactivations"] + rest.json()["deactivations"]}
    assert len(ids) == 3
    assert rest.json()["next"] is None
    closed = (await client.get("/deactivations?open=false", headers=OPERATOR)).json()
    assert closed["deactivations"] == []


SENSELESS: Final = (
    "/activations/not-an-id",
    "/vehicles/a%20b/configuration",
    "/vehicles/%00/configuration",
    f"/vehicles/{'v' * 65}/configuration",
    "/deactivations?limit=0",
    "/deactivations?open=perhaps",
    "/support-cases?before=x",
    "/support-cases?vehicle_id=%00",
)


async def test_requests_that_make_no_sense_are_refused(client: httpx.AsyncClient) -> None:
    for url in SENSELESS:
        answer = await client.get(url, headers=OPERATOR)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), url


async def test_what_does_not_exist_is_not_found(client: httpx.AsyncClient) -> None:
    for url in (f"/activations/{new_id()}", "/vehicles/nobody/configuration"):
        assert (await client.get(url, headers=OPERATOR)).status_code == 404
