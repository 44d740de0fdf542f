"""Frozen payments over HTTP: operators list them, ask again, and say what happened, once and audited (GW-4)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.payments import AuthorizePayment, PaymentAbandoned, PaymentAuthorized, PaymentCaptured
from services.payments.tests.builders import a_success, an_authorization
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import payment_of, status_of
from services.payments.tests.web import a_token, serving
from services.payments.tests.working import run_rounds, settle

OPERATOR = a_token("ops-1", "operator")
CUSTOMER = a_token("customer-1", "customer")


@pytest.fixture
async def api(payments: Harness, gateway: InProcessGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(payments.runtime.settings.database_url, gateway) as client:
        yield client


async def a_frozen(operation: str, payments: Harness, gateway: InProcessGateway, *, booked: bool) -> AuthorizePayment:
    """The operation timed out and nothing is said about it for a day."""
    command = an_authorization()
    if operation == "capture":
        await payments.receive(command)
        await payments.run_effects()
    gateway.script(operation, TIMEOUT, booked=booked)
    gateway.script("look_up", *[TIMEOUT] * 5)
    await payments.receive(a_success(command) if operation == "capture" else command)
    await run_rounds(payments, 3)
    payments.clock.move(timedelta(hours=20, minutes=1))
    await run_rounds(payments, 1)
    gateway.forget_script()
    assert (await payment_of(payments, command.payment_id)).frozen
    return command


async def the_case(api: httpx.AsyncClient) -> dict[str, Any]:
    answer = await api.get("/cases", params={"open": "true"}, headers=OPERATOR)
    assert answer.status_code == 200, answer.text
    [case] = answer.json()["cases"]
    found: dict[str, Any] = case
    return found


async def resolve(api: httpx.AsyncClient, case_id: str, key: str = "key-1", **wish: str) -> httpx.Response:
    body = {"note": "asked the gateway by phone"} | wish
    return await api.post(f"/cases/{case_id}/resolution", json=body, headers={**OPERATOR, "Idempotency-Key": key})


async def audited(payments: Harness, command: AuthorizePayment) -> list[tuple[str, str, str, str]]:
    async with payments.transaction() as tx:
        rows = await tx.fetch("SELECT * FROM audit_log WHERE payment_id = $1 ORDER BY sequence", command.payment_id)
    return [(row["kind"], row["target"], row["reason"], row["actor"]) for row in rows if row["actor"] != "system"]


async def test_a_case_says_what_to_ask_the_gateway_and_the_file_shows_every_question(
    payments: Harness, gateway: InProcessGateway, api: httpx.AsyncClient
) -> None:
    command = await a_frozen("capture", payments, gateway, booked=False)
    case = await the_case(api)
    assert (case["operation"], case["amount_minor"], case["reason"]) == ("capture", 1999, "ReadTimeout")
    assert case["idempotency_key"] == f"{command.payment_id}:capture:2"
    assert (await api.get(f"/cases/{case['id']}", headers=OPERATOR)).json() == case
    file = (await api.get(f"/payments/{command.payment_id}", headers=OPERATOR)).json()
    assert file["frozen"] is True
    assert [(one["step"], one["result"]) for one in file["calls"]][1:3] == [
        ("call", "ReadTimeout"),
        ("look_up", "ReadTimeout"),
    ]
    assert file["calls"][-1]["retry_in_ms"] >= 3_600_000


async def test_a_capture_that_happened_moves_everything_and_is_audited_with_the_note(
    payments: Harness, gateway: InProcessGateway, api: httpx.AsyncClient
) -> None:
    command = await a_frozen("capture", payments, gateway, booked=True)
    case = await the_case(api)
    answer = await resolve(api, case["id"], outcome="happened")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["resolution"], answer.json()["actor"]) == ("happened", "operator:ops-1")
    assert (await payment_of(payments, command.payment_id)).captured_minor == 1999
    assert len(await payments.published(PaymentCaptured)) == 1
    assert ("ruling", "happened", "asked the gateway by phone", "operator:ops-1") in await audited(payments, command)
    repeated = await resolve(api, case["id"], outcome="happened")
    assert (repeated.status_code, repeated.json()) == (200, answer.json())
    late = await resolve(api, case["id"], "key-2", outcome="never_happened")
    assert (late.status_code, late.json()["code"]) == (409, "case_closed")
    await settle(payments)
    assert gateway.calls["capture"] == 1


async def test_a_capture_that_never_happened_is_made_under_a_new_key(
    payments: Harness, gateway: InProcessGateway, api: httpx.AsyncClient
) -> None:
    command = await a_frozen("capture", payments, gateway, booked=False)
    assert (await resolve(api, (await the_case(api))["id"], outcome="never_happened")).status_code == 200
    await payments.run_effects()
    assert gateway.calls["capture"] == 2
    assert (await payment_of(payments, command.payment_id)).captured_minor == 1999
    assert len(await payments.published(PaymentCaptured)) == 1


async def test_an_authorization_that_never_happened_is_abandoned(
    payments: Harness, gateway: InProcessGateway, api: httpx.AsyncClient
) -> None:
    command = await a_frozen("authorize", payments, gateway, booked=False)
    assert (await resolve(api, (await the_case(api))["id"], outcome="never_happened")).status_code == 200
    assert await status_of(payments, command.payment_id) == "ABANDONED"
    assert len(await payments.published(PaymentAbandoned)) == 1


async def test_an_authorization_that_happened_needs_the_gateways_name_for_it(
    payments: Harness, gateway: InProcessGateway, api: httpx.AsyncClient
) -> None:
    command = await a_frozen("authorize", payments, gateway, booked=True)
    case = await the_case(api)
    incomplete = await resolve(api, case["id"], outcome="happened")
    assert (incomplete.status_code, incomplete.json()["code"]) == (400, "resolution_incomplete")
    answer = await resolve(api, case["id"], "key-2", outcome="happened", gateway_transaction_id="txn_1")
    assert answer.status_code == 200, answer.text
    payment = await payment_of(payments, command.payment_id)
    assert payment.hold is not None
    assert (payment.status, payment.hold.transaction_id) == ("AUTHORIZED", "txn_1")
    assert len(await payments.published(PaymentAuthorized)) == 1
    await payments.receive(a_success(command))
    await settle(payments)
    assert gateway.books[str(command.payment_id)].captured_minor == 1999


async def test_asking_again_looks_up_now_and_the_truth_closes_the_case(
    payments: Harness, gateway: InProcessGateway, api: httpx.AsyncClient
) -> None:
    command = await a_frozen("capture", payments, gateway, booked=True)
    case = await the_case(api)
    answer = await resolve(api, case["id"], outcome="ask_again")
    assert (answer.status_code, answer.json()["resolved_at"]) == (200, None)
    await payments.run_effects()
    closed = (await api.get(f"/cases/{case['id']}", headers=OPERATOR)).json()
    assert (closed["resolution"], closed["note"]) == ("captured", "asked the gateway by phone")
    assert ("ruling", "ask_again", "asked the gateway by phone", "operator:ops-1") in await audited(payments, command)
    assert (await api.get("/cases", params={"open": "true"}, headers=OPERATOR)).json() == {"cases": []}
    assert len((await api.get("/cases", headers=OPERATOR)).json()["cases"]) == 1


async def test_only_operators_see_and_resolve_cases(api: httpx.AsyncClient) -> None:
    for method, path in (("GET", "/cases"), ("GET", f"/cases/{new_id()}"), ("POST", f"/cases/{new_id()}/resolution")):
        assert (await api.request(method, path, json={})).status_code == 401
        assert (await api.request(method, path, json={}, headers=CUSTOMER)).status_code == 403


@pytest.mark.parametrize("wish", [{"outcome": "perhaps"}, {"outcome": "happened", "note": ""}, {}])
async def test_a_resolution_that_says_nothing_clear_is_refused(api: httpx.AsyncClient, wish: dict[str, str]) -> None:
    assert (await resolve(api, str(new_id()), **wish)).status_code == 400


async def test_a_case_that_does_not_exist_is_not_found(api: httpx.AsyncClient) -> None:
    assert (await api.get(f"/cases/{new_id()}", headers=OPERATOR)).status_code == 404
    assert (await resolve(api, str(new_id()), outcome="ask_again")).status_code == 404
