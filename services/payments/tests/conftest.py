"""Fixtures of the payments tests: the service on a database of the test's own, with a gateway in process."""

from collections.abc import AsyncIterator

import pytest

from caas_chassis.clock import MovableClock
from caas_chassis.logs import configure_logging
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_payments.app import service_of
from caas_payments.domain.rules import Rules
from services.payments.tests.in_process_gateway import InProcessGateway


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
