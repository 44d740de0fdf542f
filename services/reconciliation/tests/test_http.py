"""The operators' interface: who may ask, what is answered, and that bad input changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from caas_chassis.testing.identity import IdentityProvider
from caas_chassis.web import create_app
from caas_reconciliation.app import routers_of
from services.reconciliation.tests.builders import PRICE_MINOR, a_capture, a_line, an_invoice
from services.reconciliation.tests.running import Reconciliation

IDENTITY = IdentityProvider()
OPERATOR = IDENTITY.bearer("eva", "operator")
UNKNOWN = UUID(int=7)


@pytest.fixture
def app(service: Reconciliation) -> FastAPI:
    """The application over the service under test; its background loops are the test's to run."""
    runtime = service.harness.runtime
    return create_app(runtime, routers_of(runtime), verifier=IDENTITY.verifier())


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """An operator's client."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://reconciliation", headers=OPERATOR) as client:
        yield client


async def one_case(service: Reconciliation) -> str:
    await service.reconcile(a_line(uuid4()))
    [case] = await service.open_cases()
    return str(case.case_id)


async def test_a_run_is_accepted_joined_and_reported(service: Reconciliation, http: httpx.AsyncClient) -> None:
    capture = a_capture()
    await service.harness.receive(capture, an_invoice(capture.payment_id))
    service.feed.state(a_line(capture.payment_id))
    accepted = await http.post("/runs")
    joined = await http.post("/runs")
    assert (accepted.status_code, joined.status_code) == (202, 202)
    where = accepted.headers["Location"]
    assert joined.headers["Location"] == where
    assert (await http.get(f"{where}/report")).json()["code"] == "run_not_completed"
    await service.harness.run_effects()
    assert (await http.get(where)).json()["status"] == "completed"
    report = (await http.get(f"{where}/report")).json()
    assert (report["lines"], report["matched"][0]["gross_minor"]) == (1, PRICE_MINOR)
    assert [item["difference_minor"] for item in report["proof"]] == [0, 0, 0]
    assert (report["ledger_imbalance_minor"], report["unexplained_lines"]) == (0, 0)
    assert [run["run_id"] for run in (await http.get("/runs")).json()] == [accepted.json()["run_id"]]


async def test_who_prefers_to_wait_gets_the_finished_run(service: Reconciliation, http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        asked = asyncio.create_task(http.post("/runs", headers={"Prefer": "respond-async, wait=25"}))
        while not asked.done():
            await service.harness.run_effects()
            await asyncio.sleep(0.05)
    answer = await asked
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")


async def test_who_waits_for_a_run_in_vain_is_told_where_to_look(http: httpx.AsyncClient) -> None:
    answer = await http.post("/runs", headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert answer.headers["Location"] == f"/runs/{answer.json()['run_id']}"


async def test_books_can_be_read(service: Reconciliation, http: httpx.AsyncClient) -> None:
    capture = a_capture()
    await service.harness.receive(capture)
    balance = (await http.get("/ledger/trial-balance")).json()
    assert balance["imbalance_minor"] == 0
    assert {one["account"]: one["balance_minor"] for one in balance["accounts"]} == {
        "cash_in_transit": PRICE_MINOR,
        "receivable": -PRICE_MINOR,
    }
    entries = (await http.get("/ledger/entries", params={"payment_id": str(capture.payment_id)})).json()
    assert [(entry["account"], entry["amount_minor"]) for entry in entries] == [
        ("cash_in_transit", PRICE_MINOR),
        ("receivable", -PRICE_MINOR),
    ]
    assert (await http.get("/ledger/verification")).json()["holds"] is True
    [expected] = (await http.get("/expectations", params={"open": "true"})).json()
    assert (expected["payment_id"], expected["amount_minor"]) == (str(capture.payment_id), PRICE_MINOR)


async def test_a_case_is_worked_over_http_and_its_history_says_who_did_what(
    service: Reconciliation, http: httpx.AsyncClient
) -> None:
    where = f"/cases/{await one_case(service)}"
    assert (await http.post(f"{where}/notes", json={"words": "asked the gateway"})).status_code == 200
    assert (await http.post(f"{where}/assignment", json={"assignee": "leo"})).json()["assignee"] == "leo"
    waiting = await http.post(f"{where}/resolution", json={"resolution": "waiting", "reason": "they look"})
    assert waiting.json()["status"] == "waiting"
    resolved = await http.post(f"{where}/resolution", json={"resolution": "corrected", "reason": "a test of theirs"})
    assert (resolved.json()["status"], resolved.json()["resolved_by"]) == ("resolved", "operator:eva")
    again = await http.post(f"{where}/resolution", json={"resolution": "write_off", "reason": "again"})
    assert (again.status_code, again.json()["code"]) == (409, "case_state_forbids")
    history = (await http.get(where)).json()["history"]
    assert [entry["action"] for entry in history] == ["opened", "noted", "assigned", "waiting", "resolved"]
    assert (await http.get("/cases", params={"status": "open"})).json() == []


GATED = [
    ("POST", "/runs"),
    ("GET", "/runs"),
    ("GET", f"/runs/{UNKNOWN}"),
    ("GET", f"/runs/{UNKNOWN}/report"),
    ("GET", "/cases"),
    ("GET", f"/cases/{UNKNOWN}"),
    ("POST", f"/cases/{UNKNOWN}/notes"),
    ("POST", f"/cases/{UNKNOWN}/assignment"),
    ("POST", f"/cases/{UNKNOWN}/resolution"),
    ("GET", "/ledger/trial-balance"),
    ("GET", f"/ledger/entries?payment_id={UNKNOWN}"),
    ("GET", "/ledger/verification"),
    ("GET", "/expectations"),
]


async def test_only_operators_have_access(app: FastAPI, http: httpx.AsyncClient) -> None:
    gates = {(method, path.split("?")[0]) for method, path in GATED}
    served = {
        (method, route.path.format(run_id=UNKNOWN, case_id=UNKNOWN))
        for router in routers_of(app.state.runtime)
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert gates == served
    for method, path in GATED:
        assert (await http.request(method, path, headers={"Authorization": ""})).status_code == 401
        for role in ("customer", "dealer", "partner"):
            answer = await http.request(method, path, headers=IDENTITY.bearer("someone", role))
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (method, path, role)
    assert (await http.get("/runs")).json() == []


BAD_QUESTIONS = [
    ("/runs/not-a-uuid", 400),
    ("/runs?limit=0", 400),
    ("/runs?limit=100000", 400),
    (f"/runs/{UNKNOWN}", 404),
    (f"/runs/{UNKNOWN}/report", 404),
    ("/cases?status=sleeping", 400),
    ("/cases?kind=%00", 400),
    (f"/cases/{UNKNOWN}", 404),
    ("/ledger/entries", 400),
    ("/expectations?open=perhaps", 400),
    ("/expectations?after=4111111111111111", 400),
]


async def test_bad_questions_get_a_problem(http: httpx.AsyncClient) -> None:
    for path, status in BAD_QUESTIONS:
        answer = await http.get(path)
        assert answer.status_code == status, path
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert "4111111111111111" not in answer.text


BAD_WORK: list[tuple[str, Any]] = [
    ("notes", {}),
    ("notes", {"words": ""}),
    ("notes", {"words": "x" * 2001}),
    ("notes", {"words": "nul \x00"}),
    ("notes", {"words": 7}),
    ("notes", {"words": "fine", "unknown": 1}),
    ("notes", {"words": "card 4111 1111 1111 1111"}),
    ("notes", ["words"]),
    ("assignment", {"assignee": None}),
    ("resolution", {"resolution": "write_off"}),
    ("resolution", {"resolution": "explained", "reason": "by nobody"}),
    ("resolution", {"resolution": "stolen", "reason": "x"}),
]


async def test_bad_work_on_a_case_is_refused_and_changes_nothing(
    service: Reconciliation, http: httpx.AsyncClient
) -> None:
    where = f"/cases/{await one_case(service)}"
    before = (await http.get(where)).json()
    for part, body in BAD_WORK:
        answer = await http.post(f"{where}/{part}", json=body)
        assert answer.status_code == 400, (part, body)
        assert answer.json()["code"] in ("invalid_request", "card_number_refused")
        assert (await http.get(where)).json() == before


async def test_a_body_that_is_too_large_or_no_json_is_refused(http: httpx.AsyncClient) -> None:
    large = await http.post(f"/cases/{UNKNOWN}/notes", json={"words": "x" * 70_000})
    broken = await http.post(f"/cases/{UNKNOWN}/notes", content=b"{", headers={"Content-Type": "application/json"})
    assert (large.status_code, broken.status_code) == (413, 400)
