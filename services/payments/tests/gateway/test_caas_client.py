"""What only the adapter for the API of GW-1 has to deal with: the sandbox gateway, and answers that it never gives."""

import httpx

from caas_payments.domain.gateway_result import Refused, TransactionStatus, Unknown
from caas_payments.gateway import GatewayClient
from services.payments.tests.gateway.conftest import Gateways
from services.payments.tests.gateway.targets import SANDBOX
from services.payments.tests.gateway.tasks import an_authorization_of, answered, following

ONE = {"id": "txn_1", "reference": "r", "status": "authorized", "amount_minor": 1, "currency": "EUR"}


def a_client_told(*transactions: dict[str, object]) -> GatewayClient:
    """A client whose look-ups are answered with these."""
    body = {"transactions": transactions}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    return GatewayClient(httpx.AsyncClient(transport=transport, base_url="http://gateway"))


async def test_a_capture_that_fails_for_good_is_refused(gateways: Gateways) -> None:
    gateway = SANDBOX.gateway_at(gateways.url(SANDBOX))
    task = an_authorization_of("tok_capture_fails")
    held = answered(await gateway.authorize(task))
    assert await gateway.capture(following(task, held, "capture:2")) == Refused("capture_failed")
    assert answered(await gateway.look_up(task.reference)).capture_failure == "capture_failed"
    await gateway.close()


async def test_a_state_that_we_do_not_know_is_kept_apart() -> None:
    client = a_client_told(ONE | {"status": "frozen"})
    assert answered(await client.look_up("r")).status is TransactionStatus.UNKNOWN
    await client.close()


async def test_several_live_transactions_under_one_reference_are_not_trusted() -> None:
    client = a_client_told(ONE, ONE | {"id": "txn_2"})
    assert await client.look_up("r") == Unknown("several_transactions")
    await client.close()
