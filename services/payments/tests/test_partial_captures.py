"""Captures of a part, and captures by hand: on the stored proof alone, and the rest of the hold is released."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.payments import AuthorizePayment, CapturePayment, PaymentCaptured, PaymentSettlementFailed
from caas_payments.domain import fence
from caas_payments.domain.attempt import Operation
from caas_payments.domain.payment import Hold, Payment, Proof, ProofKind
from caas_payments.domain.status import PaymentStatus
from services.payments.tests.builders import (
    NOW,
    a_charge,
    a_failure,
    a_payment,
    a_refund,
    a_settlement,
    a_success,
    an_authorization,
)
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import journey_of, payment_of, rows_of, status_of
from services.payments.tests.web import a_token, serving
from services.payments.tests.working import settle

OPERATOR = a_token("ops-1", "operator")
CUSTOMER = a_token("customer-1", "customer")


@pytest.fixture
async def api(payments: Harness, gateway: InProcessGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(payments.runtime.settings.database_url, gateway) as client:
        yield client


def an_amount(amount_minor: int, currency: str = "EUR") -> dict[str, object]:
    return {"amount": {"amount_minor": amount_minor, "currency": currency}, "reason": "goodwill"}


async def limit(api: httpx.AsyncClient, command: AuthorizePayment, amount_minor: int) -> httpx.Response:
    path = f"/payments/{command.payment_id}/capture-limit"
    return await api.put(path, json=an_amount(amount_minor), headers=OPERATOR)


async def capture(api: httpx.AsyncClient, payment_id: object, amount_minor: int | None = None) -> httpx.Response:
    body = {"reason": "by_hand"} if amount_minor is None else an_amount(amount_minor)
    return await api.post(f"/payments/{payment_id}/capture", json=body, headers=OPERATOR)


async def a_held_payment(payments: Harness, payment_method: str = "tok_approved") -> AuthorizePayment:
    command = an_authorization(payment_method=payment_method)
    await payments.receive(command)
    await payments.run_effects()
    return command


async def test_a_part_is_captured_refunded_and_settled_and_the_rest_released(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    command = await a_held_payment(payments)
    assert (await limit(api, command, 1500)).status_code == 200
    await payments.receive(a_success(command))
    await settle(payments)
    [captured] = await payments.published(PaymentCaptured)
    assert (captured.captured.amount_minor, captured.amount.amount_minor) == (1500, 1999)
    booked = gateway.books[str(command.payment_id)]
    assert (booked.captured_minor, booked.held_minor) == (1500, 0)
    [taken] = await rows_of(payments, "captures", command.payment_id)
    assert taken["amount_minor"] == 1500
    await payments.receive(a_settlement(command, gross_minor=1500))
    await payments.receive(a_refund(command, 1501))
    await payments.receive(a_refund(command, 1500))
    await settle(payments)
    stored = await payment_of(payments, command.payment_id)
    assert (stored.status, stored.refunded_minor, stored.at_risk_minor) == ("REFUNDED", 1500, 0)
    assert "AUTHORIZED!capture_limit:1500" in await journey_of(payments, command.payment_id)


async def test_a_hold_whose_rest_stays_held_is_looked_up_again_and_then_told(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    command = await a_held_payment(payments, "tok_keeps_rest")
    await limit(api, command, 1500)
    await payments.receive(a_success(command))
    await payments.run_effects()
    assert await payments.published(PaymentCaptured) == []
    await settle(payments)
    assert len(await payments.published(PaymentCaptured)) == 1
    [alert] = await payments.published(AlertRaised)
    assert (alert.kind, "499 are still held" in alert.detail) == (AlertKind.HOLD_NOT_RELEASED, True)
    assert (gateway.calls["capture"], gateway.calls["look_up"]) == (1, 3)


async def test_a_rest_that_is_released_a_little_later_needs_nobody(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    command = await a_held_payment(payments, "tok_keeps_rest")
    await limit(api, command, 1500)
    await payments.receive(a_success(command))
    await payments.run_effects()
    reference = str(command.payment_id)
    gateway.books[reference] = replace(gateway.books[reference], held_minor=0)
    await settle(payments)
    assert len(await payments.published(PaymentCaptured)) == 1
    assert await payments.published(AlertRaised) == []


async def test_a_lost_partial_capture_loses_the_part(payments: Harness, api: httpx.AsyncClient) -> None:
    command = await a_held_payment(payments, "tok_capture_fails")
    await limit(api, command, 1500)
    await payments.receive(a_success(command))
    await settle(payments)
    [lost] = await payments.published(PaymentSettlementFailed)
    assert lost.lost.amount_minor == 1500


async def test_a_limit_is_set_before_the_activation_is_decided_or_never(
    payments: Harness, api: httpx.AsyncClient
) -> None:
    held, delivered, rejected = [await a_held_payment(payments) for _ in range(3)]
    sale = a_charge()
    await payments.receive(a_success(delivered), a_failure(rejected), sale)
    await settle(payments)
    for payment_id, amount_minor in [
        (delivered.payment_id, 1500),
        (rejected.payment_id, 1500),
        (sale.payment_id, 1500),
        (held.payment_id, 2000),
        (held.payment_id, 0),
    ]:
        path = f"/payments/{payment_id}/capture-limit"
        answer = await api.put(path, json=an_amount(amount_minor), headers=OPERATOR)
        assert (answer.status_code, answer.json()["code"]) == (409, "capture_refused")
    dollars = await api.put(f"/payments/{held.payment_id}/capture-limit", json=an_amount(1, "USD"), headers=OPERATOR)
    assert dollars.status_code == 409


async def test_nothing_is_captured_by_hand_without_a_stored_proof(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    held, rejected, sale = await a_held_payment(payments), await a_held_payment(payments), a_charge()
    await payments.receive(a_failure(rejected), sale)
    await payments.receive(CapturePayment(payment_id=held.payment_id, reason="by_hand", requested_at=NOW))
    for payment_id in (held.payment_id, rejected.payment_id, sale.payment_id):
        answer = await capture(api, payment_id)
        assert (answer.status_code, answer.json()["code"]) == (409, "capture_refused")
        assert (await journey_of(payments, payment_id))[-1].endswith("!capture")
    await settle(payments)
    assert gateway.calls["capture"] == 0
    assert await rows_of(payments, "captures", held.payment_id) == []
    assert AlertKind.CAPTURE_FAILED in [alert.kind for alert in await payments.published(AlertRaised)]
    assert (await capture(api, new_id())).status_code == 404


async def test_a_capture_that_goes_by_itself_is_not_made_twice_by_hand(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    command = await a_held_payment(payments)
    gateway.script("capture", TIMEOUT, booked=True)
    await payments.receive(a_success(command))
    assert (await capture(api, command.payment_id)).status_code == 202
    assert (await capture(api, command.payment_id, 1500)).status_code == 409
    await settle(payments)
    assert (await capture(api, command.payment_id, 1999)).status_code == 202
    assert (await capture(api, command.payment_id, 1500)).status_code == 409
    await settle(payments)
    assert gateway.calls["capture"] == 1
    assert await status_of(payments, command.payment_id) == "CAPTURING"


def a_delivered_hold() -> Payment:
    """Held, its success stored, and no capture begun."""
    payment = a_payment()
    assert payment.intent.activation_id is not None
    proof = Proof(
        id=new_id(),
        payment_id=payment.id,
        activation_id=payment.intent.activation_id,
        kind=ProofKind.SUCCESS,
        ground=None,
        reason="applied",
        recorded_at=NOW,
        applied_at=NOW,
        evidence="{}",
    )
    hold = Hold(transaction_id="txn_1", authorized_at=NOW, capture_before=NOW, activate_not_after=NOW)
    return replace(payment, status=PaymentStatus.AUTHORIZED, attempt=None, hold=hold, proof=proof)


@pytest.mark.parametrize("amount_minor", [1999, 1])
def test_what_did_not_go_by_itself_is_captured_by_hand_in_whole_or_in_part(amount_minor: int) -> None:
    payment = a_delivered_hold()
    assert fence.capture_objection(payment, amount_minor) is None
    change = fence.capture_by_wish(payment, amount_minor, NOW)
    assert (change.attempt.operation, change.attempt.amount_minor) == (Operation.CAPTURE, amount_minor)
    assert (change.payment.status, change.payment.capturing_minor) == (PaymentStatus.CAPTURING, amount_minor)


@pytest.mark.parametrize("amount_minor", [0, -1, 2000])
def test_more_than_is_held_or_nothing_is_not_captured_by_hand(amount_minor: int) -> None:
    assert fence.capture_objection(a_delivered_hold(), amount_minor) is not None
