"""The HTTP client against the real sandbox process, and the in-process partner, answer alike (GW-1, GW-3)."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from pydantic import SecretStr

from caas_chassis.ids import new_id
from caas_payments.app import http_client
from caas_payments.domain.attempt import Operation, Step
from caas_payments.domain.gateway_result import (
    Answered,
    GatewayResult,
    NotFound,
    Refused,
    Transaction,
    TransactionStatus,
    Unavailable,
    Unknown,
)
from caas_payments.gateway import GatewayClient, GatewayTask, PaymentGateway
from caas_payments.settings import PaymentsSettings
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.sandbox_gateway import API_KEY, SandboxGateway, running_sandbox


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxGateway]:
    with running_sandbox(tmp_path_factory.mktemp("gateway")) as running:
        yield running


def a_client(url: str, *, api_key: str = API_KEY) -> GatewayClient:
    settings = PaymentsSettings(
        database_url="postgresql://unused",
        gateway_url=url,
        gateway_api_key=SecretStr(api_key),
        gateway_timeout_s=0.25,
    )
    return GatewayClient(http_client(settings))


@pytest.fixture(params=["sandbox", "in process"])
async def partner(request: pytest.FixtureRequest, sandbox: SandboxGateway) -> AsyncIterator[PaymentGateway]:
    chosen: PaymentGateway = a_client(sandbox.url) if request.param == "sandbox" else InProcessGateway()
    yield chosen
    await chosen.close()


@pytest.fixture
async def client(sandbox: SandboxGateway) -> AsyncIterator[GatewayClient]:
    chosen = a_client(sandbox.url)
    yield chosen
    await chosen.close()
    sandbox.clear_faults()


def a_task(payment_method: str = "tok_approved") -> GatewayTask:
    payment_id = new_id()
    return GatewayTask(
        payment_id=payment_id,
        number=1,
        step=Step.CALL,
        operation=Operation.AUTHORIZE,
        idempotency_key=f"{payment_id}:authorize:1",
        amount_minor=1999,
        currency="EUR",
        payment_method=payment_method,
    )


def following(task: GatewayTask, held: Transaction, key: str, amount_minor: int = 1999) -> GatewayTask:
    """A later operation on the transaction, under its own key."""
    update = {
        "transaction_id": held.id,
        "idempotency_key": f"{task.payment_id}:{key}",
        "amount_minor": amount_minor,
        "refund_id": new_id(),
    }
    return task.model_copy(update=update)


def answered(result: GatewayResult) -> Transaction:
    assert isinstance(result, Answered), result
    return result.transaction


async def test_a_hold_is_captured_once_and_refunded_in_parts(partner: PaymentGateway) -> None:
    task = a_task()
    held = answered(await partner.authorize(task))
    assert (held.status, held.reference, held.amount_minor) == (
        TransactionStatus.AUTHORIZED,
        task.reference,
        1999,
    )
    assert held.capture_before is not None
    assert answered(await partner.authorize(task)).id == held.id
    captured = answered(await partner.capture(following(task, held, "capture:2")))
    assert (captured.status, captured.captured_minor) == (TransactionStatus.CAPTURED, 1999)
    assert await partner.capture(following(task, held, "capture:3")) == Refused("already_captured")
    partly = answered(await partner.refund(following(task, held, "refund:4", 500)))
    assert (partly.status, partly.refunded_minor) == (TransactionStatus.PARTIALLY_REFUNDED, 500)
    assert await partner.refund(following(task, held, "refund:5", 1500)) == Refused("amount_too_large")
    assert answered(await partner.look_up(task.reference)).refunded_minor == 500


async def test_a_hold_is_voided_once(partner: PaymentGateway) -> None:
    task = a_task()
    held = answered(await partner.authorize(task))
    assert answered(await partner.void(following(task, held, "void:2"))).status is TransactionStatus.VOIDED
    assert await partner.void(following(task, held, "void:3")) == Refused("already_voided")
    assert await partner.capture(following(task, held, "capture:4")) == Refused("already_voided")


async def test_a_sale_is_taken_at_once_under_one_key(partner: PaymentGateway) -> None:
    task = a_task().model_copy(update={"operation": Operation.SALE})
    sold = answered(await partner.sale(task))
    assert (sold.status, sold.captured_minor) == (TransactionStatus.CAPTURED, 1999)
    assert await partner.sale(task) == Answered(sold)
    assert await partner.look_up(task.reference) == Answered(sold)
    assert await partner.capture(following(task, sold, "capture:2")) == Refused("already_captured")
    assert await partner.void(following(task, sold, "void:3")) == Refused("already_captured")
    refunded = answered(await partner.refund(following(task, sold, "refund:4")))
    assert (refunded.status, refunded.refunded_minor) == (TransactionStatus.REFUNDED, 1999)


async def test_a_declined_or_pending_sale_is_an_answer(partner: PaymentGateway) -> None:
    declined = answered(await partner.sale(a_task("tok_insufficient_funds")))
    assert (declined.status, declined.decline_code) == (TransactionStatus.DECLINED, "insufficient_funds")
    assert answered(await partner.sale(a_task("tok_pending"))).status is TransactionStatus.PENDING


async def test_a_decline_is_an_answer_with_its_code(partner: PaymentGateway) -> None:
    declined = answered(await partner.authorize(a_task("tok_declined:customer-7")))
    assert (declined.status, declined.decline_code) == (TransactionStatus.DECLINED, "card_declined")


async def test_a_pending_authorization_is_an_answer(partner: PaymentGateway) -> None:
    pending = answered(await partner.authorize(a_task("tok_pending")))
    assert pending.status is TransactionStatus.PENDING


async def test_a_capture_that_fails_for_good_is_refused(partner: PaymentGateway) -> None:
    task = a_task("tok_capture_fails")
    held = answered(await partner.authorize(task))
    assert await partner.capture(following(task, held, "capture:2")) == Refused("capture_failed")
    assert answered(await partner.look_up(task.reference)).capture_failure == "capture_failed"


async def test_an_unknown_reference_is_not_found(partner: PaymentGateway) -> None:
    assert await partner.look_up(str(new_id())) == NotFound()


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "503", "500_after", "garbage", "half"])
async def test_a_silence_or_an_unreadable_answer_is_unknown(
    client: GatewayClient, sandbox: SandboxGateway, kind: str
) -> None:
    sandbox.fault("authorize", kind)
    assert isinstance(await client.authorize(a_task()), Unknown)
    sandbox.fault("lookup", kind)
    assert isinstance(await client.look_up(str(new_id())), Unknown)
    assert [fault["fired"] for fault in sandbox.clear_faults()] == [1, 1]


async def test_too_many_requests_are_certain_and_carry_their_pause(
    client: GatewayClient, sandbox: SandboxGateway
) -> None:
    sandbox.fault("authorize", "429", retry_after_s=7)
    assert await client.authorize(a_task()) == Unavailable("too_many_requests", 7)


async def test_nobody_listening_means_that_nothing_was_sent() -> None:
    client = a_client("http://127.0.0.1:1")
    assert await client.authorize(a_task()) == Unavailable("ConnectError")
    assert await client.look_up("reference") == Unavailable("ConnectError")
    await client.close()


async def test_a_key_that_is_not_accepted_charges_nothing(sandbox: SandboxGateway) -> None:
    client = a_client(sandbox.url, api_key="wrong")
    assert await client.authorize(a_task()) == Unavailable("unauthorized")
    await client.close()


async def test_the_same_key_with_another_amount_is_not_trusted(client: GatewayClient) -> None:
    task = a_task()
    await client.authorize(task)
    assert isinstance(await client.authorize(task.model_copy(update={"amount_minor": 1})), Unknown)


async def test_a_state_that_we_do_not_know_is_kept_apart() -> None:
    body = {
        "transactions": [{"id": "txn_1", "reference": "r", "status": "frozen", "amount_minor": 1, "currency": "EUR"}]
    }
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    client = GatewayClient(httpx.AsyncClient(transport=transport, base_url="http://gateway"))
    assert answered(await client.look_up("r")).status is TransactionStatus.UNKNOWN
    await client.close()


async def test_several_live_transactions_under_one_reference_are_not_trusted() -> None:
    one = {"id": "txn_1", "reference": "r", "status": "authorized", "amount_minor": 1, "currency": "EUR"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"transactions": [one, {**one, "id": "txn_2"}]}))
    client = GatewayClient(httpx.AsyncClient(transport=transport, base_url="http://gateway"))
    assert await client.look_up("r") == Unknown("several_transactions")
    await client.close()
