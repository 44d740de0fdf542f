"""Fixtures of the payments tests: the service on a database of the test's own, with a gateway in process."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from caas_chassis.clock import MovableClock
from caas_chassis.logs import configure_logging
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_payments.app import http_client, service_of
from caas_payments.domain.rules import Rules
from caas_payments.gateway import GatewayClient
from caas_payments.settings import PaymentsSettings
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.sandbox_gateway import API_KEY, SandboxGateway, running_sandbox


@pytest.fixture(scope="session", autouse=True)
def logging_as_deployed() -> None:
    """JSON lines; the library's default draws every traceback with all its variables, which takes seconds."""
    configure_logging("payments", "INFO")


async def migrate(url: str) -> None:
    """The schema of payments, chassis included."""
    async with Harness(service_of(Rules(), InProcessGateway()), url):
        pass


@pytest.fixture
def gateway() -> InProcessGateway:
    """The partner of this test."""
    return InProcessGateway()


@pytest.fixture
def rules() -> Rules:
    """The default rules, without jitter."""
    return Rules(jitter=0.0)


@pytest.fixture
async def payments(make_database: MakeDatabase, gateway: InProcessGateway, rules: Rules) -> AsyncIterator[Harness]:
    """Payments on a fresh database."""
    url = await make_database("payments", migrate)
    clock = MovableClock()
    async with Harness(service_of(rules, gateway, clock=clock), url, clock) as harness:
        yield harness


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxGateway]:
    """The sandbox's gateway, with its own books."""
    with running_sandbox(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
async def payments_at_sandbox(make_database: MakeDatabase, sandbox: SandboxGateway) -> AsyncIterator[Harness]:
    """Payments on a fresh database, asking `sandbox`, which it gives 0.3 s to answer."""
    settings = PaymentsSettings(
        database_url=await make_database("payments", migrate),
        gateway_url=sandbox.url,
        gateway_api_key=SecretStr(API_KEY),
        gateway_timeout_s=0.3,
    )
    client = GatewayClient(http_client(settings))
    async with Harness(service_of(Rules(jitter=0.0), client), settings.database_url) as harness:
        yield harness
    await client.close()
