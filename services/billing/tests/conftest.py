"""Fixtures of billing's tests."""

import logging
import os
import random
from collections.abc import AsyncIterator

import httpx
import pytest

from caas_billing.app import app_of
from caas_billing.settings import BillingSettings
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from services.billing.tests.callers import identity
from services.billing.tests.running import MailSink, a_billing


@pytest.fixture
def chance() -> random.Random:
    """Randomness whose seed a failing test shows; `CAAS_TEST_SEED` repeats a run."""
    seed = int(os.environ.get("CAAS_TEST_SEED") or random.randrange(10**9))
    logging.getLogger(__name__).warning("seed: CAAS_TEST_SEED=%d", seed)
    return random.Random(seed)


@pytest.fixture
async def billing_and_mail(make_database: MakeDatabase) -> AsyncIterator[tuple[Harness, MailSink]]:
    """Billing on a fresh database, and the mail server it sends to."""
    async with a_billing(make_database) as both:
        yield both


@pytest.fixture
def billing(billing_and_mail: tuple[Harness, MailSink]) -> Harness:
    """Billing on a fresh database."""
    return billing_and_mail[0]


@pytest.fixture
def mail(billing_and_mail: tuple[Harness, MailSink]) -> MailSink:
    """The mail server that `billing` sends to."""
    return billing_and_mail[1]


@pytest.fixture
async def http(billing: Harness) -> AsyncIterator[httpx.AsyncClient]:
    """A client of billing's API, for `callers`."""
    settings = BillingSettings(database_url=billing.runtime.settings.database_url, document_wait_s=1)
    app = app_of(billing.runtime, settings, verifier=identity.verifier())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://billing", timeout=60) as client:
        yield client
