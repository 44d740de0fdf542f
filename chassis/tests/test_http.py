"""The HTTP side: problem details, limits, idempotency, health, and what operators decide."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict

from caas_chassis.auth import Principal
from caas_chassis.errors import Problem
from caas_chassis.idempotency import Answer, IdempotentRequest, answer_once
from caas_chassis.runtime import Runtime
from caas_chassis.settings import ServiceSettings
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_chassis.web import cause_of, create_app, requires, respond
from chassis.tests.identity import IdentityProvider
from chassis.tests.proxy import a_proxy
from chassis.tests.running import migrate, query, value
from chassis.tests.toy_service import a_service, an_activation

identity = IdentityProvider()
OPERATOR = {"authorization": identity.token("operator", exp=4_000_000_000)}
DEALER = {"authorization": identity.token("dealer", exp=4_000_000_000)}


class Wish(BaseModel):
    """What the test's route takes."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)
    vehicle_id: str
    note: str = ""


class SoldOut(Problem):
    """There is none left."""

    status, code, title = 409, "sold_out", "Nothing is left"


def a_router(runtime: Runtime) -> APIRouter:
    """One route that writes a row for every wish."""
    router = APIRouter()

    @router.post("/wishes")
    async def make_wish(
        wish: Wish,
        request: Request,
        principal: Annotated[Principal, Depends(requires("dealer"))],
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        if wish.vehicle_id == "sold-out":
            raise SoldOut("take another one")
        async with runtime.transaction(cause_of(request, principal)) as tx:

            async def produce() -> Answer:
                await tx.execute("INSERT INTO applied VALUES (gen_random_uuid(), $1)", wish.vehicle_id)
                await asyncio.sleep(0.05)
                return Answer(201, {"vehicle_id": wish.vehicle_id, "note": wish.note}, {"Location": "/wishes/1"})

            asked = IdempotentRequest(idempotency_key, principal, "POST /wishes", await request.body())
            return respond(await answer_once(tx, asked, produce))

    return router


def a_client(url: str) -> httpx.AsyncClient:
    runtime = Runtime(a_service(), ServiceSettings(database_url=url))
    app = create_app(runtime, [a_router(runtime)], verifier=identity.verifier())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://toy", timeout=30)


@pytest.fixture
async def url(make_database: MakeDatabase) -> str:
    return await make_database("toy", migrate)


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with a_client(url) as client:
        yield client


async def wish(client: httpx.AsyncClient, key: str | None = "k-1", **body: object) -> httpx.Response:
    headers = DEALER | ({"idempotency-key": key} if key else {})
    return await client.post("/wishes", json={"vehicle_id": "V-1"} | body, headers=headers)


async def test_the_same_key_and_body_at_the_same_time_has_one_effect(client: httpx.AsyncClient, url: str) -> None:
    answers = await asyncio.gather(*(wish(client) for _ in range(8)))
    assert {(a.status_code, a.text, a.headers["location"]) for a in answers} == {(201, answers[0].text, "/wishes/1")}
    assert await value(url, "SELECT count(*) FROM applied") == 1


async def test_the_same_key_with_another_body_is_refused(client: httpx.AsyncClient, url: str) -> None:
    await wish(client)
    answer = await wish(client, vehicle_id="V-2")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert await value(url, "SELECT count(*) FROM applied") == 1


async def test_another_order_of_the_same_fields_is_the_same_request(client: httpx.AsyncClient) -> None:
    headers = DEALER | {"idempotency-key": "k", "content-type": "application/json"}
    one = await client.post("/wishes", content='{"vehicle_id":"a","note":"n"}', headers=headers)
    two = await client.post("/wishes", content='{"note": "n", "vehicle_id": "a"}', headers=headers)
    assert (one.status_code, two.status_code, one.text) == (201, 201, two.text)


@pytest.mark.parametrize("key", [None, "", "x" * 201, "a\tb"])
async def test_a_missing_or_unfit_key_is_refused(client: httpx.AsyncClient, key: str | None) -> None:
    assert (await wish(client, key)).json()["code"] == "idempotency_key_missing"


async def test_a_request_whose_commit_answer_was_lost_can_be_repeated(url: str) -> None:
    async with a_proxy(url) as proxy, a_client(proxy.url) as client:
        proxy.lose_next_commit_answer()
        assert (await wish(client)).status_code == 503
        assert ((await wish(client)).status_code, proxy.cuts) == (201, 1)
    assert await value(url, "SELECT count(*) FROM applied") == 1


async def test_a_refusal_is_a_problem_document_and_stores_nothing(client: httpx.AsyncClient, url: str) -> None:
    answer = await wish(client, vehicle_id="sold-out")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:caas:problem:sold_out",
        "title": "Nothing is left",
        "status": 409,
        "code": "sold_out",
        "detail": "take another one",
    }
    assert await value(url, "SELECT count(*) FROM chassis.http_answer") == 0


BAD_BODIES = {
    "no JSON": b"{",
    "a list": b"[]",
    "empty": b"",
    "wrong type": b'{"vehicle_id": 12}',
    "missing": b"{}",
    "NUL": b'{"vehicle_id": "a\\u0000b"}',
    "not UTF-8": b'{"vehicle_id": "\xff"}',
    "deep": b"[" * 30_000,
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_bad_body_is_a_clear_problem(client: httpx.AsyncClient, url: str, name: str) -> None:
    answer = await client.post("/wishes", content=BAD_BODIES[name], headers=DEALER | {"idempotency-key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert await value(url, "SELECT count(*) FROM applied") == 0


async def test_an_answer_about_a_bad_body_never_repeats_it(client: httpx.AsyncClient) -> None:
    answer = await client.post("/wishes", json={"vehicle_id": {"secret": "s3cr3t"}}, headers=DEALER)
    assert "s3cr3t" not in answer.text


async def test_a_body_over_64_kib_is_refused(client: httpx.AsyncClient) -> None:
    answer = await wish(client, note="x" * 70_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize("note", ["4111 1111 1111 1111", "4111-1111-1111-1111"])
async def test_a_card_number_is_refused_and_not_repeated(client: httpx.AsyncClient, note: str) -> None:
    answer = await wish(client, note=note)
    assert (answer.status_code, answer.json()["code"], note in answer.text) == (400, "card_number_refused", False)


@pytest.mark.parametrize("body", [b'{"note": "\\u0034111111111111111"}', b'{"note": "%34111111111111111"}'])
async def test_a_card_number_in_disguise_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    assert (await client.post("/wishes", content=body, headers=DEALER)).json()["code"] == "card_number_refused"


async def test_a_card_number_in_the_address_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/anything/4111111111111111")).json()["code"] == "card_number_refused"
    assert (await client.get("/anything?n=4111%201111+1111%201111")).json()["code"] == "card_number_refused"


async def test_without_a_token_or_role_nothing_is_served(client: httpx.AsyncClient) -> None:
    nobody, wrong = await client.post("/wishes", json={}), await client.post("/wishes", json={}, headers=OPERATOR)
    assert (nobody.status_code, nobody.headers["www-authenticate"], wrong.status_code) == (401, "Bearer", 403)
    assert (await client.get("/operations/parked", headers=DEALER)).status_code == 403


async def test_an_unknown_address_is_a_problem_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nothing/here")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_a_service_that_has_not_started_is_alive_and_not_ready(client: httpx.AsyncClient) -> None:
    live, ready = await client.get("/health/live"), await client.get("/health/ready")
    assert (live.status_code, ready.status_code, ready.json()["status"]) == (200, 503, "not_ready")


async def test_without_a_database_the_answer_is_503() -> None:
    async with a_client("postgresql://nobody@127.0.0.1:9/none") as client:
        answer = await wish(client)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert (await client.get("/health/ready")).json()["checks"]["database"] is False


async def decide(client: httpx.AsyncClient, what: str, reason: str = "looked at it") -> httpx.Response:
    (parked,) = (await client.get("/operations/parked", headers=OPERATOR)).json()["parked"]
    return await client.post(f"/operations/parked/{parked['id']}/{what}", json={"reason": reason}, headers=OPERATOR)


async def test_an_operator_sees_replays_and_discards_with_an_audit(client: httpx.AsyncClient, url: str) -> None:
    async with Harness(a_service(), url) as toy:
        await toy.receive(an_activation("refuse-http"))
        assert (await decide(client, "replay")).status_code == 202
        await toy.retry_parked()
        assert (await decide(client, "discard")).json()["state"] == "discarded"
    (row,) = await query(url, "SELECT * FROM chassis.parked")
    assert (row["state"], row["decided_by"], row["decided_reason"]) == ("discarded", "operator:c-1", "looked at it")


async def test_a_decision_needs_a_reason_and_an_open_message(client: httpx.AsyncClient, url: str) -> None:
    async with Harness(a_service(), url) as toy:
        await toy.receive(an_activation("refuse-http"))
    assert (await decide(client, "discard", reason="")).status_code == 400
    unknown = "/operations/parked/0197a5c2-0000-7000-8000-000000000000/discard"
    assert (await client.post(unknown, json={"reason": "because"}, headers=OPERATOR)).status_code == 404


async def test_the_metrics_are_served(client: httpx.AsyncClient, url: str) -> None:
    async with Harness(a_service(), url) as toy:
        await toy.receive(an_activation())
        await toy.run_effects()
    text = (await client.get("/metrics")).text
    for name in ("caas_messages_total", "caas_effects_total", "caas_outbox_age_seconds", "caas_parked_messages"):
        assert f"# TYPE {name}" in text or f"# TYPE {name.removesuffix('_total')}" in text
