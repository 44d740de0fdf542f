"""Payments over HTTP: what operators and customers see and may do, and what bad input comes to."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.payments import AuthorizePayment, PaymentVoided
from services.payments.tests.builders import a_failure, a_settlement, a_success, an_authorization
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import journey_of, status_of
from services.payments.tests.web import a_token, serving
from services.payments.tests.working import settle

OPERATOR = a_token("ops-1", "operator")
CUSTOMER = a_token("customer-1", "customer")
STRANGER = a_token("customer-2", "customer")


@pytest.fixture
async def api(payments: Harness, gateway: InProcessGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(payments.runtime.settings.database_url, gateway) as client:
        yield client


async def a_held_payment(payments: Harness) -> AuthorizePayment:
    command = an_authorization()
    await payments.receive(command)
    await payments.run_effects()
    return command


async def a_captured_payment(payments: Harness) -> AuthorizePayment:
    command = await a_held_payment(payments)
    await payments.receive(a_success(command))
    await payments.run_effects()
    return command


async def test_an_operator_sees_the_whole_file(payments: Harness, api: httpx.AsyncClient) -> None:
    command = await a_captured_payment(payments)
    answer = await api.get(f"/payments/{command.payment_id}", headers=OPERATOR)
    assert answer.status_code == 200, answer.text
    file = answer.json()
    assert (file["status"], file["captured"]) == ("CAPTURING", {"amount_minor": 1999, "currency": "EUR"})
    assert [attempt["operation"] for attempt in file["attempts"]] == ["authorize", "capture"]
    assert [entry["target"] for entry in file["audit"]] == ["PROCESSING", "AUTHORIZED", "CAPTURING"]
    assert (file["proof"]["kind"], file["delivery"]["decision"]) == ("success", "on_authorization")
    assert "tok_" not in answer.text


async def test_a_customer_sees_only_their_own_payment_and_not_its_inner_history(
    payments: Harness, api: httpx.AsyncClient
) -> None:
    command = await a_held_payment(payments)
    own = await api.get(f"/payments/{command.payment_id}", headers=CUSTOMER)
    assert (own.status_code, own.json()["status"], own.json()["standing"]) == (200, "AUTHORIZED", "held")
    assert "attempts" not in own.json()
    other = await api.get(f"/payments/{command.payment_id}", headers=STRANGER)
    missing = await api.get(f"/payments/{new_id()}", headers=STRANGER)
    assert (other.status_code, missing.status_code) == (404, 404)
    assert other.json()["code"] == missing.json()["code"] == "payment_not_found"


async def test_the_payments_of_a_purchase_are_listed(payments: Harness, api: httpx.AsyncClient) -> None:
    command = await a_held_payment(payments)
    answer = await api.get("/payments", params={"subject_id": str(command.subject_id)}, headers=OPERATOR)
    assert [one["payment_id"] for one in answer.json()["payments"]] == [str(command.payment_id)]


ROUTES = [
    ("GET", f"/payments/{new_id()}"),
    ("GET", f"/payments?subject_id={new_id()}"),
    ("POST", f"/payments/{new_id()}/void"),
    ("POST", f"/payments/{new_id()}/refunds"),
    ("GET", "/exposure"),
    ("GET", "/audit/verify"),
]


async def test_every_route_needs_a_token_and_most_an_operators(
    api: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for method, path in ROUTES:
        with subtests.test(f"{method} {path} without a token"):
            answer = await api.request(method, path, json={})
            assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    for method, path in ROUTES[1:]:
        with subtests.test(f"{method} {path} by a customer"):
            assert (await api.request(method, path, json={}, headers=CUSTOMER)).status_code == 403


async def void(api: httpx.AsyncClient, command: AuthorizePayment) -> httpx.Response:
    path = f"/payments/{command.payment_id}/void"
    return await api.post(path, json={"reason": "asked_by_phone"}, headers=OPERATOR)


async def test_an_operator_cannot_void_what_may_still_be_delivered(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    held, captured = await a_held_payment(payments), await a_captured_payment(payments)
    for command in (held, captured):
        answer = await void(api, command)
        assert (answer.status_code, answer.json()["code"]) == (409, "void_refused")
        assert (await journey_of(payments, command.payment_id))[-1].endswith("!void")
    await settle(payments)
    assert gateway.calls["void"] == 0


async def test_an_operator_voids_a_payment_that_nobody_was_told_of(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    command = an_authorization()
    gateway.script("authorize", TIMEOUT)
    await payments.receive(command)
    await payments.run_effects()
    assert (await void(api, command)).status_code == 200
    await settle(payments)
    assert await status_of(payments, command.payment_id) == "VOIDED"
    assert len(await payments.published(PaymentVoided)) == 1


async def test_an_operator_may_repeat_a_void_that_is_under_way(payments: Harness, api: httpx.AsyncClient) -> None:
    command = await a_held_payment(payments)
    await payments.receive(a_failure(command))
    answer = await void(api, command)
    assert (answer.status_code, answer.json()["status"]) == (200, "AUTHORIZED")
    assert [attempt["operation"] for attempt in answer.json()["attempts"]] == ["authorize", "void"]


async def refund(
    api: httpx.AsyncClient, command: AuthorizePayment, amount_minor: int, key: str | None = "key-1"
) -> httpx.Response:
    body = {"amount": {"amount_minor": amount_minor, "currency": "EUR"}, "reason": "goodwill"}
    headers = OPERATOR | ({"Idempotency-Key": key} if key else {})
    return await api.post(f"/payments/{command.payment_id}/refunds", json=body, headers=headers)


async def test_a_refund_is_made_once_per_idempotency_key(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    command = await a_captured_payment(payments)
    first, second = await refund(api, command, 500), await refund(api, command, 500)
    assert (first.status_code, first.json()) == (202, second.json())
    assert (await refund(api, command, 501)).status_code == 422
    assert (await refund(api, command, 1, key=None)).status_code == 400
    assert (await refund(api, command, 1500, key="key-2")).json()["code"] == "refund_refused"
    await settle(payments)
    assert gateway.books[str(command.payment_id)].refunded_minor == 500


async def test_exposure_is_what_is_delivered_and_not_settled(payments: Harness, api: httpx.AsyncClient) -> None:
    held, delivered, settled = (
        await a_held_payment(payments),
        await a_captured_payment(payments),
        await a_captured_payment(payments),
    )
    await payments.receive(a_settlement(settled), a_settlement(delivered, gross_minor=999))
    answer = (await api.get("/exposure", headers=OPERATOR)).json()
    assert answer["totals"] == [
        {
            "currency": "EUR",
            "payments": 1,
            "amount_minor": 1000,
            "by_age_minor": {"under_1_day": 1000, "under_3_days": 0, "under_7_days": 0, "older": 0},
        }
    ]
    [customer] = answer["customers"]
    assert (customer["customer_id"], customer["amount_minor"]) == (held.customer_id, 1000)


async def test_the_audit_log_is_verified_on_demand(payments: Harness, api: httpx.AsyncClient) -> None:
    await a_captured_payment(payments)
    assert (await api.get("/audit/verify", headers=OPERATOR)).json() == {"intact": True, "broken": []}
    async with payments.owner() as owner:
        await owner.execute("ALTER TABLE audit_log DISABLE TRIGGER USER")
        await owner.execute("UPDATE audit_log SET reason = 'nothing' WHERE sequence = 2")
    assert (await api.get("/audit/verify", headers=OPERATOR)).json()["broken"] == [
        {"sequence": 2, "through": 2, "problem": "was changed after it was written"}
    ]


BAD_REFUNDS: list[Any] = [
    None,
    [],
    {},
    {"amount": 5, "reason": "x"},
    {"amount": {"amount_minor": "500", "currency": "EUR"}, "reason": "x"},
    {"amount": {"amount_minor": 5.5, "currency": "EUR"}, "reason": "x"},
    {"amount": {"amount_minor": True, "currency": "EUR"}, "reason": "x"},
    {"amount": {"amount_minor": -5, "currency": "EUR"}, "reason": "x"},
    {"amount": {"amount_minor": 10**30, "currency": "EUR"}, "reason": "x"},
    {"amount": {"amount_minor": 5, "currency": "euro"}, "reason": "x"},
    {"amount": {"amount_minor": 5, "currency": "EUR"}},
    {"amount": {"amount_minor": 5, "currency": "EUR"}, "reason": ""},
    {"amount": {"amount_minor": 5, "currency": "EUR"}, "reason": "a b"},
    {"amount": {"amount_minor": 5, "currency": "EUR"}, "reason": "x" * 65},
    {"amount": {"amount_minor": 5, "currency": "EUR"}, "reason": "x\x00"},
    {"amount": {"amount_minor": 5, "currency": "EUR"}, "reason": "x", "payment_id": "other"},
]


async def test_a_malformed_refund_is_a_clear_problem_without_an_effect(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway, subtests: pytest.Subtests
) -> None:
    command = await a_captured_payment(payments)
    headers = OPERATOR | {"Idempotency-Key": "key"}
    for body in BAD_REFUNDS:
        with subtests.test(f"{body}"):
            answer = await api.post(f"/payments/{command.payment_id}/refunds", json=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), answer.text
    await settle(payments)
    assert gateway.calls["refund"] == 0


MALFORMED = [
    ("GET", "/payments/not-a-uuid"),
    ("GET", "/payments?subject_id=1"),
    ("GET", "/payments"),
    ("GET", "/exposure?limit=0"),
    ("GET", "/exposure?limit=many"),
    ("POST", "/payments/not-a-uuid/void"),
]


async def test_malformed_addresses_are_clear_problems(api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for method, path in MALFORMED:
        with subtests.test(f"{method} {path}"):
            answer = await api.request(method, path, json={"reason": "x"}, headers=OPERATOR)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_wishes_about_a_payment_that_does_not_exist_are_not_found(api: httpx.AsyncClient) -> None:
    missing = an_authorization()
    assert (await void(api, missing)).status_code == 404
    assert (await refund(api, missing, 1)).status_code == 404


async def test_a_card_number_is_refused_and_not_echoed(payments: Harness, api: httpx.AsyncClient) -> None:
    command = await a_captured_payment(payments)
    body = {"reason": "4111111111111111"}
    answer = await api.post(f"/payments/{command.payment_id}/void", json=body, headers=OPERATOR)
    assert (answer.status_code, "4111" in answer.text) == (400, False)
